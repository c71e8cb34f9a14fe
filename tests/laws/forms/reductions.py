"""Calls that combine states, the operators they combine with, and these operators as functions of integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

import qmpi
from qmpi.gates import ccx, cx

from .case import Arguments, Bits, Case, Cost, Rows, Side, copies

# --- operators -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator, and what it does to two items of `width` qubits; `widths`: those it is defined for."""

    op: qmpi.Op
    formula: Callable[[int, int, int], int]
    widths: tuple[int, ...] = (1, 2, 3)


def _flagged(acc: qmpi.Register, x: qmpi.Register, out: qmpi.Register, flags: qmpi.Register) -> None:
    ccx(acc, x, flags)
    cx(flags, out)


def _unflagged(acc: qmpi.Register, x: qmpi.Register, out: qmpi.Register, flags: qmpi.Register) -> None:
    cx(flags, out)
    ccx(acc, x, flags)


def _compose(acc: qmpi.Register, x: qmpi.Register, out: qmpi.Register) -> None:
    """The symmetries of a square: (r, s)∘(r', s') = (r + (-1)^s r' mod 4, s + s'); qubits 0 and 1 are r, qubit 2 is s."""
    cx(acc, out)
    cx(x, out)
    ccx(acc[0], x[0], out[1])
    ccx(acc[2], x[0], out[1])


def _compose_in_place(acc: qmpi.Register, x: qmpi.Register, _: qmpi.Register) -> None:
    ccx(acc[0], x[0], acc[1])
    ccx(acc[2], x[0], acc[1])
    cx(x, acc)


def _decompose_in_place(acc: qmpi.Register, x: qmpi.Register, _: qmpi.Register) -> None:
    cx(x, acc)
    ccx(acc[2], x[0], acc[1])
    ccx(acc[0], x[0], acc[1])


def _symmetry(a: int, b: int, _: int) -> int:
    turned = a % 4 + (-1 if a & 4 else 1) * (b % 4)
    return turned % 4 | (a ^ b) & 4


OPERATORS = {
    "PARITY": Operator(qmpi.PARITY, lambda a, b, _: a ^ b),
    "SUM": Operator(qmpi.SUM, lambda a, b, width: (a + b) % 2**width),
    "BAND": Operator(qmpi.BAND, lambda a, b, _: a & b),
    "BOR": Operator(qmpi.BOR, lambda a, b, _: a | b),
    "MIN": Operator(qmpi.MIN, lambda a, b, _: min(a, b)),
    "MAX": Operator(qmpi.MAX, lambda a, b, _: max(a, b)),
    "with flags": Operator(qmpi.Op(_flagged, _unflagged, scratch=lambda width: width), lambda a, b, _: a & b),
    "in order": Operator(qmpi.Op(_compose, _compose, commute=False), _symmetry, (3,)),
    "in order, in place": Operator(qmpi.Op(_compose_in_place, _decompose_in_place, inplace=True, commute=False), _symmetry, (3,)),
}
BY_MPI4PY = {"PARITY": "BXOR", "SUM": "SUM", "BAND": "BAND", "BOR": "BOR", "MIN": "MIN", "MAX": "MAX"}


# --- items -----------------------------------------------------------------------------------------------------------------------------


def packed(bits: Bits, widths: Sequence[int]) -> list[int]:
    """The items, as integers."""
    items, begin = [], 0
    for width in widths:
        items.append(sum(int(bit) << k for k, bit in enumerate(bits[begin : begin + width])))
        begin += width
    return items


def unpacked(items: Sequence[int], widths: Sequence[int]) -> Bits:
    return np.array([item >> k & 1 for item, width in zip(items, widths, strict=True) for k in range(width)], np.uint8)


def fold(operator: Operator, rows: Sequence[list[int]], widths: Sequence[int]) -> list[int]:
    """All rows combined, item by item, the first one leftmost."""
    return reduce(lambda a, b: [operator.formula(*pair) for pair in zip(a, b, widths, strict=True)], rows)


# --- calls -----------------------------------------------------------------------------------------------------------------------------


