"""Groups of ranks, with mpi4py's names: sets with an order. They communicate nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import InvalidArgument
from ..wildcards import UNDEFINED
from .messages import integer


class Group:
    """Some ranks of a run, in an order.

    Attributes:
        members: world rank of each.
        rank: this rank's place, or UNDEFINED.
        size: how many there are.
    """

    def __init__(self, members: Sequence[int], own: int) -> None:
        """Of these world ranks; `own` is the caller's."""
        self.members = tuple(members)
        self._own = own
        self.size = len(self.members)
        self.rank: Any = self.members.index(own) if own in self.members else UNDEFINED

    def Get_rank(self) -> Any:
        """This rank's place in the group, or UNDEFINED."""
        return self.rank

    def Get_size(self) -> int:
        """The number of ranks."""
        return self.size

    def Incl(self, ranks: Sequence[int]) -> Group:
        """The ranks at these places, in this order."""
        return self._of([self.members[place] for place in self._places(ranks)])

    def Excl(self, ranks: Sequence[int]) -> Group:
        """All but the ranks at these places."""
        left_out = set(self._places(ranks))
        return self._of([member for place, member in enumerate(self.members) if place not in left_out])

    @classmethod
    def Union(cls, group1: Group, group2: Group) -> Group:
        """The first group's ranks, then those that only the second has."""
        return group1._of(dict.fromkeys(group1.members + group2.members))

    @classmethod
    def Intersection(cls, group1: Group, group2: Group) -> Group:
        """The first group's ranks that the second has, too."""
        return group1._of([member for member in group1.members if member in group2.members])

    @classmethod
    def Difference(cls, group1: Group, group2: Group) -> Group:
        """The first group's ranks that the second has not."""
        return group1._of([member for member in group1.members if member not in group2.members])

    def Translate_ranks(self, ranks: Sequence[int] | None = None, group: Group | None = None) -> list[Any]:
        """The places that these ranks have in another group, UNDEFINED for those that are not there."""
        assert group is not None
        places = range(self.size) if ranks is None else self._places(ranks)
        return [group.members.index(self.members[place]) if self.members[place] in group.members else UNDEFINED for place in places]

    def Free(self) -> None:
        """Nothing is held."""

    def _of(self, members: Any) -> Group:
        return Group(tuple(members), self._own)

    def _places(self, ranks: Sequence[int]) -> list[int]:
        places = [integer(rank) for rank in ranks]
        if len(set(places)) < len(places) or any(not 0 <= place < self.size for place in places):
            raise InvalidArgument(f"ranks of the group are different numbers from 0 to {self.size - 1}, not {list(ranks)!r}")
        return places
