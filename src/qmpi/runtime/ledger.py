"""The ledger: what a program cost, counted where it happens.

In faithful mode a pair is counted where it is created, a bit where it enters a mailbox, a measurement where a qubit is measured; the
shortcuts of fast mode charge what the protocol would have.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .._core import Arena, describe_site
from .._core import Session as Core
from ..gates import TABLE

Key = TypeVar("Key")


@dataclass(slots=True)
class Charges:
    """What something cost this rank.

    Attributes:
        epr_pairs: pairs created by this rank's operations.
        epr_halves: pairs this rank took part in.
        bits_sent: classical bits of the protocols that this rank sent.
        bits_received: those it received.
        measurements: of protocols and of the user.
    """

    epr_pairs: int = 0
    epr_halves: int = 0
    bits_sent: int = 0
    bits_received: int = 0
    measurements: int = 0

    def add(self, charges: tuple[int, int, int, int, int]) -> None:
        """Adds what an operation was charged.

        Args:
            charges: one number per attribute, in their order.
        """
        self.epr_pairs += charges[0]
        self.epr_halves += charges[1]
        self.bits_sent += charges[2]
        self.bits_received += charges[3]
        self.measurements += charges[4]

    def numbers(self) -> tuple[int, int, int, int, int]:
        """One number per attribute, in their order."""
        return self.epr_pairs, self.epr_halves, self.bits_sent, self.bits_received, self.measurements

    def __sub__(self, other: Charges) -> Charges:
        return Charges(*map(operator.sub, self.numbers(), other.numbers()))


@dataclass(frozen=True, slots=True)
class Total:
    """What all ranks of a communicator spent since the start.

    Attributes:
        epr_pairs: pairs created, each counted once.
        classical_bits: bits that protocols sent.
        measurements: all measurements.
        gates: gates the users' programs applied.
    """

    epr_pairs: int
    classical_bits: int
    measurements: int
    gates: int


class Book:
    """One rank's records, shared by the ledgers of all its communicators: one entry per call, call site and communicator."""

    def __init__(self, core: Core, arena: Arena) -> None:
        """An empty book."""
        self.core = core
        self.arena = arena
        self.entries: defaultdict[tuple[str, int, str], Charges] = defaultdict(Charges)
        self.sections: dict[str, Charges] = {}

    def charge(self, call: str, site: int, comm: str, charges: tuple[int, int, int, int, int]) -> None:
        """Books one side of an operation."""
        self.entries[call, site, comm].add(charges)

    def sum(self) -> Charges:
        """All that has been booked."""
        return _added(self.entries.values())

    def now(self) -> Charges:
        """The sum so far, the user's measurements included."""
        total = self.sum()
        total.measurements = self.core.measurements
        return total


def _added(parts: Iterable[Charges]) -> Charges:
    total = Charges()
    for part in parts:
        total.add(part.numbers())
    return total


class Ledger:
    """What this rank spent, as `comm.ledger`. One book per rank; only `total` belongs to the communicator."""

    def __init__(self, book: Book, all_ranks: Callable[[bytes], list[bytes]]) -> None:
        """A view of `book` whose totals go over `all_ranks`, an allgather."""
        self._book = book
        self._all_ranks = all_ranks

    @property
    def epr_halves(self) -> int:
        """EPR pairs this rank took part in."""
        return self._book.sum().epr_halves

    @property
    def bits_sent(self) -> int:
        """Classical bits that protocols sent from this rank."""
        return self._book.sum().bits_sent

    @property
    def bits_received(self) -> int:
        """Classical bits that protocols brought to this rank."""
        return self._book.sum().bits_received

    @property
    def measurements(self) -> int:
        """Measurements of this rank's qubits, by the program and by protocols."""
        return int(self._book.core.measurements)

    @property
    def gates(self) -> dict[str, int]:
        """Gates this rank's program applied, by name."""
        counts = self._book.core.gate_counts
        return {name: counts[row.code] for name, row in TABLE.items() if counts[row.code]}

    @property
    def peak_qubits(self) -> int:
        """Most qubits this rank held at once."""
        return int(self._book.core.peak_held)

    @property
    def peak_epr_buffer(self) -> int:
        """Most unreceived qubits that waited for this rank at once."""
        return int(self._book.arena.peak_held(self._book.core.rank))

    @property
    def by_call(self) -> dict[tuple[str, str], Charges]:
        """Charges by (call, source line)."""
        return self._grouped(lambda call, site, comm: (call, describe_site(site)))

    @property
    def by_comm(self) -> dict[str, Charges]:
        """Charges by communicator name."""
        return self._grouped(lambda call, site, comm: comm)

    def _grouped(self, key: Callable[[str, int, str], Key]) -> dict[Key, Charges]:
        groups: defaultdict[Key, Charges] = defaultdict(Charges)
        for entry, charges in self._book.entries.items():
            groups[key(*entry)].add(charges.numbers())
        return dict(groups)

    @property
    def sections(self) -> dict[str, Charges]:
        """Charges by named section; a name used twice adds up."""
        return dict(self._book.sections)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Names a part of the program: what it costs appears in `sections[name]`.

        Args:
            name: a name used twice adds up.
        """
        before = self._book.now()
        try:
            yield
        finally:
            spent = self._book.now() - before
            self._book.sections.setdefault(name, Charges()).add(spent.numbers())

    def total(self) -> Total:
        """What all ranks of the communicator spent.

        **Collective.** Cost: 0 EPR pairs, 0 bits.
        """
        now = self._book.now()
        mine = np.array([now.epr_pairs, now.bits_sent, now.measurements, sum(self._book.core.gate_counts)], np.int64)
        rows = [np.frombuffer(row, np.int64) for row in self._all_ranks(mine.tobytes())]
        return Total(*(int(value) for value in np.sum(rows, axis=0)))
