"""Persistent requests do what the call that is not persistent does, as often as they are started; pairs are shared beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import IN_PLACE, PROC_NULL, errors, testing
from tests.laws.lab import Lab
from tests.oracle import fidelity

STARTS = 2


@pytest.fixture
def rng() -> np.random.Generator:
    """One seed is enough: each test does its work several times."""
    return np.random.default_rng([2105, 1109, 7])


def named(lab: Lab, call: str, verb: str, end: str = "_init") -> Any:
    return getattr(lab.comm, call + ("" if verb == "copy" else "_move") + end)


def charged(comm: qmpi.Comm, call: str) -> np.ndarray:
    """EPR halves and bits sent of a call, by all ranks."""
    mine = [(line.epr_halves, line.bits_sent) for (name, _), line in comm.ledger.by_call.items() if name == call]
    return np.sum(comm.mpi.allgather(np.sum([*mine, (0, 0)], axis=0)), axis=0)


# --- messages ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("first", ["send", "receive"])
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_persistent_message_arrives_at_every_start_and_start_costs_no_pairs(lab: Lab, verb: str, first: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    lab.alloc(dest, "c", "d")
    held = testing.qubits_held(comm)
    start, made = charged(comm, "start"), [charged(comm, f"{call}{'' if verb == 'copy' else '_move'}_init") for call in ("send", "recv")]
    mine: list[Any] = []
    if comm.rank == 0:
        mine.append(named(lab, "send", verb)(lab.register("a", "b"), dest, 3))
    if comm.rank == dest:
        mine.append(named(lab, "recv", verb)(lab.register("c", "d"), 0, 3))
    for k in range(3):
        for rank in (0, dest) if first == "send" else (dest, 0):
            if comm.rank == rank:
                mine[0].start()
                assert all(qubit.frozen for qubit in lab.register(*("ab" if rank == 0 else "cd")))
            comm.mpi.Barrier()
        for request in mine:
            result = request.wait()
            assert comm.rank == 0 or result == lab.register("c", "d")
        for a, b in (("a", "c"), ("b", "d")):
            lab.oracle.gate("cx" if verb == "copy" else "swap", a, b)
        lab.check()
        if comm.rank == dest:  # a phase of the copy is one of the original
            qmpi.gates.rz(0.2 + k, lab.handle["c"])
        lab.oracle.gate("rz", "c", angles=(0.2 + k,))
        requests = []
        if comm.rank == dest:
            requests.append(named(lab, "iunrecv", verb, "")(lab.register("c", "d")))
        if comm.rank == 0:
            requests.append(named(lab, "iunsend", verb, "")(lab.register("a", "b")))
        qmpi.waitall(requests)
        for a, b in (("a", "c"), ("b", "d")):
            lab.oracle.gate("cx" if verb == "copy" else "swap", a, b)
        lab.check()
    for request in mine:
        request.free()
    assert testing.qubits_held(comm) == held
    bits = (1 if verb == "copy" else 2) * 2 * 3
    assert (charged(comm, "start") - start).tolist() == [0, bits]
    for call, before in zip(("send", "recv"), made, strict=True):  # one pair for each start, and those that lie ready
        assert (charged(comm, f"{call}{'' if verb == 'copy' else '_move'}_init") - before).tolist() == [2 * 4, 0]
    lab.give_up()


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_persistent_messages_shift_a_ring_however_it_is_started(lab: Lab, verb: str) -> None:
    comm, size = lab.comm, lab.comm.size
    after, before = (comm.rank + 1) % size, (comm.rank - 1) % size
    for rank in range(size):
        lab.payload(rank, [f"a{rank}"], (rank + 2) % size)
        lab.alloc(rank, f"b{rank}")
    q, target = lab.handle[f"a{comm.rank}"], lab.handle[f"b{comm.rank}"]
    original = lab.oracle.copy()
    with named(lab, "send", verb)(q, after, 1) as out, named(lab, "recv", verb)(target, before, 1) as into:
        for k in range(STARTS):
            requests = [request.start() for request in ((out, into) if (comm.rank + k) % 2 else (into, out))]
            qmpi.waitall(requests)
            for rank in range(size):
                lab.oracle.gate("cx" if verb == "copy" else "swap", f"a{rank}", f"b{(rank + 1) % size}")
            lab.check()
            undo = [named(lab, "iunrecv", verb, "")(target), named(lab, "iunsend", verb, "")(q)]
            qmpi.waitall(undo)
            lab.oracle = original.copy()
            lab.check()
    lab.give_up()


def test_a_persistent_message_to_proc_null_does_nothing(lab: Lab) -> None:
    comm = lab.comm
    lab.payload(0, ["a"], comm.size - 1)
    mine, target = lab.register(*lab.handle), comm.alloc(1)
    held = testing.qubits_held(comm)
    with lab.untouched():
        for verb in ("copy", "move"):
            with named(lab, "send", verb)(mine, PROC_NULL) as out, named(lab, "recv", verb)(target, PROC_NULL) as into:
                for _ in range(STARTS):
                    out.start().wait()
                    into.start().wait()
    assert testing.qubits_held(comm) == held
    comm.free(target)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_persistent_messages_match_in_the_order_in_which_they_were_made_and_do_not_mix_with_others(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b", "c"], dest)
    lab.alloc(dest, "x", "y")
    mine, register = [], None
    if comm.rank == 0:
        mine = [comm.send_init(lab.handle["a"], dest, 3), comm.send_init(lab.handle["b"], dest, 3)]
        comm.send(lab.handle["c"], dest, 3)
        mine[1].start().wait()
        mine[0].start().wait()
    if comm.rank == dest:
        mine = [comm.recv_init(lab.handle["x"], 0, 3), comm.recv_init(lab.handle["y"], 0, 3)]
        requests = [request.start() for request in mine]
        register = comm.recv(source=0, tag=3)
        qmpi.waitall(requests)
    lab.oracle.gate("cx", "a", "x")
    lab.oracle.gate("cx", "b", "y")
    lab.bring_copy(["c"], ["z"], dest, register)
    lab.check()
    for request in mine:
        request.free()
    lab.give_up()


# --- what is refused --------------------------------------------------------------------------------------------------------------------


def test_a_request_that_runs_cannot_be_started_or_freed_and_one_that_was_freed_cannot_be_started(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    q = comm.alloc(1)
    held = testing.qubits_held(comm)
    request = comm.bcast_init(q)
    with pytest.raises(errors.InvalidArgument, match="has not been started"):
        request.wait()
    assert request.test()
    if comm.rank == 0 and size > 1:  # the others have not started theirs
        running = request.start()
        for call in (request.start, request.free):
            with pytest.raises(errors.InvalidArgument, match="has been started: wait"):
                call()
        assert running.cancel() is False
    comm.mpi.Barrier()
    if comm.rank or size == 1:
        request.start()
    with request.wait():
        comm.barrier()
    assert request.test()
    request.free()
    request.free()
    with pytest.raises(errors.InvalidArgument, match="has been freed"):
        request.start()
    assert testing.qubits_held(comm) == held
    comm.free(q)


@pytest.mark.ranks(min_size=2)
def test_what_start_refuses_can_be_started_later(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    lab.alloc(dest, "b")
    mine = lab.on(0, lambda: comm.send_init(lab.handle["a"], dest)) or lab.on(dest, lambda: comm.recv_init(lab.handle["b"], 0))
    if comm.rank == dest:
        qmpi.gates.x(lab.handle["b"])
        with pytest.raises(errors.NotZero):
            mine.start()
        qmpi.gates.x(lab.handle["b"])
    if mine is not None:
        mine.start().wait()
        mine.free()
    lab.oracle.gate("cx", "a", "b")
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("call", ["recv_init", "recv_move_init"])
@pytest.mark.parametrize("wildcard", [(qmpi.ANY_SOURCE, 0), (0, qmpi.ANY_TAG)], ids=["source", "tag"])
def test_persistent_receives_take_no_wildcards(lab: Lab, call: str, wildcard: tuple[Any, Any]) -> None:
    q = lab.comm.alloc(1)
    with pytest.raises((errors.RankOutOfRange, errors.TagOutOfRange)):
        getattr(lab.comm, call)(q, *wildcard)
    lab.comm.free(q)


# --- collectives ------------------------------------------------------------------------------------------------------------------------


def ones(size: int) -> list[int]:
    return [1] * size


# Arguments on a rank: p is a payload qubit, q has a qubit for each rank (one of them p), z as many in |0⟩.
Arguments = Callable[[int, int, qmpi.Qubit, qmpi.Register, qmpi.Register], tuple[Any, ...]]
FORMS: dict[str, tuple[str, Arguments]] = {
    "bcast": ("bcast", lambda rank, size, p, q, z: (p if rank == size // 2 else z[0], size // 2)),
    "bcast over a cat": ("bcast", lambda rank, size, p, q, z: (p if rank == size - 1 else z[0], size - 1, "cat")),
    "cat": ("cat", lambda rank, size, p, q, z: (z[0],)),
    "gather": ("gather", lambda rank, size, p, q, z: (p, z if rank == 0 else None)),
    "gather_move": ("gather_move", lambda rank, size, p, q, z: (p, z if rank == size - 1 else None, size - 1)),
    "gatherv": ("gatherv", lambda rank, size, p, q, z: (p, z if rank == 0 else None, ones(size))),
    "gatherv_move": ("gatherv_move", lambda rank, size, p, q, z: (p, z if rank == 0 else None, ones(size))),
    "scatter": ("scatter", lambda rank, size, p, q, z: (q if rank == size - 1 else None, z[0], size - 1)),
    "scatter_move": ("scatter_move", lambda rank, size, p, q, z: (q if rank == 0 else None, z[0])),
    "scatterv": ("scatterv", lambda rank, size, p, q, z: (q if rank == 0 else None, ones(size), None, z[0])),
    "scatterv_move": ("scatterv_move", lambda rank, size, p, q, z: (q if rank == 0 else None, ones(size), None, z[0])),
    "allgather": ("allgather", lambda rank, size, p, q, z: (p, z)),
    "allgatherv": ("allgatherv", lambda rank, size, p, q, z: (p, z, ones(size))),
    "alltoall": ("alltoall", lambda rank, size, p, q, z: (q, z)),
    "alltoall in place": ("alltoall", lambda rank, size, p, q, z: (IN_PLACE, q)),
    "alltoallv": ("alltoallv", lambda rank, size, p, q, z: (q, ones(size), None, z, ones(size))),
    "alltoallw": ("alltoallw", lambda rank, size, p, q, z: (list(q), list(z))),
    "alltoall_move": ("alltoall_move", lambda rank, size, p, q, z: (q, z)),
    "alltoallv_move": ("alltoallv_move", lambda rank, size, p, q, z: (q, ones(size), None, z, ones(size))),
    "alltoallw_move": ("alltoallw_move", lambda rank, size, p, q, z: (list(q), list(z))),
    "reduce": ("reduce", lambda rank, size, p, q, z: (p, z[0], qmpi.MAX)),
    "reduce by a star": ("reduce", lambda rank, size, p, q, z: (p, z[0], qmpi.PARITY, size - 1, None, "star")),
    "allreduce": ("allreduce", lambda rank, size, p, q, z: (p, z[0], qmpi.SUM)),
    "reduce_scatter_block": ("reduce_scatter_block", lambda rank, size, p, q, z: (q, z[0], qmpi.BOR)),
    "reduce_scatter": ("reduce_scatter", lambda rank, size, p, q, z: (q, z[0], ones(size))),
    "scan": ("scan", lambda rank, size, p, q, z: (p, z[0], qmpi.PARITY)),
    "exscan": ("exscan", lambda rank, size, p, q, z: (p, z[0], qmpi.MAX)),
}


HOLD = ("reduce", "allreduce", "reduce_scatter_block", "reduce_scatter", "scan", "exscan")


def test_every_collective_has_a_form_here() -> None:
    assert {call for call, _ in FORMS.values()} == {
        name.removesuffix("_init") for name in dir(qmpi.Comm) if name.endswith("_init") and name.split("_")[0] not in ("send", "recv")
    }


class View:
    """The state of this rank's qubits: what is certain by its bits, the rest by its joint amplitudes.

    Of a mixed state (an operation keeps qubits until its inverse) the density matrix is compared, of these qubits.
    """

    def __init__(self, comm: qmpi.Comm, qubits: qmpi.Register, mixed: bool = False) -> None:
        self.comm, self.qubits, self.mixed = comm, qubits, mixed
        self.odds = np.array([qmpi.probability(qubit) for qubit in qubits])
        uncertain = qmpi.Register([qubit for qubit, odds in zip(qubits, self.odds, strict=True) if 1e-4 < odds < 1 - 1e-4])
        self.state = comm.density_matrix(uncertain) if mixed else comm.statevector(uncertain)

    def check(self, tolerance: float) -> None:
        """That it is the same now. Collective."""
        now = View(self.comm, self.qubits, self.mixed)
        assert np.abs(now.odds - self.odds).max() < 10 * tolerance
        assert now.state.shape == self.state.shape
        difference = np.abs(now.state - self.state).max() if self.mixed else 1 - fidelity(now.state, self.state)
        assert difference < 10 * tolerance


@pytest.mark.parametrize("form", FORMS)
def test_a_persistent_collective_does_what_the_call_does_and_start_costs_no_pairs(lab: Lab, form: str) -> None:
    comm, rank, size = lab.comm, lab.comm.rank, lab.comm.size
    call, arguments = FORMS[form]
    superposed = lab.rng.permutation(size)[:2]  # two ranks' payloads, each entangled with another rank; more qubits than that take time
    for each in range(size):
        if each in superposed:
            lab.payload(each, [f"p{each}"], (each + 1) % size)
        else:
            lab.alloc(each, f"p{each}")
            lab.gate("x", f"p{each}")
    p, q, z = lab.handle[f"p{rank}"], comm.alloc(size), comm.alloc(size)
    qmpi.gates.x(q)
    at = (rank + 1) % size
    given = arguments(rank, size, p, q[:at] + p + q[at + 1 :], z)  # one qubit of q is left over
    everything = lab.register(*lab.handle) + q + z
    before, held = View(comm, everything), testing.qubits_held(comm)
    spent = comm.ledger.total()
    result = getattr(comm, call)(*given)
    total = comm.ledger.total()
    pairs, bits = total.epr_pairs - spent.epr_pairs, total.classical_bits - spent.classical_bits
    expected = View(comm, qmpi.Register([p]) + q + z, mixed=True) if call in HOLD else View(comm, everything)
    with result:
        pass
    comm.mpi.Barrier()
    before.check(lab.tolerance)
    started, made = charged(comm, "start"), charged(comm, f"{call}_init")
    with getattr(comm, f"{call}_init")(*given) as request:
        for _ in range(STARTS):
            again = request.start().wait()
            assert again == result
            expected.check(lab.tolerance)
            with again:
                pass
            comm.mpi.Barrier()
            before.check(lab.tolerance)
    assert testing.qubits_held(comm) == held
    assert (charged(comm, "start") - started).tolist() == [0, STARTS * bits]
    assert (charged(comm, f"{call}_init") - made).tolist() == [2 * pairs * (STARTS + 1), 0]
    qmpi.reset(q)
    comm.free(q + z)
    lab.give_up()


# --- several at once ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
def test_persistent_requests_are_waited_for_with_others_and_those_that_are_not_started_passed_over(comm: qmpi.Comm) -> None:
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    q, r, idle_q = comm.alloc(1), comm.alloc(1), comm.alloc(1)
    with comm.bcast_init(q) as cast, comm.bcast_init(idle_q) as idle:
        assert qmpi.waitall([idle, idle]) == [None, None] and qmpi.testall([idle])
        for call in (qmpi.waitany, qmpi.waitsome):
            with pytest.raises(errors.InvalidArgument, match="started"):
                call([idle, idle])
        for call in (qmpi.waitall, qmpi.waitany, qmpi.waitsome, qmpi.testall):
            cast.start()
            message = comm.irecv(r, left)
            comm.send(idle_q, right)
            requests = [idle, cast, message]
            if call is qmpi.waitall:
                nothing, copy, came = qmpi.waitall(requests)
                assert (nothing, copy, came) == (None, q, r)
            elif call is qmpi.testall:
                while not qmpi.testall(requests):
                    pass
            else:
                done: dict[int, Any] = {}
                while len(done) < 2:
                    waiting = [k for k in range(3) if k not in done]
                    found = (
                        qmpi.waitsome([requests[k] for k in waiting])
                        if call is qmpi.waitsome
                        else [qmpi.waitany([requests[k] for k in waiting])]
                    )
                    done |= {waiting[index]: result for index, result in found}
                assert done == {1: q, 2: r}
            assert qmpi.waitall([cast]) == [None]  # complete, so that it is not started
            comm.unrecv(r)
            comm.unsend(idle_q)
            comm.unbcast(q)
    comm.free(q + r + idle_q)
