"""What the store promises about memory, components and deferred errors. Everything here runs in one process without MPI."""

import inspect
import resource
import threading
from itertools import pairwise

import numpy as np
import pytest

import qmpi
from qmpi import _core, ccx, cx, h, measure, ry, swap
from qmpi.errors import DuplicateQubit, ForeignQubit, FreedQubit, InvalidArgument, SecondThread, StateTooLarge
from qmpi.gates import x

from .conftest import state

USER = 0  # a context


def transfer(verb, sessions, source, dest, qubits):
    """Sends and receives in one thread; returns the qubits that hold what arrived."""
    sent = sessions[source].send(verb, qubits, dest, USER, 0)
    received = sessions[dest].receive(verb, None, source, USER, 0)
    for ticket in (sent, received):
        assert ticket.finished
        ticket.settle()
    return received.arrived


def test_a_ghz_state_over_20_ranks_leaves_product_qubits_only_when_it_is_measured(ranks):
    for faithful in (False, True):
        sessions, arena = ranks(20, faithful=faithful)
        qubits = [sessions[0].alloc(1)]
        h(qubits[0][0])
        for rank in range(1, 20):
            qubits.append(transfer(_core.Verb.copy, sessions, rank - 1, rank, qubits[-1]))
        for session in sessions:
            session.flush()
        statistics = arena.statistics()
        assert (statistics["components"], statistics["entangled_qubits"]) == (1, 20)
        assert statistics["peak_component"] <= 21
        outcomes = {measure(register[0]) for register in qubits}
        assert len(outcomes) == 1
        statistics = arena.statistics()
        assert (statistics["components"], statistics["entangled_qubits"], statistics["bytes"]) == (0, 0, 0)


def test_basis_states_stay_small_and_never_merge(ranks):
    (session,), arena = ranks()
    rng = np.random.default_rng(5)
    count, gates = 10_000, 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    qubits = session.alloc(count)
    bits = np.zeros(count, bool)
    kinds = rng.integers(4, size=gates)
    triples = rng.integers(count, size=(gates, 3))
    for kind, (a, b, c) in zip(kinds, triples, strict=True):
        if len({a, b, c}) < 3:
            continue
        if kind == 0:
            x(qubits[a])
            bits[a] ^= True
        elif kind == 1:
            cx(qubits[a], qubits[b])
            bits[b] ^= bits[a]
        elif kind == 2:
            ccx(qubits[a], qubits[b], qubits[c])
            bits[c] ^= bits[a] & bits[b]
        else:
            swap(qubits[a], qubits[b])
            bits[[a, b]] = bits[[b, a]]
    session.flush()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < 50_000_000
    assert arena.statistics()["merges"] == 0 and arena.statistics()["peak_bytes"] == 0
    assert [measure(qubit) for qubit in qubits] == bits.astype(int).tolist()


@pytest.mark.parametrize("single_precision", [False, True])
def test_one_qubit_at_a_time_to_the_limit_ends_in_a_clear_error_and_wastes_nothing(ranks, single_precision):
    largest = 21 if single_precision else 20
    (session,), arena = ranks(memory=(1 << 24) + 4096, single_precision=single_precision)  # 2^20 amplitudes of 16 bytes
    qubits = list(session.alloc(1))
    h(qubits[0])
    with pytest.raises(StateTooLarge, match=f"{largest + 1} qubits needs 16 MiB more"):
        for _ in range(30):
            (fresh,) = session.alloc(1)
            cx(qubits[-1], fresh)
            session.flush()
            qubits.append(fresh)
    assert len(qubits) == largest
    final = arena.statistics()["bytes"]
    assert final == arena.statistics()["peak_bytes"] == 1 << 24
    assert session.pending == 1
    assert session.discard_pending() == 1
    first = measure(qubits[0])
    assert all(measure(qubit) == first for qubit in qubits[1:])
    assert arena.statistics()["bytes"] == 0


def test_memory_comes_back_when_qubits_are_measured(ranks):
    (session,), arena = ranks(memory=1 << 28)
    qubits = session.alloc(20)
    for qubit in qubits:
        ry(0.7, qubit)
    for left, right in pairwise(qubits):
        cx(left, right)
    session.flush()
    full = arena.statistics()["bytes"]
    assert full == 16 << 20
    for qubit in qubits[:4]:
        measure(qubit)
    assert arena.statistics()["bytes"] <= full / 4
    for qubit in qubits[4:]:
        measure(qubit)
    assert arena.statistics()["bytes"] == 0


def test_address_ranges_of_states_that_have_become_small_come_back(ranks):
    (session,), arena = ranks(memory=1 << 24)  # 1 GiB of addresses; each state below takes 64 MiB of them while it is large
    rest = []
    for _ in range(40):
        qubits = session.alloc(16)
        for qubit in qubits:
            ry(0.7, qubit)
        for left, right in pairwise(qubits):
            cx(left, right)
        for qubit in qubits[2:]:
            measure(qubit)
        rest.append(qubits[:2])
    assert arena.statistics()["entangled_qubits"] == 80
    assert arena.statistics()["bytes"] <= 40 * (64 << 10)


