"""A message that does not fit into memory is refused, and nothing has happened: what was packed already is taken back.

The sender holds 16 entangled qubits; there is room for one more, so the second qubit of a message fails after the first has succeeded.
"""

from itertools import pairwise

import numpy as np
import pytest

from qmpi import cx, measure, ry
from qmpi._core import Verb
from qmpi.errors import StateTooLarge
from qmpi.gates import x

from .conftest import state

USER, EPR = 0, 2
ROOM_FOR_17 = (2 << 20) + 8192  # bytes: 2^17 amplitudes, and a few pairs


def large_state(session):
    qubits = session.alloc(16)
    for k, qubit in enumerate(qubits):
        ry(0.3 + 0.1 * k, qubit)
    for left, right in pairwise(qubits):
        cx(left, right)
    return qubits


def settled(ticket):
    assert ticket.finished and not ticket.failed
    ticket.settle()
    return ticket


@pytest.fixture(params=[False, True], ids=["fast", "faithful"])
def faithful(request):
    return request.param


@pytest.mark.parametrize("outcomes", range(4))
def test_a_copy_that_does_not_fit_is_taken_back(ranks, faithful, outcomes):
    sessions, arena = ranks(2, memory=ROOM_FOR_17, faithful=faithful)
    qubits = large_state(sessions[0])
    before = state(sessions, [qubits, ()])
    statistics = arena.statistics()
    sessions[0].force(outcomes, 2)
    with pytest.raises(StateTooLarge):
        sessions[0].send(Verb.copy, qubits[3:5], 1, USER, 0)
    assert not any(qubit.frozen for qubit in qubits)
    np.testing.assert_allclose(state(sessions, [qubits, ()]), before, atol=1e-12)
    after = arena.statistics()
    for name in ("qubits", "components", "entangled_qubits", "bytes"):
        assert after[name] == statistics[name]


@pytest.mark.parametrize("outcomes", range(8))
def test_a_move_that_does_not_fit_is_taken_back(ranks, outcomes):
    """Half of a pair is moved, then a qubit of the large state is not. (In fast mode a move takes no memory.)"""
    sessions, arena = ranks(2, memory=(1 << 20) + 8192, faithful=True)
    qubits, pair = large_state(sessions[0]), sessions[0].alloc(2)
    ry(0.8, pair[0])
    cx(*pair)
    ry(0.5, pair[1])
    before = state(sessions, [pair, ()])
    everything = state(sessions, [qubits, ()])
    sessions[0].force(outcomes, 3)
    with pytest.raises(StateTooLarge):
        sessions[0].send(Verb.move, (pair[0], qubits[3]), 1, USER, 0)
    np.testing.assert_allclose(state(sessions, [pair, ()]), before, atol=1e-12)
    np.testing.assert_allclose(state(sessions, [qubits, ()]), everything, atol=1e-12)
    assert arena.statistics()["qubits"] == 18


def test_a_receive_stays_posted_when_its_message_does_not_fit_and_gets_the_next(ranks, faithful):
    sessions, _ = ranks(2, memory=ROOM_FOR_17, faithful=faithful)
    qubits = large_state(sessions[0])
    receive = sessions[1].receive(Verb.copy, None, 0, USER, 0)
    with pytest.raises(StateTooLarge):
        sessions[0].send(Verb.copy, qubits[3:5], 1, USER, 0)
    assert not receive.finished
    settled(sessions[0].send(Verb.copy, qubits[3:4], 1, USER, 0))
    assert receive.wait(5)
    (copy,) = settled(receive).arrived
    assert measure(copy) == measure(qubits[3])


def test_a_message_that_waits_for_room_is_packed_by_its_receiver_or_stays(ranks, faithful):
    """With a buffer of one qubit, a message of two waits at its sender; the receiver that cannot pack it learns why."""
    sessions, _ = ranks(2, memory=ROOM_FOR_17, faithful=faithful, epr_buffer=1)
    qubits = large_state(sessions[0])
    before = state(sessions, [qubits, ()])
    sent = sessions[0].send(Verb.copy, qubits[3:5], 1, USER, 0)
    assert not sent.finished and qubits[3].frozen
    with pytest.raises(StateTooLarge):
        sessions[1].receive(Verb.copy, None, 0, USER, 0)
    assert not sent.finished and qubits[3].frozen
    for qubit in qubits[8:]:
        measure(qubit)
    received = settled(sessions[1].receive(Verb.copy, None, 0, USER, 0))
    assert sent.wait(5)
    settled(sent)
    assert abs(np.vdot(before, before) - 1) < 1e-12
    assert [measure(qubit) for qubit in received.arrived] == [measure(qubit) for qubit in qubits[3:5]]


def test_epr_pairs_that_do_not_fit_leave_both_sides_in_zero(ranks):
    sessions, arena = ranks(2, memory=(1 << 20) + 256)  # the large state and one pair
    large_state(sessions[0])
    sessions[0].flush()
    here, there = sessions[0].alloc(2), sessions[1].alloc(2)
    waiting = sessions[0].meet(here, 1, EPR, 0)
    with pytest.raises(StateTooLarge):
        sessions[1].meet(there, 0, EPR, 0)
    assert not waiting.finished and not there[0].frozen
    assert [measure(qubit) for qubit in there] == [0, 0]
    assert waiting.withdraw()
    assert [measure(qubit) for qubit in here] == [0, 0]
    x(here[0])
    assert measure(here[0]) == 1
    assert arena.statistics()["components"] == 1
