"""QMPI_EPR_BUFFER and QMPI_EPR_FULL: persistent requests share a bounded buffer, and leave a slot to everything else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

import qmpi
from qmpi import errors, testing

RANKS = 3


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QMPI_STRICT", "1")
    monkeypatch.setenv("QMPI_TIMEOUT_S", "60")
    monkeypatch.delenv("QMPI_EPR_FULL", raising=False)


@pytest.fixture(params=[1, 2, 3, 5])
def capacity(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """S."""
    monkeypatch.setenv("QMPI_EPR_BUFFER", str(request.param))
    return int(request.param)


@pytest.fixture(params=["fast", "faithful"], autouse=True)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QMPI_MODE", request.param)


def ring(comm: qmpi.Comm) -> tuple[int, int]:
    return (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size


def peaks(program: Callable[[qmpi.Comm], None]) -> list[int]:
    """Runs it on every rank; the most halves that each ever held. Everything is given back at the end."""

    def on_rank() -> int:
        comm = qmpi.COMM_WORLD
        program(comm)
        comm.mpi.Barrier()
        assert testing.qubits_held(comm) == 0
        return comm.ledger.peak_epr_buffer

    return qmpi.run(on_rank, RANKS)


def superposed(comm: qmpi.Comm, count: int) -> tuple[qmpi.Register, np.ndarray]:
    """Qubits in a state that is entangled within the rank, and the joint state."""
    q = comm.alloc(count)
    for k, qubit in enumerate(q):
        qmpi.ry(0.4 + 0.3 * k + comm.rank, qubit)
    for near, far in pairwise(q):
        qmpi.cx(near, far)
    return q, comm.statevector(q)


def test_the_setting_is_what_ledgers_and_sessions_see(capacity: int):
    def on_rank() -> int:
        qmpi.COMM_WORLD.alloc(1)
        return int(testing.settings(qmpi.COMM_WORLD).epr_buffer)

    assert qmpi.run(on_rank, 2) == [capacity, capacity]


@pytest.mark.parametrize("verb", ["", "_move"])
def test_persistent_messages_arrive_however_small_the_buffer_is(capacity: int, verb: str):
    def program(comm: qmpi.Comm) -> None:
        after, before = ring(comm)
        q, state = superposed(comm, 2)
        target = comm.alloc(2)
        with getattr(comm, f"send{verb}_init")(q, after, 3) as out, getattr(comm, f"recv{verb}_init")(target, before, 3) as into:
            for k in range(3):
                requests = [out.start(), into.start()]
                qmpi.waitall(requests)
                qmpi.rz(0.3 + k, target)
                qmpi.rz(-0.3 - k, target)
                undo = [getattr(comm, f"iunrecv{verb}")(target), getattr(comm, f"iunsend{verb}")(q)]
                qmpi.waitall(undo)
                comm.barrier()
                assert np.allclose(comm.statevector(q), state)
        qmpi.reset(q)
        comm.free(q + target)

    assert max(peaks(program)) <= capacity


@pytest.mark.parametrize("call", ["bcast", "allgather", "allreduce", "scan"])
def test_persistent_collectives_are_right_however_small_the_buffer_is(capacity: int, call: str):
    def program(comm: qmpi.Comm) -> None:
        q, state = superposed(comm, 1)
        count = comm.size if call == "allgather" else 1
        target = comm.alloc(count)
        arguments = (q if comm.rank == 0 else target,) if call == "bcast" else (q, target)
        window = comm.statevector if call in ("bcast", "allgather") else comm.density_matrix  # reductions keep qubits meanwhile
        with getattr(comm, call)(*arguments) as copy:
            expected = window(q + target)
        with getattr(comm, f"{call}_init")(*arguments) as request:
            for _ in range(3):
                with request.start().wait() as copy:
                    assert len(copy) == count
                    assert np.allclose(window(q + target), expected)
                assert np.allclose(comm.statevector(q), state)
        qmpi.reset(q)
        comm.free(q + target)

    assert max(peaks(program)) <= capacity


def test_ordinary_calls_are_never_starved_by_persistent_requests(capacity: int):
    """As many persistent requests as anybody wants: a send that never waits still finds a slot, before, between and after their starts."""

    def program(comm: qmpi.Comm) -> None:
        after, before = ring(comm)
        both, state = superposed(comm, 2)
        q, mine = both[0], both[1]
        targets = comm.alloc(4)

        def message() -> None:
            comm.bsend(mine, after, 9)
            comm.mpi.Barrier()
            copy = comm.recv(source=before, tag=9)
            comm.unrecv(copy)
            comm.unsend(mine)
            comm.free(copy)
            comm.mpi.Barrier()

        requests = [(comm.send_init(q, after, k), comm.recv_init(target, before, k)) for k, target in enumerate(targets)]
        comm.mpi.Barrier()
        message()
        for k, (out, into) in enumerate(requests):
            running = [out.start(), into.start()]
            message()
            qmpi.waitall(running)
            message()
            comm.unrecv(targets[k])
            comm.unsend(q)
        comm.mpi.Barrier()
        assert np.allclose(comm.statevector(both), state)
        for pair in requests:
            for request in pair:
                request.free()
            message()
        qmpi.reset(both)
        comm.free(both + targets)

    assert max(peaks(program)) <= capacity


def test_pairs_lie_ready_where_there_is_room_and_are_made_by_start_where_there_is_none(capacity: int):
    """Of two requests with a pair in and one out each, as many are served as leave one slot: the others' starts pay."""
    ready = [2 * (k + 1) <= capacity - 1 for k in range(2)]

    def program(comm: qmpi.Comm) -> None:
        after, before = ring(comm)
        q, targets = comm.alloc(1), comm.alloc(2)
        requests = []
        for k in range(2):  # in order: both halves of a request are taken before the next one comes
            requests.append((comm.send_init(q, after, k), comm.recv_init(targets[k], before, k)))
            comm.mpi.Barrier()
        for k, pair in enumerate(requests):
            spent = sum(line.epr_halves for (name, _), line in comm.ledger.by_call.items() if name == "start")
            qmpi.waitall([request.start() for request in pair])
            cost = sum(line.epr_halves for (name, _), line in comm.ledger.by_call.items() if name == "start") - spent
            if ready[k]:
                assert cost == 0
            elif 2 * k >= capacity - 1:
                assert cost == 2
            comm.unrecv(targets[k])
            comm.unsend(q)
        comm.mpi.Barrier()
        for pair in requests:
            for request in pair:
                request.free()
        comm.free(q + targets)

    assert max(peaks(program)) <= capacity