def test_a_gate_that_does_not_fit_names_its_own_line_and_loses_nothing(ranks):
    (session,), _ = ranks(memory=1 << 20)  # 2^16 amplitudes
    qubits = session.alloc(17)
    h(qubits[16])
    for qubit in qubits[:16]:
        ry(0.3, qubit)
    for left, right in pairwise(qubits[:16]):
        cx(left, right)
    line = inspect.currentframe().f_lineno + 1
    cx(qubits[15], qubits[16])
    x(qubits[0])
    cx(qubits[0], qubits[1])
    with pytest.raises(StateTooLarge, match=rf"cx at .*test_store.py:{line}: .* 2 later gates"):
        session.flush()
    assert session.pending == 3
    with pytest.raises(StateTooLarge):  # nothing has changed, so it fails again
        measure(qubits[3])
    assert session.pending == 3
    session.discard_pending()
    expected = np.array([1.0])
    for _ in range(16):
        expected = np.kron([np.cos(0.15), np.sin(0.15)], expected)
    index = np.arange(1 << 16)
    image = index.copy()
    for bit in range(15):
        image ^= ((image >> bit) & 1) << (bit + 1)
    permuted = np.zeros(1 << 16)
    permuted[image] = expected
    np.testing.assert_allclose(state([session], [qubits[:16]]), permuted, atol=1e-13)


def test_parity_protocols_never_hold_more_than_one_qubit_more_than_they_leave(ranks):
    sessions, arena = ranks(2, faithful=True)
    mine = sessions[0].alloc(6)
    for qubit in mine:
        ry(0.4, qubit)
    for left, right in pairwise(mine):
        cx(left, right)
    transfer(_core.Verb.copy, sessions, 0, 1, mine[:1])
    assert arena.statistics()["peak_component"] == 7
    transfer(_core.Verb.move, sessions, 0, 1, mine[1:2])
    assert arena.statistics()["peak_component"] == 8
    assert arena.statistics()["entangled_qubits"] == 7


def test_ids_are_never_reused(ranks):
    (session,), _ = ranks()
    seen = set()
    for _ in range(1000):
        register = session.alloc(2)
        names = set(session.ids(register))
        assert not names & seen
        seen |= names
        session.free(register)


def test_a_refused_gate_changes_nothing(ranks):
    sessions, _ = ranks(2)
    ours, theirs = sessions[0].alloc(3), sessions[1].alloc(1)
    freed = sessions[0].alloc(1)
    sessions[0].free(freed)
    register = qmpi.Register(ours)
    for refused, error in (
        (lambda: cx(ours[0], ours[0]), DuplicateQubit),
        (lambda: cx(register, ours[1]), DuplicateQubit),
        (lambda: cx(register, register[:2]), InvalidArgument),
        (lambda: cx(ours[0], theirs[0]), ForeignQubit),
        (lambda: x(freed[0]), FreedQubit),
        (lambda: ry(float("nan"), ours[0]), InvalidArgument),
        (lambda: h(3), TypeError),
    ):
        with pytest.raises(error):
            refused()
        assert sessions[0].pending == 0
    assert sum(sessions[0].gate_counts) == 0


def test_registers_broadcast_one_to_n_and_n_to_n(ranks):
    (session,), _ = ranks()
    qubits = session.alloc(6)
    x(qubits[0])
    cx(qubits[0], qmpi.Register(qubits[1:3]))
    cx(qmpi.Register(qubits[1:3]), qmpi.Register(qubits[3:5]))
    assert [measure(qubit) for qubit in qubits] == [1, 1, 1, 1, 1, 0]


def test_another_thread_is_refused(ranks):
    (session,), _ = ranks()
    (qubit,) = session.alloc(1)
    caught = []

    def call():
        try:
            h(qubit)
        except SecondThread as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_a_full_buffer_never_splits_a_register_gate(ranks):
    (session,), _ = ranks(memory=1 << 20)  # 2^16 amplitudes
    qubits = session.alloc(17)
    for qubit in qubits:
        ry(0.3, qubit)
    for left, right in pairwise(qubits[:16]):
        cx(left, right)
    session.flush()
    cx(qubits[15], qubits[16])  # does not fit, which shows when the buffer of 1,024 gates is full
    for _ in range(1020):
        x(qubits[0])
    with pytest.raises(StateTooLarge, match="1025 later gates"):
        x(qmpi.Register(qubits[:5]))
    assert session.pending == 1026


def test_a_session_that_another_thread_lets_go_leaves_its_own_thread_sound(ranks):
    abandoned = []
    for _ in range(3):
        abandoned[:] = [_core.Session(_core.Arena.create(1, 1, False, False, 1 << 20), 0)]
        thread = threading.Thread(target=abandoned.clear)
        thread.start()
        thread.join()
        (session,), _ = ranks()  # takes locks that the system keeps in one list per thread
        (qubit,) = session.alloc(1)
        h(qubit)
        session.flush()
