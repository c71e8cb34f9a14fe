"""Where the amplitudes of a state vector lie: which ranks make a node, which qubit is at which bit. Knows no amplitudes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a communicator, each with the same number of ranks in a row.

    Attributes:
        count: how many, a power of two.
        ranks_each: ranks of a node.
        bits: log2 of the count.
    """

    count: int
    ranks_each: int

    @property
    def bits(self) -> int:
        """Bits of a node's number."""
        return self.count.bit_length() - 1

    @property
    def leaders(self) -> list[int]:
        """The rank that acts for each node."""
        return [node * self.ranks_each for node in range(self.count)]

    @staticmethod
    def of(ranks: int) -> Nodes:
        """The nodes of so many ranks of one machine: one, unless QMPI_RANKS_PER_NODE pretends that there are more.

        Raises:
            InvalidArgument: they would not be 2ᵍ nodes of that size.
        """
        text = os.environ.get("QMPI_RANKS_PER_NODE", "")
        if not text:
            return Nodes(1, ranks)
        each = int(text) if text.isdecimal() else 0
        if each < 1:
            raise InvalidArgument(f"QMPI_RANKS_PER_NODE must be a positive whole number, not {text!r}")
        count = ranks // each
        if ranks % each or count & (count - 1):
            raise InvalidArgument(
                f"QMPI_RANKS_PER_NODE={each} makes no power of two of nodes out of {ranks} ranks: a state vector needs 1, 2, 4, ... nodes"
            )
        return Nodes(count, each)