# --- QMPI_EPR_FULL=refuse ---------------------------------------------------------------------------------------------------------------


def test_a_request_that_finds_no_room_is_refused_and_takes_nothing(capacity: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QMPI_EPR_FULL", "refuse")

    def program(comm: qmpi.Comm) -> None:
        after, before = ring(comm)
        q, state = superposed(comm, capacity)
        target = comm.alloc(capacity)
        spent = comm.ledger.epr_halves
        for _ in range(3):
            with pytest.raises(errors.BufferFull, match="QMPI_EPR_BUFFER"):
                comm.send_init(q, after, 3)
            with pytest.raises(errors.BufferFull):
                comm.recv_init(target, before, 3)
        assert testing.qubits_held(comm) == 2 * capacity and comm.ledger.epr_halves == spent
        assert not any(qubit.frozen for qubit in q + target)
        comm.mpi.Barrier()
        fits = (capacity - 1) // 2
        if fits:  # exactly as much as there ever was
            with comm.send_init(q[:fits], after, 3) as out, comm.recv_init(target[:fits], before, 3) as into:
                for _ in range(2):
                    qmpi.waitall([out.start(), into.start()])
                    comm.unrecv(target[:fits])
                    comm.unsend(q[:fits])
                    comm.mpi.Barrier()
        assert np.allclose(comm.statevector(q), state)
        qmpi.reset(q)
        comm.free(q + target)

    assert max(peaks(program)) <= capacity


@pytest.mark.parametrize("other", ["send", "recv"])
def test_a_refusal_on_one_side_does_not_put_later_requests_out_of_step(other: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QMPI_EPR_FULL", "refuse")
    monkeypatch.setenv("QMPI_EPR_BUFFER", "2")

    def program(comm: qmpi.Comm) -> None:
        if comm.rank > 1:
            return
        q = comm.alloc(2)
        if comm.rank == 0:
            qmpi.ry(0.7, q)
        mine = (lambda: comm.send_init(q[0], 1, 3)) if comm.rank == 0 else (lambda: comm.recv_init(q[0], 0, 3))
        if comm.rank == (other == "recv"):
            assert comm._session.core.reserve(1)  # the only one that is not left to the rest
            with pytest.raises(errors.BufferFull):
                mine()
            comm._session.core.give_back(1)
        with mine() as request:
            request.start().wait()
            (comm.unsend if comm.rank == 0 else comm.unrecv)(q[0])
        if comm.rank == 0:
            qmpi.reset(q)
        comm.free(q)

    peaks(program)


def test_a_freed_request_makes_room_for_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QMPI_EPR_FULL", "refuse")
    monkeypatch.setenv("QMPI_EPR_BUFFER", "3")

    def program(comm: qmpi.Comm) -> None:
        after, before = ring(comm)
        q, target = comm.alloc(1), comm.alloc(1)
        for _ in range(3):
            out, into = comm.send_init(q, after), comm.recv_init(target, before)
            for call in (lambda: comm.send_init(q, after), lambda: comm.recv_init(target, before)):
                with pytest.raises(errors.BufferFull):
                    call()
            qmpi.waitall([out.start(), into.start()])
            comm.unrecv(target)
            comm.unsend(q)
            out.free()
            into.free()
            comm.mpi.Barrier()
        comm.free(q + target)

    assert max(peaks(program)) <= 3
