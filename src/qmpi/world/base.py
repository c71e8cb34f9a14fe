"""What a world gives the rooms above: this rank's arena, and membership in communicators. Knows nothing of how ranks are started."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._core import Arena
from ..randomness import choose_seed
from .settings import Settings

INTERRUPTED = 130  # exit status after Ctrl-C, as a shell has it
OUTSIDE = "this rank is left out of the communicator (None, COMM_NULL): wrap it only where there is one, `if grid: qmpi.Comm(grid)`"


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


@dataclass(frozen=True)  # without slots: sessions refer to it weakly
class Membership:
    """This rank's place in one communicator.

    Attributes:
        mpi: the classical communicator (mpi4py's, or what has its names in the thread world).
        rank: this rank's number in it.
        members: universe rank of each of its ranks.
        context: number that separates its messages from those of all other communicators.
    """

    mpi: Any
    rank: int
    members: tuple[int, ...]
    context: int

    @property
    def name(self) -> str:
        """What reports and ledgers call the communicator."""
        return f"comm {self.context}"


def create_arena(settings: Settings, ranks: int) -> Arena:
    """What founds a universe: its shared memory, its seed, its record of the order of measurements.

    Raises:
        FoundingError: there is not enough memory or address space.
        InvalidArgument: a seed that cannot be.
        OrderError: the order cannot be recorded, or was recorded by another number of ranks.
    """
    seed = choose_seed(settings.seed)
    arena = Arena.create(ranks, seed, settings.faithful, settings.single_precision, settings.memory, settings.epr_buffer)
    settings.order.begin(seed, settings.mode, ranks)
    return arena


class _AtEnd:
    """Calls what it is given when nothing holds it any more."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def __del__(self) -> None:
        self.call()


_of_this_thread = threading.local()  # ends with it


def at_leave(call: Callable[[], None]) -> None:
    """A rank that is a process ends with it, or with the thread that founded the universe, where that is not the main one."""
    if threading.current_thread() is threading.main_thread():
        atexit.register(call)
    else:
        _of_this_thread.end = _AtEnd(call)
