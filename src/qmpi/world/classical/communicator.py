"""Communicators: `Hub` belongs to one run of the thread world, `Classical` is one rank's side of a communicator, `Cartesian` of one whose
ranks form a grid."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NoReturn

from ...errors import InvalidArgument, PeerFailed
from ...whole import whole
from ..wildcards import PROC_NULL, UNDEFINED, means, of_mpi4py
from .collectives import Collectives
from .context import Context
from .group import Group, members_of
from .topology import Grid


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

    def agree(self, comm: Classical, draw: Callable[[], int]) -> int:
        """A number that the n-th calls of all ranks of a communicator have in common. See `Context.agree`."""
        comm._check()
        return comm._shared.agree(comm.rank, draw)


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
        return self._twin(self._down(self.hub.context(self.members) if self.rank == 0 else None, 0))

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

    def Split_type(self, split_type: Any, key: Any = 0, info: Any = None) -> Classical | None:
        """A communicator of the ranks that share memory: all of them, as threads of one process do. **Collective.**

        Args:
            split_type: mpi4py's COMM_TYPE_SHARED; UNDEFINED takes no part.
            key: as of `Split`.
            info: ignored.
        """
        if means(split_type, UNDEFINED):
            return self.Split(None, key)
        if whole(split_type) != of_mpi4py("COMM_TYPE_SHARED"):
            raise InvalidArgument(f"ranks that are threads are split by no other type than mpi4py's COMM_TYPE_SHARED, not {split_type!r}")
        return self.Split(0, key)

    def _split(self, color: Any, key: Any) -> tuple[Context, int] | None:
        self._check()
        takes_part = color is not None and not means(color, UNDEFINED)
        if takes_part and whole(color) < 0:
            raise InvalidArgument(f"color {color!r} is not an integer from 0 on (or UNDEFINED, or None)")
        rows = self._gather((whole(color) if takes_part else None, operator.index(key)), 0)
        return self._scatter(None if rows is None else self._places(rows), 0)  # type: ignore[no-any-return]

    def Get_group(self) -> Group:
        """This communicator's ranks."""
        return Group(self.members, self.members[self.rank])

    def Create(self, group: Group) -> Classical | None:
        """A communicator of a group's ranks; None for others. **Collective.** Ranks may give groups that have no rank in common."""
        self._numbers_of(group)
        return self.Split(None) if group.rank is UNDEFINED else self.Split(group.members[0], group.rank)

    def Create_group(self, group: Group, tag: int = 0) -> Classical | None:
        """A communicator of a group's ranks; None for others. **Collective** over the group only.

        Args:
            group: some of this communicator's ranks, the same for all of them.
            tag: tells apart communicators that are being created at once.
        """
        self._check()
        numbers, channel = self._numbers_of(group), self._tag(tag) + 1  # 0 is that of the collective calls
        if group.rank is UNDEFINED:
            return None
        if group.rank == 0:
            shared = self.hub.context(group.members)
            for number in numbers[1:]:
                self._tell(number, shared, channel)
        else:
            shared = self._hear(numbers[0], channel)
        return Classical(self.hub, shared, group.rank)

    def Create_cart(self, dims: Sequence[int], periods: Sequence[bool] | None = None, reorder: bool = False) -> Cartesian | None:
        """A communicator whose ranks form a grid, in row-major order. **Collective.**

        Args:
            dims: ranks along each dimension.
            periods: which dimensions close to rings; by default none.
            reorder: ignored: ranks keep their order.

        Returns:
            The communicator; None for ranks for which the grid has no place.
        """
        grid = Grid.within(self.size, dims, periods)
        place = self._split(0 if self.rank < grid.size else None, self.rank)
        return None if place is None else Cartesian(self.hub, *place, grid)

    def Free(self) -> None:
        """Ends this rank's use of the communicator; waits for nobody."""
        self._freed = True

    def Abort(self, errorcode: int = 0) -> NoReturn:
        """Ends the run: this rank raises SystemExit, all others raise PeerFailed as soon as they communicate."""
        self.hub.end(lambda: PeerFailed(f"rank {self.members[self.rank]} has called Abort({errorcode})"))
        raise SystemExit(errorcode)

    def _twin(self, shared: Context) -> Classical:
        return Classical(self.hub, shared, self.rank)

    def _numbers_of(self, group: Group) -> list[int]:
        """What a group's ranks are called here."""
        numbers = {member: number for number, member in enumerate(self.members)}
        if not numbers.keys() >= set(members_of(group)):
            raise InvalidArgument("the group has ranks that the communicator has not")
        return [numbers[member] for member in group.members]

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
    """One rank's side of a communicator whose ranks form a grid."""

    def __init__(self, hub: Hub, shared: Context, rank: int, grid: Grid) -> None:
        """Of the given rank in the given context."""
        super().__init__(hub, shared, rank)
        self._grid = grid

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._grid.dims)

    @property
    def dims(self) -> list[int]:
        """Ranks along each dimension; yours to write."""
        return list(self._grid.dims)

    @property
    def periods(self) -> list[int]:
        """1 for each dimension that closes to a ring, 0 for others; yours to write."""
        return list(self._grid.periods)

    @property
    def coords(self) -> list[int]:
        """Where this rank is; yours to write."""
        return self._grid.coords(self.rank)

    @property
    def topo(self) -> tuple[list[int], list[int], list[int]]:
        """`dims`, `periods` and `coords`."""
        return self.dims, self.periods, self.coords

    dim = ndim

    def Get_dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def Get_topo(self) -> tuple[list[int], list[int], list[int]]:
        """`dims`, `periods` and `coords`."""
        return self.topo

    def Get_coords(self, rank: int) -> list[int]:
        """Where a rank is."""
        return self._grid.coords(rank)

    def Get_cart_rank(self, coords: Sequence[int]) -> int:
        """Who is there; along a ring, coordinates go round and round."""
        return self._grid.rank(coords)

    def Shift(self, direction: int, disp: int) -> tuple[Any, Any]:
        """Whom this rank receives from, and whom it sends to, if all send so many steps ahead; PROC_NULL beyond an open border."""
        source, dest = (PROC_NULL if rank is None else rank for rank in self._grid.neighbours(self.rank, direction, disp))
        return source, dest

    def Sub(self, remain_dims: Sequence[bool]) -> Cartesian:
        """The grid of the ranks that differ from this one in these dimensions only. **Collective.**"""
        first, grid = self._grid.part(self.rank, remain_dims)
        place = self._split(first, self.rank)
        assert place is not None
        return Cartesian(self.hub, *place, grid)

    def _twin(self, shared: Context) -> Cartesian:
        return Cartesian(self.hub, shared, self.rank, self._grid)
