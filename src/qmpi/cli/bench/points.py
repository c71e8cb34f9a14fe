"""What is measured: registers of some sizes on some numbers of ranks, as long as they can be, and fit. Knows no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...engine.nodes import Nodes
from ...engine.statevector import MOST_QUBITS
from ...errors import InvalidArgument
from ...world.settings import readable_bytes
from ..options import in_one_line
from .workloads import LEAST_QUBITS

BYTES = {"complex128": 16, "complex64": 8}  # of an amplitude
_SOME = re.compile(r"(\d+)(?::(\d+)(?::(\d+))?)?")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A register on some ranks.

    Attributes:
        qubits: of the register.
        ranks: that share it.
    """

    qubits: int
    ranks: int

    def __str__(self) -> str:
        """As `24 qubits on 2 ranks`."""
        return f"{self.qubits} qubits on {plural(self.ranks, 'rank')}"


def plural(count: int, noun: str) -> str:
    """As `1 rank`, `2 ranks`."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def numbers(text: str, least: int, most: int) -> list[int]:
    """The numbers that `4`, `1,2,4`, `16:24:4` (from 16 to 24 in steps of 4) or a mixture of them means, in order.

    Raises:
        ValueError: it means none, or one outside of least … most.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _SOME.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a list of whole numbers such as 4 or 1,2,4 or 16:24:4")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if first > last or step < 1:
            raise ValueError(f"{part.strip()!r} has no numbers: a range is FROM:TO or FROM:TO:STEP, and goes up")
        if not least <= first <= last <= most:
            raise ValueError(f"{part.strip()!r} is not within {least} to {most}")
        found.update(range(first, last + 1, step))
    return sorted(found)


def points(qubits: Sequence[int], ranks: Sequence[int], scaling: str) -> list[Point]:
    """What is to be measured, small registers first.

    Args:
        qubits: sizes of registers; in weak scaling, those on one rank.
        ranks: numbers of ranks.
        scaling: `strong`, the same register on all numbers of ranks; `weak`, a qubit more for every doubling; or `both`.

    Raises:
        ValueError: a number of ranks that does not come from doubling, a register that cannot be, or ranks that make no nodes.
    """
    found = {Point(n, p) for n in qubits for p in ranks} if scaling != "weak" else set()
    if scaling != "strong":
        odd = [p for p in ranks if p & (p - 1)]
        if odd:
            raise ValueError(f"weak scaling doubles the ranks, and {odd[0]} is not 1, 2, 4, ...")
        found |= {Point(n + p.bit_length() - 1, p) for n in qubits for p in ranks}
    for point in sorted(found):
        _refuse_impossible(point)
    return sorted(found)


def _refuse_impossible(point: Point) -> None:
    try:
        nodes = Nodes.of(point.ranks)
    except InvalidArgument as error:
        raise ValueError(in_one_line(error)) from None
    if point.qubits > MOST_QUBITS:
        raise ValueError(f"{point} are too many: a state vector has at most {MOST_QUBITS}")
    if point.qubits - nodes.bits < LEAST_QUBITS:
        raise ValueError(f"{point} are too few: the suite needs {LEAST_QUBITS} on a node, so here {LEAST_QUBITS + nodes.bits}")


def refuse_too_large(wanted: Iterable[Point], dtype: str, allowed: int, free: int | None) -> None:
    """Refuses registers that do not fit into memory.

    Args:
        wanted: what is to be measured.
        dtype: of the amplitudes.
        allowed: bytes that states may take.
        free: bytes that nobody uses; None if that is not known.

    Raises:
        ValueError: one does not fit; the text says which would.
    """
    largest = max(wanted)
    limit, why = (free, "are free") if free is not None and free < allowed else (allowed, "are allowed (QMPI_MEMORY)")
    most = (limit // BYTES[dtype]).bit_length() - 1
    if largest.qubits > most:
        raise ValueError(
            f"{largest.qubits} qubits of {dtype} need {readable_bytes(BYTES[dtype] << largest.qubits)}, {readable_bytes(limit)} {why}: "
            f"{LEAST_QUBITS} to {most} qubits fit"
        )
