"""Special ranks, tags, colors and buffers: qmpi's objects, or mpi4py's numbers.

Objects, because MPI libraries disagree on the numbers; mpi4py's count once anybody has loaded it. Which of them a call accepts is the
call's affair.
"""

from __future__ import annotations

import operator
import sys
from enum import Enum
from typing import Any


class Wildcard(Enum):
    """Special ranks and tags."""

    ANY_SOURCE = "ANY_SOURCE"
    ANY_TAG = "ANY_TAG"
    PROC_NULL = "PROC_NULL"
    UNDEFINED = "UNDEFINED"
    IN_PLACE = "IN_PLACE"

    def __repr__(self) -> str:
        """As a program writes it."""
        return f"qmpi.{self.value}"


ANY_SOURCE = Wildcard.ANY_SOURCE
ANY_TAG = Wildcard.ANY_TAG
PROC_NULL = Wildcard.PROC_NULL
UNDEFINED = Wildcard.UNDEFINED
IN_PLACE = Wildcard.IN_PLACE


def means(value: Any, special: Wildcard) -> bool:
    """Whether `value` is this special one, whoever's."""
    if isinstance(value, Wildcard) or value is None:
        return value is special
    theirs = of_mpi4py(special.value)
    try:
        return value is theirs or (theirs is not None and operator.index(value) == operator.index(theirs))
    except TypeError:
        return False


def spelled_like(example: Any, special: Wildcard) -> Any:
    """The special value as an object if `example` is one, else as mpi4py's number."""
    return special if isinstance(example, Wildcard) else of_mpi4py(special.value)


def of_mpi4py(name: str) -> Any:
    """mpi4py's object of this name, if mpi4py has been loaded."""
    return getattr(sys.modules.get("mpi4py.MPI"), name, None)