def reduction(
    call: str, style: str, rng: np.random.Generator, size: int, most: int, name: str = "PARITY", algorithm: str = "linear"
) -> Case:
    """A random call: root, number and width of items. style: of the buffers, "given", "none" (recvq) or "in place"."""
    operator, ranks, root = OPERATORS[name], range(size), int(rng.integers(size))
    by_parts, in_place = call.startswith("reduce_scatter"), style == "in place"
    width = int(rng.choice(operator.widths)) if most > 1 else min(operator.widths)
    if call == "reduce_scatter":
        numbers = [int(rng.integers(most)) for _ in ranks]
    else:
        numbers = [int(rng.integers(most == 1, most + 1))] * (size if by_parts else 1)
    one_item = width if max(numbers) > 1 or rng.integers(2) else None  # as the width argument has it
    parts = [[width] * number for number in numbers]
    whole = [count for part in parts for count in part]
    length = sum(whole)

    def enters(rank: int) -> list[int]:
        """The ranks whose data are in this one's result."""
        last = {"scan": rank, "exscan": rank - 1}.get(call, size - 1)
        return list(range(last + 1)) if call != "reduce" or rank == root else []

    def result(rank: int) -> slice:
        """Of all items, those whose combination this rank has."""
        return slice(sum(numbers[:rank]), sum(numbers[: rank + 1])) if by_parts else slice(0, numbers[0])

    def at_home(rank: int) -> bool:
        return in_place and (call != "reduce" or rank == root)

    def side(rank: int) -> Side:
        if not (call != "reduce" or rank == root):
            return Side(send=length)
        size_ = sum(whole[result(rank)])
        if at_home(rank):
            return Side(recv=length)
        written = frozenset(range(size_ if enters(rank) else 0))
        return Side(length, 0 if style == "none" and not enters(rank) else size_, written, style == "none")

    def arguments(rank: int, send: Any, recv: Any) -> Arguments:
        given: Arguments = {"sendq": qmpi.IN_PLACE if at_home(rank) else send, "recvq": recv, "op": operator.op, "width": one_item}
        if call == "reduce":
            given |= {"root": root, "algorithm": algorithm}
        if call == "reduce_scatter":
            given["recvcounts"] = [sum(part) for part in parts]
        return given

    def brought(rows: Rows, rank: int) -> Bits:
        return rows[rank]["recv" if at_home(rank) else "send"]

    def effect(rows: Rows) -> Rows:
        after = [{buffer: bits.copy() for buffer, bits in row.items()} for row in rows]
        items = [packed(brought(rows, rank), whole) for rank in ranks]
        for rank in ranks:
            if not enters(rank):
                continue
            if at_home(rank):
                after[rank]["recv"][:] = 0  # what stood there is kept elsewhere
            combined = fold(operator, [items[source][result(rank)] for source in enters(rank)], whole[result(rank)])
            got = unpacked(combined, whole[result(rank)])
            after[rank]["recv"][: len(got)] = got
        return after

    def by_mpi(mpi: Any, rank: int, send: Bits, recv: Bits) -> dict[int, int]:
        from mpi4py import MPI

        def combine(a: Any, b: Any, _: Any) -> None:
            left, right = np.frombuffer(a, np.uint8), np.frombuffer(b, np.uint8)
            right[:] = [operator.formula(int(x), int(y), width) for x, y in zip(left, right, strict=True)]

        op = getattr(MPI, BY_MPI4PY[name]) if name in BY_MPI4PY else MPI.Op.Create(combine, operator.op.commute)
        mine = whole[result(rank)]
        stays = at_home(rank)
        target = np.array(packed(recv, whole) if stays else [0] * len(mine), np.uint8)
        source: Any = MPI.IN_PLACE if stays else np.array(packed(send, whole), np.uint8)
        settings = {"root": root} if call == "reduce" else {"recvcounts": numbers} if call == "reduce_scatter" else {}
        getattr(mpi, call.capitalize())(source, target if call != "reduce" or rank == root else None, op=op, **settings)
        if name not in BY_MPI4PY:
            op.Free()
        got = unpacked([int(item) % 2**width for item in target[: len(mine)]], mine)
        return dict(enumerate(got)) if enters(rank) else {}

    def returns(rank: int, send: qmpi.Register, recv: qmpi.Register) -> qmpi.Register:
        return recv[: sum(whole[result(rank)])] if enters(rank) else qmpi.Register()

    crossing = (size - 1) * length * (2 if call == "allreduce" else 1)
    cost = copies(crossing) if algorithm == "linear" else Cost(crossing, 2 * crossing, 0, crossing)
    text = f"{name}, {algorithm}, {style}, root {root}, items {parts}"
    return Case(call, tuple(map(side, ranks)), arguments, effect, by_mpi, returns, cost, text)
