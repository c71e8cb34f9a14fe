"""Ranks act at the same moment on parts of one entangled state, again and again: whoever comes first, physics must come out.

No order is prescribed here, so outcomes are not reproducible; what is asserted holds for every order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import qmpi
from qmpi import measure, testing
from qmpi.gates import h, ry

pytestmark = pytest.mark.ranks(min_size=2)
ROUNDS = 300


def shared(comm: qmpi.Comm, ranks: int) -> qmpi.Qubit:
    """|0…0⟩ + |1…1⟩ over the first `ranks` ranks; a qubit of its own in |0⟩ for the others."""
    q = comm.alloc(1)
    if comm.rank == 0:
        h(q)
        for dest in range(1, ranks):
            comm.send(q, dest)
    elif comm.rank < ranks:
        comm.recv(q, source=0)
    comm.mpi.Barrier()
    return q[0]


def give_back(comm: qmpi.Comm, q: qmpi.Qubit) -> None:
    comm.mpi.Barrier()
    qmpi.reset(q)
    comm.free(q)


@pytest.mark.parametrize(
    "gate",
    [h, lambda q: ry(0.9, q), lambda q: qmpi.unitary(np.array([[0, 1], [1, 0]]), q), lambda q: qmpi.pauli_rotation(0.8, "X", q)],
    ids=["h", "ry", "unitary", "pauli"],
)
def test_a_measured_qubit_stays_measured_whatever_others_measure_meanwhile(comm: qmpi.Comm, gate: Callable[[qmpi.Qubit], None]) -> None:
    """Rank 0 applies a gate while the last rank measures: the component they share may shrink to rank 0's qubit at any moment."""
    for _ in range(ROUNDS):
        q = shared(comm, 2)
        if comm.rank == 0:
            gate(q)
        bit = measure(q)
        assert qmpi.probability(q) == bit
        assert measure(q) == bit
        give_back(comm, q)


def test_all_ranks_that_measure_at_once_find_the_same(comm: qmpi.Comm) -> None:
    for _ in range(ROUNDS // 3):
        q = shared(comm, comm.size)
        bits = comm.mpi.allgather(measure(q))
        assert len(set(bits)) == 1
        give_back(comm, q)


def test_controlled_gates_while_the_partner_is_measured_agree_with_the_outcome(comm: qmpi.Comm) -> None:
    """Rank 0 copies its qubit onto another by cx while rank 1 measures the shared state: all three bits agree."""
    for _ in range(ROUNDS):
        q = shared(comm, 2)
        bits = []
        if comm.rank == 0:
            target = comm.alloc(2)
            qmpi.cx(q, target[0])
            bits.append(measure(q))
            qmpi.cx(target[0], target[1])
            bits += measure(target)
            comm.free(target)
        elif comm.rank == 1:
            bits.append(measure(q))
        assert len({bit for part in comm.mpi.allgather(bits) for bit in part}) == 1
        give_back(comm, q)


def test_undoing_a_copy_while_the_owner_works_on_the_original_is_the_identity(comm: qmpi.Comm) -> None:
    """The owner's gates commute with the copy, so whichever rank's call completes the inverse, the original returns to |0⟩ exactly."""
    for _ in range(ROUNDS):
        q = comm.alloc(1)
        if comm.rank == 0:
            ry(0.9, q)
            comm.send(q, 1)
        elif comm.rank == 1:
            copy = comm.recv(source=0)
        comm.mpi.Barrier()
        if comm.rank == 0:
            qmpi.rz(0.3, q)
            comm.unsend(q)
            qmpi.rz(-0.3, q)
            ry(-0.9, q)
            assert qmpi.probability(q[0]) < (1e-5 if testing.settings(comm).single_precision else 1e-12)
            assert measure(q) == (0,)
        elif comm.rank == 1:
            comm.unrecv(copy)
            comm.free(copy)
        give_back(comm, q[0])


def test_the_store_s_counters_return_to_where_they_were(comm: qmpi.Comm) -> None:
    before = comm.store_report()
    for _ in range(ROUNDS):
        q = shared(comm, 2)
        if comm.rank == 0:
            h(q)
        measure(q)
        give_back(comm, q)
    after = comm.store_report()
    assert (after.qubits, after.components, after.entangled_qubits) == (before.qubits, before.components, before.entangled_qubits)
