"""Special ranks, tags, colors and buffers in classical calls: this world's numbers, qmpi's objects, or mpi4py's if the program has loaded
mpi4py itself. Which of them a call accepts is the call's affair."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Any

import numpy as np

ANY_SOURCE, ANY_TAG, PROC_NULL, UNDEFINED, IN_PLACE = range(-1001, -1006, -1)  # far from any library's
_NUMBERS = {"ANY_SOURCE": ANY_SOURCE, "ANY_TAG": ANY_TAG, "PROC_NULL": PROC_NULL, "UNDEFINED": UNDEFINED, "IN_PLACE": IN_PLACE}


def means(value: Any, name: str) -> bool:
    """Whether `value` is the special value `name`, whoever's."""
    if isinstance(value, Enum):
        return bool(value.value == name)
    theirs = of_mpi4py(name)
    return value is not None and (value is theirs or (isinstance(value, int | np.integer) and value in (_NUMBERS[name], theirs)))


def spelled_like(example: Any, name: str) -> Any:
    """The special value `name` from where `example` comes from; mpi4py's number if that is neither an object nor this world's number."""
    if isinstance(example, Enum):
        return type(example)(name)
    return _NUMBERS[name] if example in _NUMBERS.values() else of_mpi4py(name)


def of_mpi4py(name: str) -> Any:
    """mpi4py's object of this name, if the program has loaded mpi4py."""
    return getattr(sys.modules.get("mpi4py.MPI"), name, None)
