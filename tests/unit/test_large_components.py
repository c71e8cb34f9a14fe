"""Components whose gates are planned together: they equal the oracle, and neither measurements nor other ranks come in between."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import qmpi
from qmpi import Register, cx, gates, measure, ry, testing
from qmpi._core import Verb
from tests import dense
from tests.oracle import Oracle

from .conftest import state

QUBITS = 14
USER = 0  # a context


@pytest.mark.parametrize("single_precision", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_large_component_equals_the_oracle(ranks, seed, single_precision):
    rng = np.random.default_rng([14, seed])
    (session,), arena = ranks(single_precision=single_precision)
    session.set_threads(2)
    qubits, oracle = session.alloc(QUBITS), Oracle()
    for k in range(QUBITS):
        oracle.add(k)
        ry(0.7 + k, qubits[k])
        oracle.gate("ry", k, angles=[0.7 + k])
    for k in range(QUBITS - 1):
        cx(qubits[k], qubits[k + 1])
        oracle.gate("cx", k, k + 1)
    for _ in range(4):
        for name, places, parameters in dense.random_gates(rng, QUBITS, 25, widest=5):
            oracle.apply(dense.gate_matrix((name, places, parameters)), places)
            chosen = [qubits[k] for k in places]
            if name in ("mcx", "mcp"):
                getattr(gates, name)(*parameters, Register(chosen[:-1]), chosen[-1])
            elif name in ("unitary", "pauli_rotation"):
                getattr(gates, name)(*parameters, Register(chosen))
            else:
                getattr(gates, name)(*parameters, *chosen)
        place = int(rng.integers(QUBITS))
        oracle.measure(place, measure(qubits[place]))
    assert arena.statistics()["peak_component"] == QUBITS
    np.testing.assert_allclose(state([session], [qubits]), oracle.vector(range(QUBITS)), atol=5e-5 if single_precision else 1e-11)


def test_a_resource_error_leaves_the_gates_before_it_applied(ranks):
    """Also those that would have waited for others."""
    (session,), _ = ranks(memory=1 << 20)  # 2^16 amplitudes
    qubits = session.alloc(17)
    for qubit in qubits:
        ry(0.3, qubit)
    for left, right in pairwise(qubits[:16]):
        cx(left, right)
    session.flush()
    ry(0.5, qubits[3])
    cx(qubits[15], qubits[16])
    ry(0.25, qubits[3])
    with pytest.raises(qmpi.errors.StateTooLarge, match="1 later gate "):
        session.flush()
    assert session.discard_pending() == 2
    expected = Oracle()
    for k in range(5):
        expected.add(k)
        expected.gate("ry", k, angles=[0.3])
    for k in range(4):
        expected.gate("cx", k, k + 1)
    expected.gate("ry", 3, angles=[0.5])
    assert abs(qmpi.probability(qubits[3]) - expected.weight(3, 1)) < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_gates_of_one_rank_and_measurements_of_another_come_in_any_order(seed):
    """Rank 0's last qubits become product qubits while gates wait for them."""
    angles = np.random.default_rng(seed).uniform(0.2, 2.8, 400)

    def program() -> tuple[list[int], np.ndarray]:
        comm = qmpi.COMM_WORLD
        if comm.rank == 0:
            q = comm.alloc(8)
            ry(0.9, q)
            for k in range(7):
                cx(q[k], q[k + 1])
            comm.send_move(q[1:], 1)
            mine = q[:1]
        else:
            mine = comm.recv_move(source=0)
        comm.barrier()
        outcomes: list[int] = []
        if comm.rank == 0:
            for k, angle in enumerate(angles):
                (gates.rx, ry, gates.rz)[k % 3](angle, mine)
                if k % 40 == 39:
                    testing.flush(comm)
        else:
            outcomes = [measure(qubit) for qubit in mine]
        comm.barrier()
        density = comm.density_matrix(mine if comm.rank == 0 else qmpi.Register())
        comm.free(q[1:] if comm.rank == 0 else mine)
        if comm.rank == 0:
            qmpi.reset(mine)
        return outcomes, density

    def planned() -> tuple[list[int], np.ndarray]:
        with testing.plan_from(qmpi.COMM_WORLD, 2):
            return program()

    (_, density), (outcomes, _) = qmpi.run(planned, 2, seed=seed)
    oracle = Oracle()
    for k in range(8):
        oracle.add(k)
        oracle.gate("ry", k, angles=[0.9])
    for k in range(7):
        oracle.gate("cx", k, k + 1)
    for k, outcome in enumerate(outcomes):
        oracle.measure(k + 1, outcome)
    for k, angle in enumerate(angles):
        oracle.gate(("rx", "ry", "rz")[k % 3], 0, angles=[angle])
    np.testing.assert_allclose(density, oracle.density([0]), atol=1e-10)


def test_qubits_that_are_handed_over_take_their_gates_along(ranks):
    (first, second), _ = ranks(2)
    qubits, oracle = first.alloc(QUBITS), Oracle()
    for k in range(QUBITS):
        oracle.add(k)
        ry(0.4 + k, qubits[k])
        oracle.gate("ry", k, angles=[0.4 + k])
    for k in range(QUBITS - 1):
        cx(qubits[k], qubits[k + 1])
        oracle.gate("cx", k, k + 1)
    gates.h(qubits[5])
    oracle.gate("h", 5)
    sent = first.send(Verb.move, (qubits[5],), 1, USER, 0)
    received = second.receive(Verb.move, None, 0, USER, 0)
    for ticket in (sent, received):
        ticket.settle()
    (arrived,) = received.arrived
    gates.sx(arrived)
    oracle.apply(gates.matrix("sx"), [5])
    others = tuple(qubit for k, qubit in enumerate(qubits) if k != 5)
    order = [k for k in range(QUBITS) if k != 5] + [5]
    np.testing.assert_allclose(state([first, second], [others, (arrived,)]), oracle.vector(order), atol=1e-11)
