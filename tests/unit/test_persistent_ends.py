"""How persistent requests end: freed, misused, without a partner, with unlike partners, after exceptions; and what a small buffer refuses.

Ranks are threads, because each run has settings of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab

Run = Callable[..., list[Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(program, ranks, halves, …)`: a program on ranks that have room for so many halves each."""

    def run(
        program: Callable[..., Any], ranks: int, halves: int, *args: Any, full: str = "wait", mode: str = "fast", seed: int = 7, **more: str
    ) -> list[Any]:
        monkeypatch.setenv("QMPI_STRICT", "1")
        monkeypatch.setenv("QMPI_EPR_BUFFER", str(halves))
        monkeypatch.setenv("QMPI_EPR_FULL", full)
        print(f"{ranks} ranks, QMPI_EPR_BUFFER={halves}, QMPI_EPR_FULL={full}, QMPI_MODE={mode}, QMPI_SEED={seed}")

        def on_rank() -> Any:
            with qmpi.COMM_WORLD.dup() as comm:  # founded by all together; strict about what it owes at the end
                return program(comm, *args)

        return qmpi.run(on_rank, ranks, mode=mode, seed=seed, **more)

    return run


def held(comm: qmpi.Comm) -> int:
    return int(testing.qubits_held(comm))


def init(comm: qmpi.Comm, q: qmpi.Register | qmpi.Qubit, tag: int = 0) -> Any:
    """A persistent message from rank 0 to rank 1."""
    return comm.recv_init(q, 0, tag) if comm.rank else comm.send_init(q, 1, tag)


def undo(comm: qmpi.Comm, q: qmpi.Register | qmpi.Qubit) -> None:
    (comm.unrecv if comm.rank else comm.unsend)(q)


def works(comm: qmpi.Comm, q: qmpi.Register) -> None:
    """A request on these qubits, in |0⟩, does what it should, over pairs that are there."""
    if comm.rank == 0:
        qmpi.gates.x(q)
    paid = sum(charges.epr_halves for (call, _), charges in comm.ledger.by_call.items() if call == "start")
    with init(comm, q) as request, request.start().wait():
        assert [qmpi.probability(qubit) for qubit in q] == [1] * len(q)
    assert paid == sum(charges.epr_halves for (call, _), charges in comm.ledger.by_call.items() if call == "start")
    if comm.rank == 0:
        qmpi.gates.x(q)


# --- what every start costs -----------------------------------------------------------------------------------------------------------

COST = {"": ((1, 1), (0, 1)), "_move": ((1, 2), (1, 2))}  # EPR pairs and bits per qubit, and the inverse's


def messages(comm: qmpi.Comm, halves: int, verb: str, qubits: int) -> None:
    """From rank 0 to rank 2, of a state that is entangled with rank 1's qubits."""
    lab = Lab(comm, np.random.default_rng([halves, qubits]))
    here, there = [f"a{k}" for k in range(qubits)], [f"b{k}" for k in range(qubits)]
    lab.payload(0, here, 1)
    lab.alloc(2, *there)
    q = lab.register(*({0: here, 1: [], 2: there}[comm.rank]))
    before, taken, start = lab.oracle.copy(), held(comm), comm.ledger.total()
    call = {0: f"send{verb}_init", 1: "", 2: f"recv{verb}_init"}[comm.rank]
    request = getattr(comm, call)(q, 2 - comm.rank, 5) if call else None
    for _ in range(3):
        if request is not None:
            request.start().wait()
        for a, b in zip(here, there, strict=True):
            lab.oracle.gate("swap" if verb else "cx", a, b)
        lab.check()
        inverse = {0: "iunsend", 1: "", 2: "iunrecv"}[comm.rank]
        qmpi.waitall([getattr(comm, inverse + verb)(q)] if inverse else [])
        comm.mpi.Barrier()
        lab.oracle = before.copy()
        lab.check()
    shared = qubits < halves
    forward, back = (np.array(cost) for cost in COST[verb])
    total = comm.ledger.total()
    spent = [total.epr_pairs - start.epr_pairs, total.classical_bits - start.classical_bits]
    assert spent == (3 * qubits * (forward + back) + [qubits * shared, 0]).tolist()
    if request is not None:
        calls = {call: charges for (call, _), charges in comm.ledger.by_call.items()}
        assert calls["start"].epr_halves == (0 if shared else 3 * qubits)
        assert calls["start"].bits_sent + calls["start"].bits_received == 3 * qubits * forward[1]
        assert not shared or (calls[call].epr_halves, calls[call].bits_sent, calls[call].bits_received) == (4 * qubits, 0, 0)
        request.free()
    assert held(comm) == taken and comm.ledger.peak_epr_buffer <= halves
    lab.give_up()


