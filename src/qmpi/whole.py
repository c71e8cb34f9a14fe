"""Whole numbers as calls take them: whatever stands for one, NumPy's included, and never a float."""

from __future__ import annotations

from operator import index


def whole(value: object) -> int:
    """The int that a value stands for, by its `__index__`. -1, which is no rank, tag, count or qubit's number, for anything else."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return -1
