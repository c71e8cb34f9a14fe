"""Ranks as threads of one process: notebooks, tests, a thousand ranks on a laptop, no MPI installed.

Store, mailboxes and sessions are the same as between processes; the arena is private, and `comm.mpi` is the communicator of classical/.
All ranks end together: what one raises, the others see as PeerFailed, and the caller of `run` gets it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .._core import set_world
from ..errors import CommunicatorError, InvalidArgument, OutsideUniverse, PeerFailed, set_rank
from ..whole import whole
from .base import OUTSIDE, Membership, Universe, create_arena
from .classical import Classical, Hub
from .settings import Settings
from .wildcards import UNDEFINED

Result = TypeVar("Result")

MAX_RANKS = 4096
_NOTICE_S = 0.06  # for ranks in qmpi to notice Ctrl-C
_GRACE_S = 1.0  # for all; one that sleeps outside qmpi is left behind
_SWITCH_S, _SWITCH_S_PER_RANK = 5e-4, 5e-6  # a rank that computes in Python lets others in after this


class _Here(threading.local):
    """What the calling thread is.

    Attributes:
        universe: its universe, None if it is no rank of a thread world.
        world: its world communicator.
    """

    universe: Universe | None = None
    world: Classical | None = None


here = _Here()


def run(
    function: Callable[..., Result],
    ranks: int,
    *arguments: Any,
    seed: int | None = None,
    mode: str | None = None,
    memory: str | None = None,
    dtype: str | None = None,
    strict: bool | None = None,
    timeout_s: float | None = None,
) -> list[Result]:
    """Runs `function(*arguments)` on so many ranks, each a thread of this process. In it `qmpi.COMM_WORLD` is theirs.

    Args:
        function: what every rank runs.
        ranks: how many, 1 … 4096.
        arguments: the same for all ranks.
        seed: as QMPI_SEED; each setting that is not given is read from its variable.
        mode: as QMPI_MODE, "fast" or "faithful".
        memory: as QMPI_MEMORY, for example "2G".
        dtype: as QMPI_DTYPE, "complex128" or "complex64".
        strict: as QMPI_STRICT.
        timeout_s: as QMPI_TIMEOUT_S, in seconds.

    Returns:
        What each rank returned, in rank order.

    Raises:
        InvalidArgument: a number of ranks or a setting that cannot be.
        FoundingError: there is not enough memory or address space for the store.
        BaseException: what the first rank to fail raised, with a note that names the rank.

    Example:
        >>> qmpi.run(lambda: qmpi.COMM_WORLD.rank, 3)
        [0, 1, 2]
    """
    if not 1 <= whole(ranks) <= MAX_RANKS:
        raise InvalidArgument(f"ranks must be a whole number from 1 to {MAX_RANKS}, not {ranks!r}")
    chosen = {
        "SEED": seed,
        "MODE": mode,
        "MEMORY": memory,
        "DTYPE": dtype,
        "STRICT": None if strict is None else int(strict),
        "TIMEOUT_S": timeout_s,
    }
    overrides = {f"QMPI_{name}": str(value) for name, value in chosen.items() if value is not None}
    return _Crew(function, arguments, whole(ranks), Settings.from_environment({**os.environ, **overrides})).run()


def under_way() -> bool:
    """Whether ranks of some run are threads of this process now."""
    return _Crew.under_way > 0


def join(comm: Any) -> tuple[Universe, Membership]:
    """Makes the calling rank a member of `comm`. See `door.join`."""
    universe, world = here.universe, here.world
    assert universe is not None and world is not None
    if comm is None:
        raise CommunicatorError(OUTSIDE)
    if not isinstance(comm, Classical):
        raise CommunicatorError(f"qmpi.Comm wraps a communicator of the thread world (as qmpi.COMM_WORLD.mpi), not {comm!r}")
    if comm.hub is not world.hub:
        raise OutsideUniverse("the communicator belongs to another run of the thread world")
    return universe, Membership(comm, comm.rank, comm.members, world.hub.agree(comm, lambda: universe.arena.next_contexts(1)))


def split(comm: Any, color: int | None, key: int) -> Any | None:
    """`comm.Split`; None for ranks that take no part."""
    return comm.Split(UNDEFINED if color is None else color, key)


class _Crew:
    """The ranks of one run, what they return and what they raise."""

    under_way = 0  # runs of this process

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], ranks: int, settings: Settings) -> None:
        self.function = function
        self.arguments = arguments
        self.settings = settings
        self.size = ranks
        self.arena = create_arena(settings, ranks)
        self.hub = Hub(ranks)
        self.results: list[Any] = [None] * ranks
        self.failures: dict[int, BaseException] = {}  # in the order in which they came
        self.running: dict[int, int] = {}  # ranks in the function, and their threads' numbers
        self.threads: list[threading.Thread] = []
        self.ended: SimpleQueue[int] = SimpleQueue()

    def run(self) -> list[Any]:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(min(interval, max(_SWITCH_S, _SWITCH_S_PER_RANK * self.size)))
        _Crew.under_way += 1
        try:
            for rank in range(self.size):
                self.threads.append(threading.Thread(target=self._rank, args=(rank,), name=f"rank {rank}", daemon=True))
                self.threads[-1].start()
            for _ in range(self.size):
                self.ended.get()  # not `join`, which an interrupt confuses: python/cpython#89437
        except BaseException:  # Ctrl-C comes to the main thread: hand it on
            self._interrupt()
            raise
        finally:
            _Crew.under_way -= 1
            sys.setswitchinterval(interval)
        if self.failures:
            raise self._first_failure()
        return self.results

    def _rank(self, rank: int) -> None:
        set_rank(rank)
        try:
            with ExitStack() as leaving:
                leaving.callback(self.arena.leave, rank)
                here.universe = Universe(self.arena, rank, self.size, self.settings, lambda call: leaving.callback(call))
                here.world = self.hub.world(rank)
                self._work(rank)
        except BaseException as error:
            self._fail(rank, error)
        finally:
            self.hub.leave(rank)
            here.universe = here.world = None
            set_world(None)
            self.ended.put(rank)

    def _work(self, rank: int) -> None:
        try:
            self.running[rank] = threading.get_ident()
            self.results[rank] = self.function(*self.arguments)
            self.running.pop(rank)
        except BaseException as error:  # before the rank leaves, so that the others learn why
            self.running.pop(rank, None)
            self._fail(rank, error)

    def _fail(self, rank: int, error: BaseException) -> None:
        if self.arena.forked:  # the only thread of a process that is no rank: ends as any program
            traceback.print_exception(error)
            os._exit(1)
        self.failures.setdefault(rank, error)
        why = f"rank {rank} has failed: {type(error).__name__}: {error}"
        self.arena.fail(why)
        self.hub.end(lambda: PeerFailed(why))

    def _first_failure(self) -> BaseException:
        """Of the lowest rank that did not fail only because another one did."""
        ranks = [rank for rank, error in self.failures.items() if not isinstance(error, PeerFailed)] or list(self.failures)
        error = self.failures[min(ranks)]
        if hasattr(error, "add_note") and self.size > 1:
            others = len(ranks) - 1
            error.add_note(f"raised by rank {min(ranks)} of {self.size}" + (f", and {others} more failed by themselves" if others else ""))
        return error

    def _interrupt(self) -> None:
        """Raises KeyboardInterrupt in every rank and gives them a moment to end."""
        self.arena.interrupt()  # whoever is in qmpi, or comes there
        self.hub.end(KeyboardInterrupt)
        end = time.monotonic() + _GRACE_S
        while any(thread.is_alive() for thread in self.threads) and time.monotonic() < end:
            with suppress(Empty, KeyboardInterrupt):  # whoever is impatient has been understood
                self.ended.get(timeout=_NOTICE_S)
                continue
            for thread in list(self.running.values()):  # who is neither in qmpi nor coming
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
