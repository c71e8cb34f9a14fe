"""What a world gives the rooms above: this rank's arena, and membership in communicators. Knows nothing of how ranks are started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._core import Arena
from .settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Universe:
    """All ranks that share an arena, as one of them sees it.

    Attributes:
        arena: the node's shared memory.
        rank: this rank's number in the universe.
        size: how many ranks there are.
        settings: what is in force (rank 0's).
        at_leave: registers what is to be called, in this rank's thread, when the rank ends.
    """

    arena: Arena
    rank: int
    size: int
    settings: Settings
    at_leave: Callable[[Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class Membership:
    """This rank's place in one communicator.

    Attributes:
        mpi: the classical communicator (mpi4py's, or what has its names in the thread world).
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

    @property
    def name(self) -> str:
        """What reports and ledgers call the communicator."""
        return f"comm {self.context}"
