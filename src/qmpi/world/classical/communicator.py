"""Communicators: `Hub` belongs to one run of the thread world, `Classical` is one rank's side of one communicator."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn

from ...errors import InvalidArgument, PeerFailed
from ..wildcards import UNDEFINED, means
from .collectives import Collectives
from .context import Context
from .messages import integer


class Hub:
    """All classical communicators of one run."""

    def __init__(self, size: int) -> None:
        """With a world communicator of so many ranks."""
        self._numbers = count()
        self._make_error: Callable[[], BaseException] | None = None
        self._gone: set[int] = set()
        world = self.context(tuple(range(size)))
        self._world = [Classical(self, world, rank) for rank in range(size)]

    def world(self, rank: int) -> Classical:
        """The world communicator, as this rank has it."""
        return self._world[rank]

    def end(self, make: Callable[[], BaseException]) -> None:
        """From now on every call that communicates raises `make()`, those that wait already too. The first end counts."""
        if self._make_error is None:
            self._make_error = make

    def leave(self, rank: int) -> None:
        """This rank has ended: who waits for it raises PeerLeft."""
        self._gone.add(rank)

    def check(self) -> None:
        """Raises if the run has ended."""
        if self._make_error is not None:
            raise self._make_error()

    def context(self, members: tuple[int, ...]) -> Context:
        """A new one, for ranks with these numbers in the world."""
        return Context(next(self._numbers), members, self.check, self._gone)


class Classical(Collectives):
    """One rank's side of a communicator, with the interface of mpi4py's.

    Attributes:
        hub: the run it belongs to.
    """

    def __init__(self, hub: Hub, shared: Context, rank: int) -> None:
        """Of the given rank in the given context."""
        super().__init__(shared, rank)
        self.hub = hub

    def Dup(self, info: Any = None) -> Classical:
        """A communicator of the same ranks with messages of its own. **Collective.** `info` is ignored."""
        self._check()
        shared = self._down(self.hub.context(self.members) if self.rank == 0 else None, 0)
        return Classical(self.hub, shared, self.rank)

    def Split(self, color: Any = 0, key: Any = 0) -> Classical | None:
        """A communicator of the ranks with this color, in the order of their keys, then of their ranks. **Collective.**

        Args:
            color: at least 0; UNDEFINED or None takes no part.
            key: any integer.

        Returns:
            The communicator; None for ranks that take no part.
        """
        self._check()
        takes_part = color is not None and not means(color, UNDEFINED)
        if takes_part and integer(color) < 0:
            raise InvalidArgument(f"color {color!r} is not an integer from 0 on (or UNDEFINED, or None)")
        rows = self._gather((integer(color) if takes_part else None, operator.index(key)), 0)
        place = self._scatter(None if rows is None else self._places(rows), 0)
        return None if place is None else Classical(self.hub, *place)

    def Free(self) -> None:
        """Ends this rank's use of the communicator; waits for nobody."""
        self._freed = True

    def Abort(self, errorcode: int = 0) -> NoReturn:
        """Ends the run: this rank raises SystemExit, all others raise PeerFailed as soon as they communicate."""
        self.hub.end(lambda: PeerFailed(f"rank {self.members[self.rank]} has called Abort({errorcode})"))
        raise SystemExit(errorcode)

    def _places(self, rows: list[tuple[int | None, int]]) -> list[tuple[Context, int] | None]:
        """For each rank its new context and its number there, from all ranks' colors and keys."""
        groups: dict[int | None, list[int]] = {}
        for rank in sorted(range(self.size), key=lambda rank: rows[rank][1]):
            groups.setdefault(rows[rank][0], []).append(rank)
        groups.pop(None, None)
        places: list[tuple[Context, int] | None] = [None] * self.size
        for ranks in groups.values():
            shared = self.hub.context(tuple(self.members[rank] for rank in ranks))
            for number, rank in enumerate(ranks):
                places[rank] = shared, number
        return places

    def __repr__(self) -> str:
        """As `<classical communicator 0, rank 1 of 4>`."""
        return f"<classical communicator {self.context}, rank {self.rank} of {self.size}>"
