"""Numbers as programs give them: whatever can stand for an integer."""

from __future__ import annotations

import operator
from typing import Any

from ...errors import InvalidArgument


def integer(value: Any) -> int:
    """-1, which is no rank or tag, for what is no integer."""
    try:
        return operator.index(value)
    except TypeError:
        return -1


def integers(values: Any, count: int | None = None) -> tuple[int, ...]:
    """A row of integers, of so many if that is given.

    Raises:
        InvalidArgument: it is none.
    """
    try:
        row = tuple(map(operator.index, values))
    except TypeError:
        raise InvalidArgument(f"expecting a row of integers, not {values!r}") from None
    if count not in (None, len(row)):
        raise InvalidArgument(f"expecting {count} integers, not {values!r}")
    return row
