"""Groups of ranks, with mpi4py's names: sets with an order. They communicate nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import InvalidArgument, RankOutOfRange
from ..wildcards import PROC_NULL, UNDEFINED, means
from .integers import integers


def members_of(group: Any) -> tuple[int, ...]:
    """World rank of each of a group's ranks.

    Raises:
        InvalidArgument: it is no group of this world.
    """
    if not isinstance(group, Group):
        raise InvalidArgument(f"expecting a group of the thread world (as comm.mpi.Get_group() gives), not {group!r}")
    return group.members


class Group:
    """Some ranks of a run, in an order.

    Attributes:
        members: world rank of each.
        rank: this rank's place, or UNDEFINED.
        size: how many there are.
    """

    def __init__(self, members: Iterable[int], own: int) -> None:
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
        return Group((self.members[place] for place in self._places(ranks)), self._own)

    def Excl(self, ranks: Sequence[int]) -> Group:
        """All but the ranks at these places."""
        left_out = set(self._places(ranks))
        return Group((member for place, member in enumerate(self.members) if place not in left_out), self._own)

    @classmethod
    def Union(cls, group1: Group, group2: Group) -> Group:
        """The first group's ranks, then those that only the second has."""
        return cls(dict.fromkeys(members_of(group1) + members_of(group2)), group1._own)

    @classmethod
    def Intersection(cls, group1: Group, group2: Group) -> Group:
        """The first group's ranks that the second has, too."""
        others = set(members_of(group2))
        return cls((member for member in members_of(group1) if member in others), group1._own)

    @classmethod
    def Difference(cls, group1: Group, group2: Group) -> Group:
        """The first group's ranks that the second has not."""
        others = set(members_of(group2))
        return cls((member for member in members_of(group1) if member not in others), group1._own)

    def Translate_ranks(self, ranks: Sequence[int] | None = None, group: Group | None = None) -> list[Any]:
        """What ranks of this group are called in another one: UNDEFINED for those it has not, PROC_NULL for PROC_NULL.

        Args:
            ranks: some of this group's; all by default.
            group: the other one; the world's by default.
        """
        places = {member: place for place, member in enumerate(members_of(group))} if group is not None else {}

        def translated(rank: Any) -> Any:
            if means(rank, PROC_NULL):
                return rank
            member = self.members[self._places([rank])[0]]
            return member if group is None else places.get(member, UNDEFINED)

        return [translated(rank) for rank in (range(self.size) if ranks is None else ranks)]

    def Free(self) -> None:
        """Does nothing: a group holds nothing."""

    def _places(self, ranks: Any) -> tuple[int, ...]:
        places = integers(ranks)
        if any(not 0 <= place < self.size for place in places):
            raise RankOutOfRange(f"ranks {list(ranks)!r} are not all of 0 to {self.size - 1}, which the group has")
        if len(set(places)) < len(places):
            raise InvalidArgument(f"ranks {list(ranks)!r} of a group must be different")
        return places

    def __repr__(self) -> str:
        """As `<group of world ranks 0, 2>`."""
        return f"<group of world ranks {', '.join(map(str, self.members))}>"
