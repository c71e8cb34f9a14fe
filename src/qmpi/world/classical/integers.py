"""Rows of integers as programs give them."""

from __future__ import annotations

import operator
from typing import Any

from ...errors import InvalidArgument


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
