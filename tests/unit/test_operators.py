"""The operators of reductions, item by item, against Python's integers. One rank: they know no messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qmpi
from qmpi import errors
from qmpi.comm.operators import Op
from qmpi.gates import cx, u, x

FORMULA: dict[Op, Callable[[int, int, int], int]] = {
    qmpi.PARITY: lambda a, b, _: a ^ b,
    qmpi.SUM: lambda a, b, width: (a + b) % 2**width,
    qmpi.BAND: lambda a, b, _: a & b,
    qmpi.BOR: lambda a, b, _: a | b,
    qmpi.MIN: lambda a, b, _: min(a, b),
    qmpi.MAX: lambda a, b, _: max(a, b),
}
MOST_CCX: dict[Op, Callable[[int], int]] = {
    qmpi.PARITY: lambda _: 0,
    qmpi.SUM: lambda width: 2 * (width - 1),
    qmpi.BAND: lambda width: width,
    qmpi.BOR: lambda width: width,
    qmpi.MIN: lambda width: 3 * width - 1,
    qmpi.MAX: lambda width: 3 * width - 1,
}
IN_PLACE = [qmpi.PARITY, qmpi.SUM]
EXACT = 1e-12

every_operator = pytest.mark.parametrize("op", FORMULA, ids=repr)
every_width = pytest.mark.parametrize("width", [1, 2, 3, 4])


@dataclass(frozen=True, slots=True)
class Item:
    """The registers of one application. In place, out is acc."""

    acc: qmpi.Register
    x: qmpi.Register
    out: qmpi.Register
    scratch: qmpi.Register

    def all(self) -> qmpi.Register:
        """Every qubit once: acc, x, out unless it is acc, scratch."""
        return self.acc + self.x + (qmpi.Register() if self.out is self.acc else self.out) + self.scratch

    def numbers(self) -> tuple[int, ...]:
        """What acc, x, out and scratch hold, measured."""
        return tuple(int(qmpi.measure(q)) for q in (self.acc, self.x, self.out, self.scratch))


def some(count: int) -> qmpi.Register:
    """So many qubits in |0⟩, perhaps none."""
    return qmpi.COMM_WORLD.alloc(count) if count else qmpi.Register()


def holding(value: int, width: int) -> qmpi.Register:
    q = some(width)
    for k in range(width):
        if value >> k & 1:
            x(q[k])
    return q


def item(op: Op, acc: qmpi.Register, right: qmpi.Register) -> Item:
    return Item(acc, right, acc if op.inplace else some(len(acc)), some(op.scratch_for(len(acc))))


def basis_item(op: Op, width: int, a: int, b: int) -> Item:
    return item(op, holding(a, width), holding(b, width))


def apply(op: Op, on: Item) -> None:
    op.apply(on.acc, on.x, on.out, on.scratch)


def undo(op: Op, on: Item) -> None:
    op.undo(on.acc, on.x, on.out, on.scratch)


def alone(program: Callable[[], Any]) -> Any:
    """What the program returns on a world of one rank."""
    return qmpi.run(program, 1, dtype="complex128")[0]


def pairs(width: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(1 << width) for b in range(1 << width)]


# --- basis states -------------------------------------------------------------------------------------------


@every_operator
@every_width
def test_the_result_is_that_of_integers_and_the_operands_stay(op: Op, width: int) -> None:
    def program() -> None:
        for a, b in pairs(width):
            on = basis_item(op, width, a, b)
            apply(op, on)
            acc, right, out, _ = on.numbers()
            assert out == FORMULA[op](a, b, width), f"{a} {op} {b} gave {out}"
            assert right == b and acc == (out if op.inplace else a), f"{a} {op} {b} left {acc} and {right}"
            qmpi.COMM_WORLD.free(on.all())

    alone(program)


@every_operator
@every_width
def test_scratch_is_clean_in_place_and_at_most_one_flag_otherwise(op: Op, width: int) -> None:
    def program() -> int:
        dirty = 0
        for a, b in pairs(width):
            on = basis_item(op, width, a, b)
            apply(op, on)
            dirty |= on.numbers()[3]
            qmpi.COMM_WORLD.free(on.all())
        return dirty

    dirty = alone(program)
    assert dirty.bit_count() <= (0 if op.inplace else 1), f"scratch qubits that were 1 at some time: {dirty:b}"


@every_operator
@every_width
def test_undo_returns_operands_result_and_scratch(op: Op, width: int) -> None:
    def program() -> None:
        for a, b in pairs(width):
            on = basis_item(op, width, a, b)
            apply(op, on)
            undo(op, on)
            assert on.numbers() == (a, b, a if op.inplace else 0, 0)
            qmpi.COMM_WORLD.free(on.all())

    alone(program)


@every_operator
@every_width
def test_basis_states_stay_product_states(op: Op, width: int) -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD
        before = comm.store_report()
        for a, b in pairs(width):
            on = basis_item(op, width, a, b)
            apply(op, on)
            undo(op, on)
            comm.free(on.all())
        after = comm.store_report()
        assert (after.merges, after.peak_component) == (before.merges, before.peak_component)

    alone(program)


@every_operator
@every_width
def test_the_gates_are_x_cx_and_as_many_ccx_as_documented_both_ways(op: Op, width: int) -> None:
    def program() -> None:
        ledger = qmpi.COMM_WORLD.ledger
        on = basis_item(op, width, 0, 0)
        for circuit in (apply, undo):
            before = ledger.gates
            circuit(op, on)
            spent = {name: count - before.get(name, 0) for name, count in ledger.gates.items()}
            assert spent.keys() <= {"x", "cx", "ccx"}
            assert spent.get("ccx", 0) <= MOST_CCX[op](width), f"{op}: {spent}"
            assert sum(spent.values()) > 0, "the ledger saw no gate"

    alone(program)


# --- superpositions -----------------------------------------------------------------------------------------


def entangled_item(op: Op, width: int, seed: int) -> tuple[Item, qmpi.Register]:
    """Operands and a spectator qubit in a random joint state, all amplitudes of which differ; and all qubits, the spectator last."""
    on = item(op, some(width), some(width))
    spectator = some(1)
    rng = np.random.default_rng(seed)
    mixed = on.acc + on.x + spectator
    for _ in range(3):
        for k, angles in enumerate(rng.uniform(0.3, 2.8, (len(mixed), 3))):
            u(*angles, mixed[k])
            cx(mixed[k], mixed[(k + 1) % len(mixed)])
    return on, on.all() + spectator


some_widths, some_seeds = st.integers(1, 3), st.integers(0, 2**32 - 1)


@every_operator
@settings(max_examples=8)
@given(width=some_widths, seed=some_seeds)
def test_undo_after_apply_is_the_identity_on_superpositions(op: Op, width: int, seed: int) -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD
        on, qubits = entangled_item(op, width, seed)
        before = comm.statevector(qubits)
        apply(op, on)
        moved = comm.statevector(qubits)
        undo(op, on)
        assert np.abs(moved - before).max() > 1e-3, "apply did nothing"
        np.testing.assert_allclose(comm.statevector(qubits), before, atol=EXACT, rtol=0)

    alone(program)


@every_operator
@settings(max_examples=8)
@given(width=some_widths, seed=some_seeds)
def test_superpositions_go_where_their_basis_states_go_without_a_phase(op: Op, width: int, seed: int) -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD
        goes_to = {}
        for a, b in pairs(width):
            on = basis_item(op, width, a, b)
            apply(op, on)
            goes_to[a | b << width] = int(qmpi.measure(on.all()))
        on, qubits = entangled_item(op, width, seed)
        before = comm.statevector(qubits)
        expected = np.zeros_like(before)
        top = len(qubits) - 1
        for start, end in goes_to.items():
            for spectator in (0, 1 << top):
                expected[end | spectator] = before[start | spectator]
        apply(op, on)
        np.testing.assert_allclose(comm.statevector(qubits), expected, atol=EXACT, rtol=0)

    alone(program)


# --- algebra ------------------------------------------------------------------------------------------------


def combined(op: Op, left: qmpi.Register, right: qmpi.Register) -> qmpi.Register:
    on = item(op, left, right)
    apply(op, on)
    return on.out


@every_operator
@pytest.mark.parametrize("width", [1, 2, 3])
def test_grouping_does_not_matter(op: Op, width: int) -> None:
    def program() -> None:
        formula = FORMULA[op]
        for numbers in product(range(1 << width), repeat=3):
            a, b, c = numbers
            expected = formula(formula(a, b, width), c, width)
            left, middle, right = (holding(number, width) for number in numbers)
            assert int(qmpi.measure(combined(op, combined(op, left, middle), right))) == expected, f"({a} {op} {b}) {op} {c}"
            left, middle, right = (holding(number, width) for number in numbers)
            assert int(qmpi.measure(combined(op, left, combined(op, middle, right)))) == expected, f"{a} {op} ({b} {op} {c})"

    alone(program)


@every_operator
@every_width
def test_operands_change_places_where_the_operator_says_so(op: Op, width: int) -> None:
    assert op.commute

    def program() -> None:
        for a, b in pairs(width):
            results = [int(qmpi.measure(combined(op, *(holding(c, width) for c in order)))) for order in ((a, b), (b, a))]
            assert results == [FORMULA[op](a, b, width)] * 2, f"{a} and {b}"

    alone(program)


# --- a user's own -------------------------------------------------------------------------------------------


def _nothing(*_: qmpi.Register) -> None: ...


def test_acc_is_the_left_operand_of_an_operator_that_does_not_commute() -> None:
    def left(acc: qmpi.Register, _: qmpi.Register, out: qmpi.Register) -> None:
        cx(acc, out)

    op = Op(left, left, commute=False)
    assert not op.commute and not op.inplace
    assert alone(lambda: int(qmpi.measure(combined(op, holding(2, 2), holding(1, 2))))) == 2


@pytest.mark.parametrize("scratch", [0, 2, lambda width: width + 1], ids=["none", "two", "by width"])
def test_circuits_get_a_fourth_register_only_with_scratch(scratch: Any) -> None:
    calls: list[tuple[str, tuple[qmpi.Register, ...]]] = []
    op = Op(lambda *q: calls.append(("forward", q)), lambda *q: calls.append(("inverse", q)), scratch=scratch)

    def program() -> None:
        on = basis_item(op, 3, 0, 0)
        given = (on.acc, on.x, on.out) if scratch == 0 else (on.acc, on.x, on.out, on.scratch)
        apply(op, on)
        undo(op, on)
        assert calls == [("forward", given), ("inverse", given)]
        assert len(on.scratch) == op.scratch_for(3) == (scratch(3) if callable(scratch) else scratch)

    alone(program)


def test_only_parity_and_sum_are_in_place() -> None:
    assert [op for op in FORMULA if op.inplace] == IN_PLACE


def test_an_operator_shows_its_name_or_that_of_its_circuit() -> None:
    assert [repr(op) for op in FORMULA] == ["qmpi.PARITY", "qmpi.SUM", "qmpi.BAND", "qmpi.BOR", "qmpi.MIN", "qmpi.MAX"]
    assert "_nothing" in repr(Op(_nothing, _nothing))


@pytest.mark.parametrize(
    ("arguments", "scratch", "message"),
    [
        ((_nothing,), 0, "inverse"),
        ((_nothing, None), 0, "inverse"),
        ((None, _nothing), 0, "forward"),
        (("forward", _nothing), 0, "forward"),
        ((_nothing, 3), 0, "inverse"),
        ((_nothing, _nothing), -1, "scratch.*-1"),
        ((_nothing, _nothing), True, "scratch.*True"),
        ((_nothing, _nothing), 1.5, r"scratch.*1\.5"),
        ((_nothing, _nothing), None, "scratch.*None"),
    ],
)
def test_what_is_no_reversible_operator_is_refused(arguments: Any, scratch: Any, message: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=message):
        Op(*arguments, scratch=scratch)


def test_a_number_of_scratch_qubits_that_cannot_be_is_refused_where_it_is_asked_for() -> None:
    op = Op(_nothing, _nothing, scratch=lambda width: width - 3)
    assert op.scratch_for(4) == 1
    with pytest.raises(errors.InvalidArgument, match=r"scratch.*-1"):
        op.scratch_for(2)