@pytest.mark.parametrize("mode", ["fast", "faithful"])
@pytest.mark.parametrize("qubits", [1, 2])
@pytest.mark.parametrize("verb", COST)
@pytest.mark.parametrize("halves", [1, 2, 3])
def test_every_start_has_its_price_whether_its_pairs_found_room_or_not(run: Run, halves: int, verb: str, qubits: int, mode: str) -> None:
    run(messages, 3, halves, halves, verb, qubits, mode=mode)


def room_on_one_side(comm: qmpi.Comm) -> None:
    """Rank 1 has no room for a pair with rank 0: then rank 0 needs none."""
    q = comm.alloc(1)
    core = comm._session.core
    assert comm.rank == 0 or core.reserve(1)
    request = init(comm, q)
    assert not core.reserve(1)  # taken on one rank by the request, on the other by the test
    with request.start().wait():
        assert comm.ledger.epr_halves == 1
    assert core.reserve(1) == (comm.rank == 0)
    core.give_back(1)
    request.free()
    works(comm, q)
    comm.free(q)


def test_room_that_a_partner_does_not_have_is_given_back(run: Run) -> None:
    run(room_on_one_side, 2, 2)


# --- misuse -----------------------------------------------------------------------------------------------------------------------------


def unlike(comm: qmpi.Comm, halves: int) -> None:
    """Rank 0 sends two qubits where rank 1 receives one."""
    q = comm.alloc(2)
    taken = held(comm)
    for _ in range(2):
        request = init(comm, q[comm.rank :])
        with pytest.raises(errors.MismatchedCollective, match="fitting counts"):
            request.start().wait()
        with pytest.raises((errors.MismatchedCollective, errors.InvalidArgument), match=r"fitting counts|make it anew"):
            request.start()
        request.free()
        request.free()
        assert held(comm) == taken
        comm.mpi.Barrier()
    if halves > 2:
        works(comm, q)  # what they had taken is there again
    comm.free(q)


@pytest.mark.parametrize("halves", [1, 3, 64])
def test_unlike_counts_are_told_to_both_and_free_gives_everything_back(run: Run, halves: int) -> None:
    run(unlike, 2, halves, halves)


def alone(comm: qmpi.Comm, call: str) -> None:
    q = comm.alloc(1)
    taken = held(comm)
    request = init(comm, q, tag=1 + comm.rank)
    with pytest.raises(errors.Deadlock, match="_init"):
        getattr(request, call)()
    comm.mpi.Barrier()
    if call == "start":
        with pytest.raises(errors.QMPIError):
            request.start()
    request.free()
    assert held(comm) == taken
    works(comm, q)
    comm.free(q)


@pytest.mark.parametrize("call", ["start", "free"])
def test_a_request_without_a_partner_is_a_deadlock_where_it_is_waited_for_and_can_be_freed(run: Run, call: str) -> None:
    run(alone, 2, 2, call)


def raises_in_block(comm: qmpi.Comm, started: bool) -> None:
    q = comm.alloc(1)
    taken = held(comm)
    with pytest.raises(ZeroDivisionError), init(comm, q) as request:
        if started:
            request.start()
        raise ZeroDivisionError
    assert held(comm) > taken  # an exception frees nothing, because that might wait
    if started:
        request.wait()
        undo(comm, q)
    request.free()
    assert held(comm) == taken
    works(comm, q)
    comm.free(q)


@pytest.mark.parametrize("started", [False, True], ids=["idle", "started"])
def test_a_block_that_raises_leaves_its_request_to_be_freed(run: Run, started: bool) -> None:
    run(raises_in_block, 2, 2, started)


