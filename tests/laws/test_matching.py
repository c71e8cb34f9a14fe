"""Matching: which message a receive gets, in MPI's order, with wildcards, tags and cancellation; on entangled payloads."""

from __future__ import annotations

import itertools

import pytest

import qmpi
from qmpi import ANY_SOURCE, ANY_TAG
from tests.laws.lab import Lab


def test_wildcards_receive_and_status_tells_what(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    for source in range(size):
        lab.payload(source, [f"a{source}"], (source + 1) % size)
    comm.send(lab.handle[f"a{comm.rank}"], 0, tag=10 + comm.rank)
    comm.mpi.Barrier()
    register, sources = qmpi.Register(), []
    if comm.rank == 0:
        for _ in range(size):
            status = qmpi.Status()
            register += comm.recv(None, ANY_SOURCE, ANY_TAG, status)
            assert status.tag == 10 + status.source
            assert status.count == 1
            sources.append(status.source)
    sources = comm.mpi.bcast(sources, root=0)
    assert sorted(sources) == list(range(size))
    for k, source in enumerate(sources):
        lab.oracle.fan_out(f"a{source}", f"b{k}", 0)
    lab.bring(0, [f"b{k}" for k in range(size)], register)
    lab.check()
    lab.give_up()


def test_messages_of_one_sender_do_not_overtake_each_other(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b", "c"], dest)
    register = qmpi.Register()
    if comm.rank == 0:
        for name in "abc":
            comm.send(lab.handle[name], dest, tag=3)
    comm.mpi.Barrier()
    if comm.rank == dest:
        register = comm.recv(source=0, tag=3) + comm.recv(source=ANY_SOURCE, tag=3) + comm.recv(source=0, tag=ANY_TAG)
    lab.bring_copy(["a", "b", "c"], ["x", "y", "z"], dest, register)
    lab.check()
    lab.give_up()


def test_tags_choose_among_messages(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b", "c"], dest)
    largest = 2**31 - 1
    if comm.rank == 0:
        for name, tag in zip("abc", (0, 5, largest), strict=True):
            comm.send(lab.handle[name], dest, tag=tag)
    register = qmpi.Register()
    if comm.rank == dest:
        register = comm.recv(tag=largest) + comm.recv(tag=0) + comm.recv(tag=5)
    lab.bring_copy(["c", "a", "b"], ["x", "y", "z"], dest, register)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("kinds", list(itertools.permutations(["any source", "any tag", "both given"])), ids="-".join)
def test_the_receive_posted_first_gets_the_message_that_fits_several(lab: Lab, kinds: tuple[str, ...]) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b", "c"], dest)
    fits = {"any source": (ANY_SOURCE, 4), "any tag": (0, ANY_TAG), "both given": (0, 4)}
    requests = [comm.irecv(None, *fits[kind]) for kind in kinds] if comm.rank == dest else []
    comm.mpi.Barrier()
    if comm.rank == 0:
        for name in "abc":
            comm.send(lab.handle[name], dest, tag=4)
    register = qmpi.Register()
    for request in requests:
        register += request.wait()
    lab.bring_copy(["a", "b", "c"], ["x", "y", "z"], dest, register)
    lab.check()
    lab.give_up()


def test_one_message_that_fits_two_receives_goes_to_the_first_and_the_second_can_be_cancelled(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    requests = [comm.irecv(None, ANY_SOURCE, 4), comm.irecv(None, 0, ANY_TAG)] if comm.rank == dest else []
    comm.mpi.Barrier()
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest, tag=4)
    register = None
    if comm.rank == dest:
        register = requests[0].wait()
        assert not requests[1].test()
        assert requests[1].cancel()
    lab.bring_copy(["a"], ["b"], dest, register)
    lab.check()
    lab.give_up()


def test_a_cancelled_receive_unfreezes_its_target_and_takes_no_message(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    target = comm.alloc(1)
    register = None
    if comm.rank == dest:
        request = comm.irecv(target, source=0)
        assert target[0].frozen
        assert request.cancel()
        assert not target[0].frozen
    comm.mpi.Barrier()
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest)
    if comm.rank == dest:
        register = comm.recv(source=0)
        assert register[0] != target[0]
    lab.bring_copy(["a"], ["b"], dest, register)
    lab.check()
    comm.free(target)
    lab.give_up()


def test_a_matched_receive_cannot_be_cancelled(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    request = comm.irecv(source=0) if comm.rank == dest else None
    comm.mpi.Barrier()
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest)
    comm.mpi.Barrier()
    register = None
    if request is not None:
        assert not request.cancel()
        register = request.wait()
    lab.bring_copy(["a"], ["b"], dest, register)
    lab.check()
    lab.give_up()


def test_fewer_qubits_than_the_target_are_counted_and_leave_the_rest(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    lab.alloc(dest, "t0", "t1", "t2", "t3")
    if comm.rank == 0:
        comm.send(lab.register("a", "b"), dest)
    if comm.rank == dest:
        status = qmpi.Status()
        target = lab.register("t0", "t1", "t2", "t3")
        got = comm.recv(target, source=0, status=status)
        assert status == qmpi.Status(0, 0, 2)
        assert got == target[:2]
    lab.oracle.gate("cx", "a", "t0")
    lab.oracle.gate("cx", "b", "t1")
    lab.gate("h", "t2")
    lab.check()
    if comm.rank == dest:
        comm.unrecv(lab.register("t0", "t1"))
    if comm.rank == 0:
        comm.unsend(lab.register("a", "b"))
    lab.oracle.undo_fan_out("a", "t0", 0)
    lab.oracle.undo_fan_out("b", "t1", 0)
    lab.check()
    lab.give_up()
