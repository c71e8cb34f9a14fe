"""Communicators: `Hub` belongs to one run of the thread world, `Classical` is one rank's side of a communicator, `Cartesian` of a grid."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from math import prod
from threading import Lock
from typing import Any, NoReturn

from ...errors import InvalidArgument, PeerFailed, RankOutOfRange
from ..wildcards import PROC_NULL, UNDEFINED, means
from .collectives import Collectives
from .context import Context
from .group import Group
from .messages import integer


class Hub:
    """All classical communicators of one run."""

    def __init__(self, size: int) -> None:
        """With a world communicator of so many ranks."""
        self._numbers = count()
        self._make_error: Callable[[], BaseException] | None = None
        self._gone: set[int] = set()
        self._lock = Lock()
        self._agreed: dict[object, Context] = {}
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

    def agreed(self, key: object, members: tuple[int, ...]) -> Context:
        """The one context that all ranks mean by a key."""
        with self._lock:
            if key not in self._agreed:
                self._agreed[key] = self.context(members)
            return self._agreed[key]


class Classical(Collectives):
    """One rank's side of a communicator, with the interface of mpi4py's.

    Attributes:
        hub: the run it belongs to.
    """

    def __init__(self, hub: Hub, shared: Context, rank: int) -> None:
        """Of the given rank in the given context."""
        super().__init__(shared, rank)
        self.hub = hub
        self._created: Counter[object] = Counter()  # by members and tag

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
        place = self._split(color, key)
        return None if place is None else Classical(self.hub, *place)

    def _split(self, color: Any, key: Any) -> tuple[Context, int] | None:
        self._check()
        takes_part = color is not None and not means(color, UNDEFINED)
        if takes_part and integer(color) < 0:
            raise InvalidArgument(f"color {color!r} is not an integer from 0 on (or UNDEFINED, or None)")
        rows = self._gather((integer(color) if takes_part else None, operator.index(key)), 0)
        return self._scatter(None if rows is None else self._places(rows), 0)  # type: ignore[no-any-return]

    def Get_group(self) -> Group:
        """This communicator's ranks."""
        return Group(self.members, self.members[self.rank])

    def Create_group(self, group: Group, tag: int = 0) -> Classical | None:
        """A communicator of a group's ranks. **Collective** over these; None for others."""
        self._check()
        if set(group.members) - set(self.members):
            raise InvalidArgument("the group has ranks that the communicator has not")
        if group.rank is UNDEFINED:
            return None
        key = (self.context, group.members, integer(tag))
        self._created[key] += 1
        return Classical(self.hub, self.hub.agreed((*key, self._created[key]), group.members), group.rank)

    def Create(self, group: Group) -> Classical | None:
        """A communicator of a group's ranks; None for others. **Collective** over this communicator."""
        if set(group.members) - set(self.members):
            raise InvalidArgument("the group has ranks that the communicator has not")
        return self.Split(UNDEFINED if group.rank is UNDEFINED else 0, 0 if group.rank is UNDEFINED else group.rank)

    def Create_cart(self, dims: Sequence[int], periods: Sequence[bool] | None = None, reorder: bool = False) -> Cartesian | None:
        """A communicator whose ranks form a grid, in row-major order. **Collective.**

        Args:
            dims: ranks along each dimension.
            periods: which dimensions close to rings; by default none.
            reorder: ignored: ranks keep their order.

        Returns:
            The communicator; None for ranks that the grid has no place for.
        """
        shape = tuple(integer(count) for count in ([dims] if isinstance(dims, int) else dims))
        closed = (False,) * len(shape) if periods is None else tuple(bool(period) for period in periods)
        if len(closed) != len(shape) or any(count < 1 for count in shape) or prod(shape) > self.size:
            raise InvalidArgument(f"a grid of {shape} with periods {closed} does not fit {self.size} rank(s)")
        place = self._split(0 if self.rank < prod(shape) else UNDEFINED, self.rank)
        return None if place is None else Cartesian(self.hub, *place, shape, closed)

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


class Cartesian(Classical):
    """One rank's side of a communicator whose ranks form a grid.

    Attributes:
        dims: ranks along each dimension.
        periods: which dimensions close to rings.
        coords: this rank's place in each.
        ndim: the number of dimensions.
    """

    def __init__(self, hub: Hub, shared: Context, rank: int, dims: tuple[int, ...], periods: tuple[bool, ...]) -> None:
        """Of the given rank in the given context."""
        super().__init__(hub, shared, rank)
        self.dims, self.periods, self.ndim = list(dims), list(periods), len(dims)
        self.coords = self.Get_coords(rank)

    def Get_dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def Get_topo(self) -> tuple[list[int], list[bool], list[int]]:
        """Sizes, periods and this rank's coordinates."""
        return self.dims, self.periods, self.coords

    def Get_coords(self, rank: int) -> list[int]:
        """A rank's coordinates, row-major."""
        left = integer(rank)
        if not 0 <= left < self.size:
            raise RankOutOfRange(f"rank {rank!r} is not one of 0 … {self.size - 1}")
        coords = []
        for count_ in reversed(self.dims):
            left, place = divmod(left, count_)
            coords.append(place)
        return coords[::-1]

    def Get_cart_rank(self, coords: Sequence[int]) -> int:
        """The rank at these coordinates, taken round where the dimension is periodic."""
        if len(coords) != self.ndim:
            raise InvalidArgument(f"the grid has {self.ndim} dimension(s), not {len(coords)}")
        rank = 0
        for place, count_, closed in zip(map(integer, coords), self.dims, self.periods, strict=True):
            if not closed and not 0 <= place < count_:
                raise RankOutOfRange(f"coordinates {list(coords)!r} lie outside of the grid {self.dims}")
            rank = rank * count_ + place % count_
        return rank

    def Shift(self, direction: int, disp: int) -> tuple[Any, Any]:
        """The ranks so far back and ahead along a dimension, PROC_NULL beyond the border: source and destination of a shift."""
        if not 0 <= integer(direction) < self.ndim:
            raise InvalidArgument(f"direction {direction!r} is not one of 0 … {self.ndim - 1}")
        return self._neighbour(direction, -integer(disp)), self._neighbour(direction, integer(disp))

    def Sub(self, remain_dims: Sequence[bool]) -> Cartesian:
        """The grid of the ranks that differ from this one in these dimensions only. **Collective.**"""
        if len(remain_dims) != self.ndim:
            raise InvalidArgument(f"the grid has {self.ndim} dimension(s), not {len(remain_dims)}")
        dropped = [place if not keep else 0 for place, keep in zip(self.coords, remain_dims, strict=True)]
        place = self._split(self.Get_cart_rank(dropped), self.rank)
        assert place is not None
        kept = [k for k, keep in enumerate(remain_dims) if keep]
        return Cartesian(self.hub, *place, tuple(self.dims[k] for k in kept), tuple(self.periods[k] for k in kept))

    def _neighbour(self, direction: int, steps: int) -> Any:
        there = list(self.coords)
        there[direction] += steps
        if not self.periods[direction] and not 0 <= there[direction] < self.dims[direction]:
            return PROC_NULL
        return self.Get_cart_rank(there)
