"""What a world gives the rooms above: this rank's arena, and membership in communicators. Knows nothing of how ranks are started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._core import Arena
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Universe:
    """All ranks that share an arena, as one of them sees it.

    Attributes:
        arena: the node's shared memory.
        rank: this rank's number in the universe.
        size: how many ranks there are.
        settings: what is in force (rank 0's).
    """

    arena: Arena
    rank: int
    size: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Membership:
    """This rank's place in one communicator.

    Attributes:
        mpi: the classical communicator (mpi4py's interface).
        rank: this rank's number in it.
        members: universe rank of each of its ranks.
        context: number that separates its messages from those of all other communicators.
        null: the classical library's own PROC_NULL, as an int.
    """

    mpi: Any
    rank: int
    members: tuple[int, ...]
    context: int
    null: int
