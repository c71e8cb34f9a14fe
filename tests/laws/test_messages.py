"""Messages: who gets what, in which order, and what completes when. MPI's rules, on entangled payloads."""

from __future__ import annotations

import pytest

import qmpi
from qmpi import ANY_TAG, PROC_NULL, errors, testing
from tests.laws.lab import Lab


@pytest.mark.parametrize("verb", ["copy", "move"])
@pytest.mark.parametrize("first", ["send", "receive"])
@pytest.mark.parametrize("allocate", [True, False], ids=["None", "target"])
def test_posting_order_does_not_matter(lab: Lab, verb: str, first: str, allocate: bool) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    send = comm.isend if verb == "copy" else comm.isend_move
    receive = comm.irecv if verb == "copy" else comm.irecv_move
    requests = {}
    for step in (first, "receive" if first == "send" else "send"):
        if step == "send" and comm.rank == 0:
            requests["send"] = send(lab.register("a", "b"), dest, tag=7)
        if step == "receive" and comm.rank == dest:
            requests["receive"] = receive(None if allocate else comm.alloc(2), source=0, tag=7)
        comm.mpi.Barrier()
    if comm.rank == 0:
        requests["send"].wait()
    register = requests["receive"].wait() if comm.rank == dest else None
    for a, b in (("a", "c"), ("b", "d")):
        if verb == "copy":
            lab.oracle.fan_out(a, b, 0)
        else:
            lab.oracle.teleport(a, b, 0, 0)
    lab.bring(dest, ["c", "d"], register)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("first", ["owner", "holder"])
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_posting_order_of_inverses_does_not_matter(lab: Lab, verb: str, first: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    back = lab.oracle.copy()
    copies = None
    if comm.rank == 0:
        (comm.send if verb == "copy" else comm.send_move)(lab.register("a", "b"), dest)
    if comm.rank == dest:
        copies = (comm.recv if verb == "copy" else comm.recv_move)(source=0)
    requests = []
    for step in (first, "holder" if first == "owner" else "owner"):
        if step == "owner" and comm.rank == 0:
            requests.append((comm.iunsend if verb == "copy" else comm.iunsend_move)(lab.register("a", "b")))
        if step == "holder" and comm.rank == dest:
            requests.append((comm.iunrecv if verb == "copy" else comm.iunrecv_move)(copies))
        comm.mpi.Barrier()
    for request in requests:
        request.wait()
    lab.oracle = back
    lab.check()
    if copies is not None:
        comm.free(copies)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_requests_complete_while_their_owner_sits_in_classical_mpi(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    register = None
    if comm.rank == 0:
        requests = [comm.irecv(comm.alloc(1), source=dest, tag=1), comm.isend(lab.handle["a"], dest, tag=2)]
        comm.mpi.recv(source=dest)  # does nothing for qmpi
        assert [request.test() for request in requests] == [True, True]
        got = requests[0].wait()
        comm.unrecv(got)
        comm.free(got)
    elif comm.rank == dest:
        q = comm.alloc(1)
        comm.send(q, 0, tag=1)
        register = comm.recv(source=0, tag=2)
        comm.mpi.send(None, dest=0)
        comm.unsend(q)
    lab.bring_copy(["a"], ["copy"], dest, register)
    lab.check()
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_an_inverse_completes_while_the_original_sits_in_classical_mpi(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest)
        request = comm.iunsend(lab.handle["a"])
        comm.mpi.recv(source=dest)
        assert request.test()
    elif comm.rank == dest:
        copy = comm.recv(source=0)
        comm.unrecv(copy)
        comm.mpi.send(None, dest=0)
        comm.free(copy)
    lab.check()
    lab.give_up()


# --- the buffer of S unreceived qubits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_more_than_s_unreceived_qubits_wait_and_then_arrive(lab: Lab, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    capacity = testing.settings(comm).epr_buffer
    assert capacity == 64
    lab.payload(0, ["a"], dest)
    copied = verb == "copy"
    send, receive = (comm.isend, comm.irecv) if copied else (comm.isend_move, comm.irecv_move)
    filler, requests, register = qmpi.Register(), [], None
    if comm.rank == 0:
        filler = comm.alloc(capacity)
        requests = [send(q, dest, tag=1) for q in filler]
        assert all(request.test() for request in requests)
        waiting = send(lab.handle["a"], dest, tag=2)
        assert not waiting.test()
        assert lab.handle["a"].frozen
        requests.append(waiting)
    comm.mpi.Barrier()
    if comm.rank == dest:
        assert comm.ledger.peak_epr_buffer == capacity
        got = [receive(source=0, tag=1).wait() for _ in range(capacity)]
        register = receive(source=0, tag=2).wait()
        for one in got:
            if copied:
                comm.unrecv(one)
            comm.free(one)
    if comm.rank == 0:
        for request in requests:
            request.wait()
        assert not lab.handle["a"].frozen
        if copied:
            for q in filler:
                comm.unsend(q)
        comm.free(filler)
    if copied:
        lab.oracle.fan_out("a", "b", 0)
    else:
        lab.oracle.teleport("a", "b", 0, 0)
    lab.bring(dest, ["b"], register)
    lab.check()
    lab.give_up()


def test_a_message_larger_than_s_waits_for_its_receive(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    others = comm.alloc(64) if comm.rank == 0 else qmpi.Register()
    request = comm.isend_move(others + lab.handle["a"], dest) if comm.rank == 0 else None
    if request is not None:
        assert not request.test()
    comm.mpi.Barrier()
    register = None
    if comm.rank == dest:
        everything = comm.recv_move(source=0)
        assert len(everything) == 65
        register = everything[64:]
        comm.free(everything[:64])
    if request is not None:
        request.wait()
        comm.free(others)
    lab.oracle.teleport("a", "b", 0, 0)
    lab.bring(dest, ["b"], register)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("last", [False, True], ids=["rank 0", "last rank"])
def test_messages_to_oneself_arrive(lab: Lab, last: bool) -> None:
    comm, rank = lab.comm, lab.comm.size - 1 if last else 0
    lab.payload(rank, ["a", "b"], comm.size - 1 - rank)
    registers = None
    if comm.rank == rank:
        comm.send(lab.handle["a"], rank, tag=1)
        comm.send_move(lab.handle["b"], rank, tag=2)
        moved = comm.recv_move(source=rank, tag=2)
        status = qmpi.Status()
        copied = comm.recv(source=rank, status=status)
        assert status == qmpi.Status(rank, 1, 1)
        registers = copied + moved
    lab.oracle.fan_out("a", "c", 0)
    lab.oracle.teleport("b", "d", 0, 0)
    lab.bring(rank, ["c", "d"], registers)
    lab.check()
    if comm.rank == rank:
        comm.unrecv(copied)
        comm.unsend(lab.handle["a"])
    lab.oracle.undo_fan_out("a", "c", 0)
    lab.check()
    lab.give_up()


def test_results_of_a_request_are_the_same_when_asked_again(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    if comm.rank == 0:
        request = comm.isend(lab.handle["a"], dest)
        assert request.wait() is request.wait()
    register = None
    if comm.rank == dest:
        request = comm.irecv()
        register = request.wait()
        assert request.wait() is register and request.test()
    lab.bring_copy(["a"], ["b"], dest, register)
    lab.check()
    lab.give_up()


# --- EPR pairs --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
def test_epr_pairs_are_matched_by_tag_in_order_and_never_by_a_receive(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    here, there = [f"e{k}" for k in range(4)], [f"f{k}" for k in range(4)]
    lab.alloc(0, *here)
    lab.alloc(dest, *there)
    register = None
    if comm.rank == dest:
        stray = comm.irecv(source=0, tag=ANY_TAG)
        requests = [comm.iprepare_epr(lab.handle[there[k]], 0, tag=k % 2) for k in range(4)]
        assert all(lab.handle[name].frozen for name in there)
    comm.mpi.Barrier()
    if comm.rank == dest:
        for request in requests:
            request.wait()
        register = stray.wait()
    if comm.rank == 0:
        for k in (1, 0, 3, 2):
            comm.prepare_epr(lab.handle[here[k]], dest, tag=k % 2)
        comm.send(lab.handle["a"], dest, tag=1)
    for k in range(4):
        lab.oracle.epr(here[k], there[k])
    lab.bring_copy(["a"], ["b"], dest, register)
    lab.check()
    lab.give_up()


# --- PROC_NULL --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qmpi", "mpi4py"])
def test_proc_null_is_legal_everywhere_and_does_nothing(lab: Lab, kind: str) -> None:
    from mpi4py import MPI

    comm = lab.comm
    null = PROC_NULL if kind == "qmpi" else MPI.PROC_NULL
    lab.payload(0, ["a"], comm.size - 1)
    target = comm.alloc(2)
    mine = lab.register(*[name for name in lab.order() if lab.owner[name] == comm.rank]) if lab.handle else qmpi.Register()
    with lab.untouched():
        comm.prepare_epr(target, null)
        comm.iprepare_epr(target, null).wait()
        comm.send(mine, null)
        comm.unsend(mine)
        comm.isend(mine, null).wait()
        comm.iunsend(mine, null).wait()
        comm.send_move(mine, null)
        comm.unsend_move(mine)
        comm.isend_move(mine, null).wait()
        comm.iunsend_move(mine).wait()
        status = qmpi.Status()
        assert len(comm.recv(None, null, status=status)) == 0
        assert status == qmpi.Status(PROC_NULL, ANY_TAG, 0)
        got = comm.recv(target, null)
        comm.unrecv(got, null)
        got = comm.recv(target, null, 5, status)
        with pytest.raises(errors.UnmatchedInverse):
            comm.unrecv(got, null, 4)
        comm.unrecv(got, null, 5)
        got = comm.recv(target, null, ANY_TAG, status)
        comm.unrecv(got, status.source, status.tag)
        nothing = comm.irecv(None, null).wait()
        comm.iunrecv(nothing).wait()
        got = comm.recv_move(target, null)
        comm.unrecv_move(got)
        comm.iunrecv_move(comm.irecv_move(None, null).wait()).wait()
        with comm.send(mine, null), comm.recv(None, null) as empty:
            assert len(empty) == 0
    comm.free(target)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_a_shift_along_an_open_chain_needs_no_special_case_at_its_ends(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    for rank in range(size):
        lab.payload(rank, [f"a{rank}"], (rank + 1) % size)
    right = comm.rank + 1 if comm.rank + 1 < size else PROC_NULL
    left = comm.rank - 1 if comm.rank > 0 else PROC_NULL
    q = lab.handle[f"a{comm.rank}"]
    comm.send(q, right)
    copy = comm.recv(None, left)
    for rank in range(1, size):
        lab.oracle.fan_out(f"a{rank - 1}", f"b{rank}", 0)
        lab.bring(rank, [f"b{rank}"], copy)
    lab.check()
    comm.unrecv(copy)
    comm.unsend(q)
    for rank in range(1, size):
        lab.oracle.undo_fan_out(f"a{rank - 1}", f"b{rank}", 0)
    lab.check()
    lab.give_up()