def fails_on_the_way(comm: qmpi.Comm) -> None:
    """The sender's state fits into memory, but not its parity with the half of a pair."""
    q, others = comm.alloc(1), comm.alloc(15)
    request = init(comm, q)
    comm.mpi.Barrier()
    if comm.rank == 0:
        qmpi.ry(0.3, q)
        for other in others:
            qmpi.cx(q, other)
            qmpi.ry(0.3, other)
        assert 0 < qmpi.probability(q[0]) < 1
    taken = held(comm)
    with pytest.raises(errors.PeerFailed if comm.rank else errors.StateTooLarge, match="QMPI_MEMORY"):
        request.start().wait()
    comm.mpi.Barrier()
    qmpi.reset(others)  # now it would fit, but nobody knows what has become of the pair
    with pytest.raises(errors.InvalidArgument, match="free it and make it anew"):
        request.start()
    request.free()
    assert held(comm) == taken - 1
    qmpi.reset(q)
    works(comm, q)
    comm.free(q + others)


def test_a_start_that_failed_is_not_followed_by_another_over_the_same_pairs(run: Run) -> None:
    run(fails_on_the_way, 2, 2, memory="2M")


def full_on_one_rank(comm: qmpi.Comm, call: str) -> None:
    """Rank 1 has no room as long as it has a request with rank 2; rank 0 has made its own meanwhile."""
    q, other = comm.alloc(1), comm.alloc(1)
    first = (comm.send_init if comm.rank == 1 else comm.recv_init)(q, 3 - comm.rank, 9) if comm.rank else None
    pair = comm.split(min(comm.rank, 1) if comm.rank != 1 else 0)

    def request() -> Any:
        return pair.bcast_init(other) if call == "bcast" else init(pair, other)

    if comm.rank == 0:
        qmpi.gates.x(other)
    mine = request() if comm.rank == 0 else None
    if comm.rank == 1:
        taken = held(comm)
        for _ in range(2):
            with pytest.raises(errors.BufferFull, match="QMPI_EPR_FULL=wait"):
                request()
        assert held(comm) == taken and not other[0].frozen
    if first is not None:
        first.free()
    if comm.rank < 2:
        with mine or request() as mine, mine.start().wait():
            assert qmpi.probability(other[0]) == 1
        with pair.bcast(other):  # collectives are in step
            assert qmpi.probability(other[0]) == 1
    pair.close()


@pytest.mark.parametrize("call", ["send", "bcast"])
def test_a_request_that_was_refused_on_one_rank_matches_its_partners_when_it_is_made_again(run: Run, call: str) -> None:
    run(full_on_one_rank, 3, 2, call, full="refuse")


# --- ordinary messages ------------------------------------------------------------------------------------------------------------------


def fills(comm: qmpi.Comm, halves: int) -> None:
    q = comm.alloc(halves + 1)
    if comm.rank == 0:
        with pytest.raises(errors.BufferFull, match=f"buffer of {halves}"):
            comm.bsend(q, 1)
        for qubit in q[:-1]:
            comm.bsend_move(qubit, 1)
        with pytest.raises(errors.BufferFull):
            comm.bsend(q[-1], 1)
        waits = comm.isend_move(q[-1], 1)
        assert not waits.test()
    comm.mpi.Barrier()
    if comm.rank == 1:
        assert comm.ledger.peak_epr_buffer == halves
        comm.recv_move(q[0], 0)
    comm.mpi.Barrier()
    if comm.rank == 0:
        assert waits.test()  # there was room for it
        with pytest.raises(errors.BufferFull):
            comm.bsend(q[0], 1)
    comm.mpi.Barrier()
    if comm.rank == 1:
        for qubit in q[1:]:
            comm.recv_move(qubit, 0)
        assert comm.ledger.peak_epr_buffer == halves
    comm.free(q)


@pytest.mark.parametrize("halves", [1, 3])
def test_so_many_unreceived_qubits_wait_and_no_more(run: Run, halves: int) -> None:
    run(fills, 2, halves, halves)


@pytest.mark.parametrize(("name", "value"), [("BUFFER", "0"), ("BUFFER", "-1"), ("BUFFER", "x"), ("FULL", "grow")])
def test_bad_settings_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"QMPI_EPR_{name}", value)
    with pytest.raises(errors.InvalidArgument, match=f"QMPI_EPR_{name} must be"):
        qmpi.run(lambda: pytest.fail("a rank ran"), 2)
