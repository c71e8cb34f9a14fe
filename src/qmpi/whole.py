"""Whole numbers as calls take them: whatever stands for one, NumPy's included, and never a float."""

from __future__ import annotations

from operator import index


def whole(value: object) -> int | None:
    """The int that a value stands for, by its `__index__`; None where it stands for none."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return None
