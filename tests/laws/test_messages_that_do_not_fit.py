"""A message and a receive that find each other and do not fit: the receive fails, the message stays, nothing is lost."""

from __future__ import annotations

import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab


@pytest.mark.parametrize("first", ["send", "receive"])
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_message_larger_than_the_target_stays_in_the_mailbox(lab: Lab, verb: str, first: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    send = comm.isend if verb == "copy" else comm.isend_move
    receive = comm.irecv if verb == "copy" else comm.irecv_move
    target = comm.alloc(3)
    sent = request = register = None
    if first == "send":
        sent = send(lab.register("a", "b"), dest, 6) if comm.rank == 0 else None
        comm.mpi.Barrier()
        request = receive(target[0], 0, 6) if comm.rank == dest else None
    else:
        request = receive(target[0], 0, 6) if comm.rank == dest else None
        comm.mpi.Barrier()
        sent = send(lab.register("a", "b"), dest, 6) if comm.rank == 0 else None
        comm.mpi.Barrier()
    if comm.rank == dest:
        before = comm.ledger.epr_halves, comm.ledger.bits_received
        with pytest.raises(errors.Truncated, match=r"2 qubit.*stays"):
            request.wait()
        assert not target[0].frozen
        assert qmpi.probability(target[0]) == 0
        assert before == (comm.ledger.epr_halves, comm.ledger.bits_received)
        register = receive(target[1:], 0, 6).wait()
        assert register == target[1:]
        comm.free(target[0])
    else:
        comm.free(target)
    if sent is not None:
        sent.wait()
    for old, new in (("a", "x"), ("b", "y")):
        if verb == "copy":
            lab.oracle.fan_out(old, new, 0)
        else:
            lab.oracle.teleport(old, new, 0, 0)
    lab.bring(dest, ["x", "y"], register)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("first", ["send", "receive"])
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_move_is_no_copy_and_stays_in_the_mailbox(lab: Lab, verb: str, first: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    copied = verb == "copy"
    send = comm.isend if copied else comm.isend_move
    wrong, right = (comm.irecv_move, comm.irecv) if copied else (comm.irecv, comm.irecv_move)
    sent = request = register = None
    if first == "receive" and comm.rank == dest:
        request = wrong(None, 0, 6)
    comm.mpi.Barrier()
    if comm.rank == 0:
        sent = send(lab.handle["a"], dest, 6)
    comm.mpi.Barrier()
    if comm.rank == dest:
        with pytest.raises(errors.MismatchedMessage, match="stays"):
            (request or wrong(None, 0, 6)).wait()
        register = right(None, 0, 6).wait()
    if sent is not None:
        sent.wait()
    if copied:
        lab.oracle.fan_out("a", "b", 0)
    else:
        lab.oracle.teleport("a", "b", 0, 0)
    lab.bring(dest, ["b"], register)
    lab.check()
    lab.give_up()


def test_a_message_that_one_receive_refused_goes_to_the_next(lab: Lab) -> None:
    """A small target, a receive for a move, and one that fits are posted; the message passes the first two, which fail."""
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    small = comm.alloc(1)
    register, requests = None, []
    if comm.rank == dest:
        requests = [comm.irecv(small, 0), comm.irecv_move(None, 0), comm.irecv(None, 0), comm.irecv(None, 0)]
    comm.mpi.Barrier()
    if comm.rank == 0:
        comm.send(lab.register("a", "b"), dest)
    if comm.rank == dest:
        register = requests[2].wait()
        with pytest.raises(errors.Truncated):
            requests[0].test()
        with pytest.raises(errors.MismatchedMessage):
            requests[1].wait()
        assert requests[3].cancel()
    comm.free(small)
    for old, new in (("a", "x"), ("b", "y")):
        lab.oracle.fan_out(old, new, 0)
    lab.bring(dest, ["x", "y"], register)
    lab.check()
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_prepare_epr_with_different_numbers_of_qubits_is_refused_on_both_sides(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    q = comm.alloc(3)
    before = comm.ledger.epr_halves
    if comm.rank == 0:
        with pytest.raises(errors.InvalidArgument, match="brought 3"):
            comm.prepare_epr(q[:2], dest)
    elif comm.rank == dest:
        with pytest.raises(errors.InvalidArgument, match="brought 2"):
            comm.prepare_epr(q, 0)
    assert comm.ledger.epr_halves == before
    comm.free(q)  # untouched: all in |0>
    lab.check()
    lab.give_up()


def test_a_wait_longer_than_the_time_out_raises_and_withdraws_the_receive(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    target, register = comm.alloc(1), None
    if comm.rank == dest:
        with testing.timeout(comm, 0.05), pytest.raises(errors.WaitTimeout, match=r"0\.05"):
            comm.recv(target, source=0)
        assert not target[0].frozen
    comm.mpi.Barrier()
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest)
    if comm.rank == dest:
        register = comm.recv(source=0)
        assert register[0] != target[0]
    lab.oracle.fan_out("a", "b", 0)
    lab.bring(dest, ["b"], register)
    lab.check()
    comm.free(target)
    lab.give_up()
