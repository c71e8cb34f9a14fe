"""Cancellation takes back what nothing has matched; waits for several requests end when they should."""

from __future__ import annotations

from typing import Any

import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab

VERBS = ["copy", "move"]


def named(lab: Lab, call: str, verb: str) -> Any:
    return getattr(lab.comm, call + ("" if verb == "copy" else "_move"))


def arrived(lab: Lab, verb: str, here: list[str], there: list[str], dest: int, register: qmpi.Register | None) -> None:
    (lab.bring_copy if verb == "copy" else lab.bring_moved)(here, there, dest, register)
    lab.check()


def receive(lab: Lab, verb: str, dest: int, tag: int = 0) -> qmpi.Register | None:
    return lab.on(dest, lambda: named(lab, "recv", verb)(None, 0, tag))


# --- cancelling -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["", "b", "s"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_cancelled_send_has_not_been_but_its_pair_stays_charged(lab: Lab, verb: str, mode: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    before, spent = lab.amplitudes(), comm.ledger.total()
    if comm.rank == 0:
        request = named(lab, f"i{mode}send", verb)(lab.register("a", "b"), dest, 3)
        assert request.cancel() is True
        assert not lab.handle["a"].frozen and request.complete and request.cancel() is False
    comm.mpi.Barrier()
    if comm.rank == dest:
        assert not comm.iprobe()
        posted = named(lab, "irecv", verb)(None, 0)
        assert not posted.test() and posted.cancel()
    assert abs(lab.amplitudes() - before).max() < lab.tolerance
    total = comm.ledger.total()
    assert total.epr_pairs - spent.epr_pairs == (0 if mode == "s" else 2)  # a synchronous one waits without a pair
    with lab.untouched():  # free of it: nothing to undo, nothing that obliges
        if comm.rank == 0:
            with pytest.raises(errors.UnmatchedInverse):
                named(lab, "unsend", verb)(lab.register("a", "b"))
    if comm.rank == 0:
        comm.send_move(lab.register("a", "b"), dest, 4)
    arrived(lab, "move", ["a", "b"], ["c", "d"], dest, receive(lab, "move", dest, 4))
    lab.give_up()


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("verb", VERBS)
def test_only_the_cancelled_one_of_several_messages_is_gone(lab: Lab, verb: str, which: int) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    names = ["a", "b", "c"]
    lab.payload(0, names, dest)
    if comm.rank == 0:
        requests = [named(lab, "isend", verb)(lab.handle[name], dest, 3) for name in names]
        assert requests[which].cancel()
        qmpi.waitall([request for k, request in enumerate(requests) if k != which])
    comm.mpi.Barrier()
    rest = [name for k, name in enumerate(names) if k != which]
    register = qmpi.Register()
    if comm.rank == dest:
        for _ in rest:
            register += named(lab, "recv", verb)(None, 0, 3)
        assert not comm.iprobe()
    arrived(lab, verb, rest, ["x", "y"], dest, register)
    lab.give_up()


