"""What everything costs: the standard's table, per qubit, in both modes; every view of the ledger agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

import qmpi
from qmpi import testing
from qmpi.runtime.ledger import Charges
from tests.laws.conftest import MODE

# Own counters per qubit, of the caller and of its partner: (EPR halves, bits sent, bits received, measurements).
TABLE = {
    "prepare_epr": ("prepare_epr", (1, 0, 0, 0), (1, 0, 0, 0)),
    "send": ("recv", (1, 1, 0, 1), (1, 0, 1, 0)),
    "unsend": ("unrecv", (0, 0, 1, 0), (0, 1, 0, 1)),
    "send_move": ("recv_move", (1, 2, 0, 2), (1, 0, 2, 0)),
    "unsend_move": ("unrecv_move", (1, 0, 2, 0), (1, 2, 0, 2)),
}
PAIRS_AND_BITS = {"prepare_epr": (1, 0), "send": (1, 1), "unsend": (0, 1), "send_move": (1, 2), "unsend_move": (1, 2)}
INVERSE = {"send": "unsend", "send_move": "unsend_move"}


def own(comm: qmpi.Comm) -> tuple[int, ...]:
    ledger = comm.ledger
    return ledger.epr_halves, ledger.bits_sent, ledger.bits_received, ledger.measurements


def totals(comm: qmpi.Comm) -> tuple[int, ...]:
    total = comm.ledger.total()
    return total.epr_pairs, total.classical_bits, total.measurements


def difference(after: tuple[int, ...], before: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(after, before, strict=True))


def perform(comm: qmpi.Comm, name: str, q: qmpi.Register, immediate: bool = False) -> None:
    """Both sides of an operation from rank 0 to the last rank; each takes its own q."""
    peer = {0: comm.size - 1, comm.size - 1: 0}.get(comm.rank)
    if peer is None:
        return
    call = name if comm.rank == 0 else TABLE[name][0]
    arguments = () if call.startswith("un") else (peer,)
    result = getattr(comm, ("i" if immediate else "") + call)(q, *arguments)
    if immediate:
        result.wait()


def prepared(comm: qmpi.Comm, name: str, qubits: int) -> qmpi.Register:
    """A register for the operation: superposed at the sender, and already sent where the operation is an inverse."""
    q = comm.alloc(qubits)
    if comm.rank == 0 and name != "prepare_epr":
        qmpi.ry(0.7, q)
    if name.startswith("un"):
        perform(comm, name.removeprefix("un"), q)
    comm.barrier()
    return q


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("immediate", [False, True], ids=["blocking", "immediate"])
@pytest.mark.parametrize("qubits", [1, 3])
@pytest.mark.parametrize("name", TABLE)
def test_an_operation_costs_what_the_table_says(comm: qmpi.Comm, name: str, qubits: int, immediate: bool) -> None:
    q = prepared(comm, name, qubits)
    before, all_before = own(comm), totals(comm)
    perform(comm, name, q, immediate)
    spent, all_spent = difference(own(comm), before), difference(totals(comm), all_before)
    _, caller_cost, partner_cost = TABLE[name]
    cost = {0: caller_cost, comm.size - 1: partner_cost}.get(comm.rank, (0, 0, 0, 0))
    assert spent == tuple(qubits * value for value in cost)
    pairs, bits = PAIRS_AND_BITS[name]
    assert all_spent == (qubits * pairs, qubits * bits, qubits * (caller_cost[3] + partner_cost[3]))
    if name in INVERSE:
        perform(comm, INVERSE[name], q)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("name", TABLE)
def test_by_call_by_comm_and_sections_show_the_same(comm: qmpi.Comm, name: str) -> None:
    q = prepared(comm, name, 2)
    calls = dict(comm.ledger.by_call)
    here, before = testing.spent(comm), comm.ledger.sections.get(name, Charges())
    with comm.ledger.section(name):
        perform(comm, name, q)
    partner, caller_cost, partner_cost = TABLE[name]
    call, cost = {0: (name, caller_cost), comm.size - 1: (partner, partner_cost)}.get(comm.rank, ("", (0, 0, 0, 0)))
    cost = tuple(2 * value for value in cost)
    section = comm.ledger.sections[name] - before
    assert (section.epr_halves, section.bits_sent, section.bits_received, section.measurements) == cost
    if call:
        changed = {key: value for key, value in comm.ledger.by_call.items() if calls.get(key) != value}
        ((named, line),) = changed
        assert named == call
        path, _, number = line.rpartition(":")
        assert Path(path) == Path(__file__) and number.isdigit()
        grown = testing.spent(comm) - here
        assert (grown.epr_halves, grown.bits_sent, grown.bits_received, grown.measurements) == cost
    if name in INVERSE:
        perform(comm, INVERSE[name], q)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("name", ["send", "unsend", "send_move", "unsend_move"])
def test_measurements_charged_are_measurements_made(comm: qmpi.Comm, name: str) -> None:
    """Prescribed outcomes are a counter: a 1 behind as many 0s as the protocol draws must be what the next measurement finds."""
    q = prepared(comm, name, 2)
    _, caller_cost, partner_cost = TABLE[name]
    rank, charged = (0, caller_cost[3]) if caller_cost[3] else (comm.size - 1, partner_cost[3])
    simulated = MODE == "faithful" or name == "unsend"  # fast mode charges for the shortcuts of the forward direction
    drawn = 2 * charged if simulated else 0
    probe = comm.alloc(1)
    qmpi.h(probe)
    if comm.rank == rank:
        testing.force_outcomes(comm, [0] * drawn + [1])
    comm.mpi.Barrier()
    perform(comm, name, q)
    comm.mpi.Barrier()
    if comm.rank == rank:
        assert qmpi.measure(probe[0]) == 1
    if name in INVERSE:
        perform(comm, INVERSE[name], q)


def test_a_message_to_oneself_is_charged_on_both_sides(comm: qmpi.Comm) -> None:
    q = comm.alloc(2)
    qmpi.h(q)
    before = own(comm)
    with comm.send(q, comm.rank), comm.recv():
        assert difference(own(comm), before) == (4, 2, 2, 2)
    assert difference(own(comm), before) == (4, 4, 4, 4)


def test_the_user_s_measurements_gates_and_qubits_are_counted(comm: qmpi.Comm) -> None:
    measured, gates = comm.ledger.measurements, comm.ledger.gates
    q = comm.alloc(4)
    assert comm.ledger.peak_qubits >= 4
    qmpi.h(q)
    qmpi.cx(q[0], q[1])
    before = comm.ledger.sections.get("mine", Charges())
    with comm.ledger.section("mine"):
        qmpi.measure(q)
        qmpi.reset(q[0])
    assert comm.ledger.measurements - measured == 5
    assert (comm.ledger.sections["mine"] - before).measurements == 5
    now = comm.ledger.gates
    assert now["h"] - gates.get("h", 0) == 4
    assert now["cx"] - gates.get("cx", 0) == 1
    comm.free(q)


def test_windows_barriers_and_collective_measurement_cost_no_pairs_and_no_bits(comm: qmpi.Comm) -> None:
    q = comm.alloc(2)
    qmpi.h(q)
    before = totals(comm)
    comm.statevector(q)
    comm.density_matrix(q)
    comm.store_report()
    qmpi.probability(q[0])
    qmpi.expectation("XZ", q)
    comm.barrier()
    assert difference(totals(comm), before) == (0, 0, 0)
    comm.measure(q)
    assert difference(totals(comm), before) == (0, 0, 2 * comm.size)
    comm.free(q)
