"""Grids of ranks: numbers and coordinates, row-major as MPI has them, and who is next to whom. Knows nothing of communicators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ...errors import InvalidArgument, RankOutOfRange
from ...whole import whole
from .integers import integers


@dataclass(frozen=True, slots=True)
class Grid:
    """Ranks in as many dimensions as one likes, in none too: that is one rank.

    Attributes:
        dims: how many ranks there are along each dimension.
        periods: whether it closes to a ring, 0 or 1 for each.
    """

    dims: tuple[int, ...]
    periods: tuple[int, ...]

    @classmethod
    def within(cls, size: int, dims: Any, periods: Any) -> Grid:
        """A grid as a program describes it, for at most so many ranks. One truth value stands for all periods, None for False.

        Raises:
            InvalidArgument: it describes none.
        """
        counts = integers(dims)
        if any(count < 1 for count in counts) or prod(counts) > size:
            raise InvalidArgument(f"dims {dims!r} make no grid of 1 to {size} ranks")
        closed = [bool(periods)] * len(counts) if periods is None or isinstance(periods, bool) else periods
        return cls(counts, tuple(int(bool(each)) for each in integers(closed, len(counts))))

    @property
    def size(self) -> int:
        """The number of ranks."""
        return prod(self.dims)

    def coords(self, rank: Any) -> list[int]:
        """Where a rank is.

        Raises:
            RankOutOfRange: the grid has no such rank.
        """
        left = whole(rank)
        if not 0 <= left < self.size:
            raise RankOutOfRange(f"rank {rank!r} is not one of 0 to {self.size - 1}")
        coords = []
        for count in reversed(self.dims):
            left, place = divmod(left, count)
            coords.append(place)
        return coords[::-1]

    def rank(self, coords: Any) -> int:
        """Who is there; along a ring, coordinates go round and round.

        Raises:
            InvalidArgument: the grid has another number of dimensions.
            RankOutOfRange: there is nobody.
        """
        rank = 0
        for place, count, closed in zip(integers(coords, len(self.dims)), self.dims, self.periods, strict=True):
            if not closed and not 0 <= place < count:
                raise RankOutOfRange(f"coordinates {list(coords)!r} lie outside of the grid {list(self.dims)!r}")
            rank = rank * count + place % count
        return rank

    def neighbours(self, rank: int, direction: Any, disp: Any) -> list[int | None]:
        """Who is so many steps behind a rank along a dimension, and who ahead; None beyond an open border.

        Raises:
            InvalidArgument: there is no such dimension.
        """
        if not 0 <= whole(direction) < len(self.dims):
            raise InvalidArgument(f"direction {direction!r} is not one of the {len(self.dims)} dimensions, which count from 0")
        (steps,) = integers([disp])
        here = self.coords(rank)

        def at(place: int) -> int | None:
            if not self.periods[direction] and not 0 <= place < self.dims[direction]:
                return None
            return self.rank([*here[:direction], place, *here[direction + 1 :]])

        return [at(here[direction] - steps), at(here[direction] + steps)]

    def part(self, rank: int, remain_dims: Any) -> tuple[int, Grid]:
        """The part of the grid that differs from a rank in these dimensions only: the first rank in it, and its shape.

        Raises:
            InvalidArgument: the grid has another number of dimensions.
        """
        remain = integers(remain_dims, len(self.dims))

        def kept(values: Sequence[int]) -> tuple[int, ...]:
            return tuple(value for value, keep in zip(values, remain, strict=True) if keep)

        first = [0 if keep else place for place, keep in zip(self.coords(rank), remain, strict=True)]
        return self.rank(first), Grid(kept(self.dims), kept(self.periods))