@pytest.mark.parametrize(("mode", "how"), [("", "receive"), ("s", "receive"), ("r", "receive"), ("", "claim"), ("s", "claim")])
@pytest.mark.parametrize("verb", VERBS)
def test_a_matched_send_cannot_be_cancelled_and_arrives(lab: Lab, verb: str, mode: str, how: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    posted = lab.on(dest, lambda: named(lab, "irecv", verb)(None, 0) if how == "receive" else None)
    comm.mpi.Barrier()
    request = lab.on(0, lambda: named(lab, f"i{mode}send", verb)(lab.handle["a"], dest))
    comm.mpi.Barrier()
    message = lab.on(dest, lambda: comm.mprobe() if how == "claim" else None)
    comm.mpi.Barrier()
    if request is not None:
        assert request.cancel() is False
        assert request.test() is not (mode == "s" and how == "claim")
    comm.mpi.Barrier()
    got = lab.on(dest, lambda: named(lab, "mrecv", verb)(message) if how == "claim" else posted.wait())
    if request is not None:
        request.wait()
        assert request.cancel() is False
    arrived(lab, verb, ["a"], ["b"], dest, got)
    lab.give_up()


@pytest.mark.parametrize("verb", VERBS)
def test_a_send_that_found_no_room_is_cancelled_for_nothing(lab: Lab, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    with lab.untouched():
        if comm.rank == 0:
            zeros = comm.alloc(64)
            request = named(lab, "isend", verb)(zeros + lab.handle["a"], dest)
            assert not request.test() and request.cancel()
            comm.free(zeros)
    if comm.rank == dest:
        assert not comm.iprobe()
    lab.give_up()


@pytest.mark.parametrize("name", ["isendrecv", "isendrecv_replace"])
def test_both_ways_are_cancelled_together_and_leave_no_qubits(lab: Lab, name: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    before, held = lab.amplitudes(), testing.qubits_held(comm)
    if comm.rank == 0:
        spare = (None,) if name == "isendrecv" else ()
        request = getattr(comm, name)(lab.handle["a"], dest, 1, *spare, dest, 2)
        assert request.cancel() and not lab.handle["a"].frozen
    comm.mpi.Barrier()
    assert not comm.iprobe()
    assert testing.qubits_held(comm) == held
    assert abs(lab.amplitudes() - before).max() < lab.tolerance
    lab.give_up()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("name", ["sendrecv", "sendrecv_replace"])
def test_both_ways_whose_receive_fails_leave_nothing_frozen_and_no_qubits(lab: Lab, name: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    lab.alloc(dest, "t", "u")
    copies = name == "sendrecv"
    before, held = lab.amplitudes(), testing.qubits_held(comm)
    if comm.rank == dest:
        comm.send_move(lab.register("t", "u"), 0, 2)
    comm.mpi.Barrier()
    if comm.rank == 0:
        small = (comm.alloc(1),) if copies else ()
        with pytest.raises(errors.MismatchedMessage if copies else errors.Truncated):
            getattr(comm, name)(lab.handle["a"], dest, 1, *small, dest, 2)
        assert not lab.handle["a"].frozen
        if copies:
            comm.free(small[0])
        big = comm.recv_move()
        comm.free(big)
    comm.mpi.Barrier()
    assert not comm.iprobe()
    assert testing.qubits_held(comm) == held
    assert abs(lab.amplitudes() - before).max() < lab.tolerance
    lab.give_up()


def test_inverses_and_collectives_cannot_be_cancelled(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    q = comm.alloc(1)
    request = comm.ibcast(q)
    assert request.cancel() is False
    with request.wait():
        comm.barrier()
    comm.mpi.Barrier()
    if comm.rank == 0:
        comm.send(q, dest)
    copy = lab.on(dest, lambda: comm.recv(source=0))
    requests = []
    if comm.rank == 0:
        requests.append(comm.iunsend(q))
        assert not requests[0].cancel()
    comm.mpi.Barrier()
    if comm.rank == dest:
        requests.append(comm.iunrecv(copy))
        assert not requests[-1].cancel()
    qmpi.waitall(requests)
    comm.mpi.Barrier()


# --- waits for several ---------------------------------------------------------------------------------------------------------------


def exchange(lab: Lab, tags: list[int]) -> list[qmpi.Request[Any]]:
    """Receives on the last rank for these tags, from rank 0, in |0⟩."""
    return [lab.comm.irecv_move(source=0, tag=tag) for tag in tags] if lab.comm.rank == lab.comm.size - 1 else []


def send(lab: Lab, *tags: int) -> None:
    """Rank 0 sends a state to the last rank, |1⟩ where the tag is odd, and all know it."""
    if lab.comm.rank == 0:
        for tag in tags:
            q = lab.comm.alloc(1)
            if tag % 2:
                qmpi.gates.x(q)
            lab.comm.send_move(q, lab.comm.size - 1, tag)
            lab.comm.free(q)
    lab.comm.mpi.Barrier()


def value(lab: Lab, register: qmpi.Register) -> int:
    bit = int(qmpi.measure(register[0]))
    qmpi.reset(register)
    lab.comm.free(register)
    return bit


def test_waitall_gives_all_results_in_their_order(lab: Lab) -> None:
    requests = exchange(lab, [0, 1, 2, 3])
    lab.comm.mpi.Barrier()
    send(lab, 3, 0, 2, 1)
    results = qmpi.waitall(requests)
    assert [value(lab, register) for register in results] == [0, 1, 0, 1][: len(requests)]
    assert [request.wait() for request in requests] == results and qmpi.waitall([]) == []


def test_waitall_raises_what_one_raises_and_the_others_can_be_waited_for(lab: Lab) -> None:
    comm = lab.comm
    requests = exchange(lab, [1, 2])
    if requests:
        requests.insert(1, comm.irecv(source=0, tag=3))
    comm.mpi.Barrier()
    send(lab, 1, 2, 3)
    if requests:
        for _ in range(2):
            with pytest.raises(errors.MismatchedMessage):
                qmpi.waitall(requests)
        assert [value(lab, requests[k].wait()) for k in (0, 2)] == [1, 0]
        assert value(lab, comm.recv_move(tag=3)) == 1


def test_testall_is_true_once_all_are_complete(lab: Lab) -> None:
    requests = exchange(lab, [1, 2])
    lab.comm.mpi.Barrier()
    for tag, complete in ((2, [False, True]), (1, [True, True])):
        assert qmpi.testall(requests) is not bool(requests)
        lab.comm.mpi.Barrier()
        send(lab, tag)
        assert qmpi.testall(requests) is (all(complete) or not requests)
        assert [request.complete for request in requests] == complete[: len(requests)]
        lab.comm.mpi.Barrier()
    assert sorted(value(lab, request.wait()) for request in requests) == [0, 1][: len(requests)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_waitany_gives_one_that_is_complete_and_its_result(lab: Lab, order: tuple[int, ...]) -> None:
    requests = exchange(lab, [0, 1, 2])
    left = list(range(3))
    for tag in order:
        lab.comm.mpi.Barrier()
        send(lab, tag)
        if requests:
            index, register = qmpi.waitany([requests[k] for k in left])
            assert left.pop(index) == tag and value(lab, register) == tag % 2
            assert requests[tag].complete and not any(requests[k].complete for k in left)


def test_waitany_gives_a_complete_request_again_and_what_was_null_at_once(lab: Lab) -> None:
    comm = lab.comm
    never = comm.irecv(source=comm.rank, tag=77)
    null = comm.irecv(None, qmpi.PROC_NULL)
    for _ in range(2):
        index, register = qmpi.waitany([never, null])
        assert index == 1 and len(register) == 0
        assert [index for index, _ in qmpi.waitsome([never, null, null])] == [1, 2]
    assert never.cancel()


def test_waitsome_takes_all_that_are_complete(lab: Lab) -> None:
    requests = exchange(lab, [0, 1, 2, 3])
    lab.comm.mpi.Barrier()
    send(lab, 3, 1)
    if requests:
        done = qmpi.waitsome(requests)
        assert [index for index, _ in done] == [1, 3] and [value(lab, register) for _, register in done] == [1, 1]
        assert not requests[0].complete and not requests[2].complete
    lab.comm.mpi.Barrier()
    send(lab, 0, 2)
    if requests:
        done = qmpi.waitsome([requests[0], requests[2]])
        assert [(index, value(lab, register)) for index, register in done] == [(0, 0), (1, 0)]


@pytest.mark.parametrize("call", ["waitany", "waitsome"])
def test_one_of_nothing_is_refused(lab: Lab, call: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"{call} needs at least one"):
        getattr(qmpi, call)([])


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("call", ["waitany", "waitsome"])
def test_a_waiting_rank_wakes_up_when_the_last_of_its_requests_can_go_on(lab: Lab, call: str) -> None:
    """Each rank but the first waits for any of three messages; only one comes, from the rank before it, after it has begun."""
    comm = lab.comm
    q = comm.alloc(1)
    if comm.rank == 0:
        qmpi.gates.x(q)
    else:
        others = [comm.irecv_move(source=comm.rank, tag=1), comm.irecv_move(source=comm.rank - 1, tag=2)]
        requests = [*others, comm.irecv_move(q, source=comm.rank - 1, tag=3)]
        result = getattr(qmpi, call)(requests)
        assert (result if call == "waitany" else result[0]) == (2, q)
        assert [request.cancel() for request in others] == [True, True]
    if comm.rank + 1 < comm.size:
        comm.send_move(q, comm.rank + 1, 3)
    assert [int(bits) for bits in comm.measure(q)] == [int(rank == comm.size - 1) for rank in range(comm.size)]
    qmpi.reset(q)
    comm.free(q)


@pytest.mark.parametrize("call", ["waitany", "waitsome"])
def test_to_wait_for_any_of_what_can_never_come_is_a_deadlock(lab: Lab, call: str) -> None:
    comm, before = lab.comm, (lab.comm.rank - 1) % lab.comm.size
    requests = [comm.irecv(source=before, tag=1), comm.irecv(source=comm.rank, tag=2)]
    with pytest.raises(errors.Deadlock, match=call):
        getattr(qmpi, call)(requests)
    comm.mpi.Barrier()
    comm.send_move(comm.alloc(1), (comm.rank + 1) % comm.size, 1)  # the requests are still there
    with pytest.raises(errors.MismatchedMessage):
        getattr(qmpi, call)(requests)
    assert requests[1].cancel()
    comm.free(comm.recv_move(source=before, tag=1))


def test_a_joint_request_counts_as_complete_when_both_ways_are(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    q = comm.alloc(1)
    if comm.rank == 0:
        qmpi.gates.x(q)
    never = comm.irecv(source=comm.rank, tag=77)
    request = comm.isendrecv_replace(q, (comm.rank + 1) % size, 0, (comm.rank - 1) % size)
    index, register = qmpi.waitany([never, request])
    assert index == 1 and register == q and never.cancel()
    assert [int(bits) for bits in comm.measure(q)] == [int(rank == 1 % size) for rank in range(size)]
    qmpi.reset(q)
    comm.free(q)
