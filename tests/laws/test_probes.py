"""Probes: they see what a receive would get, leave it or keep it for their caller, and wait where a receive would."""

from __future__ import annotations

import time
from typing import Any

import pytest

import qmpi
from qmpi import ANY_SOURCE, ANY_TAG, PROC_NULL, Status, errors
from tests.laws.lab import Lab

VERBS = ["copy", "move"]
FITS = {"given": (0, 4), "any source": (ANY_SOURCE, 4), "any tag": (0, ANY_TAG), "any": (ANY_SOURCE, ANY_TAG)}


def named(lab: Lab, call: str, verb: str) -> Any:
    return getattr(lab.comm, call + ("" if verb == "copy" else "_move"))


def sent(lab: Lab, verb: str, name: str, dest: int, tag: int) -> None:
    """Rank 0 has sent it when this returns. Collective."""
    if lab.comm.rank == 0:
        named(lab, "send", verb)(lab.handle[name], dest, tag)
    lab.comm.mpi.Barrier()


def arrived(lab: Lab, verb: str, name: str, copy: str, dest: int, register: qmpi.Register | None) -> None:
    (lab.bring_copy if verb == "copy" else lab.bring_moved)([name], [copy], dest, register)
    lab.check()


@pytest.mark.parametrize("call", ["probe", "iprobe"])
@pytest.mark.parametrize("fits", FITS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_probe_sees_a_message_once_its_send_has_returned_and_leaves_it(lab: Lab, verb: str, fits: str, call: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    sent(lab, verb, "a", dest, 4)
    before = lab.comm.ledger.total()
    register = None
    if comm.rank == dest:
        for _ in range(2):
            status = Status()
            assert getattr(comm, call)(*FITS[fits], status) is True
            assert status == Status(0, 4, 1)
        assert not comm.iprobe(0, 5)
    after = lab.comm.ledger.total()
    assert (after.epr_pairs, after.classical_bits) == (before.epr_pairs, before.classical_bits)
    if comm.rank == dest:
        register = named(lab, "recv", verb)(None, 0, 4)
        assert not comm.iprobe()
    arrived(lab, verb, "a", "b", dest, register)
    lab.give_up()


@pytest.mark.parametrize("call", ["iprobe", "improbe"])
def test_a_probe_that_does_not_wait_sees_nothing_where_nothing_was_sent(lab: Lab, call: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    status = Status()
    assert not getattr(comm, call)(status=status)
    assert status == Status()
    comm.mpi.Barrier()
    sent(lab, "copy", "a", dest, 4)
    if comm.rank == dest:
        assert not getattr(comm, call)(0, 5)
        assert dest == 0 or not getattr(comm, call)(dest, 4)
    arrived(lab, "copy", "a", "b", dest, lab.on(dest, lambda: comm.recv(source=0)))
    lab.give_up()


def test_a_receive_that_was_posted_first_gets_the_message_and_the_probe_the_next_one(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    posted = lab.on(dest, lambda: comm.irecv(None, 0, ANY_TAG))
    comm.mpi.Barrier()
    sent(lab, "copy", "a", dest, 1)
    if comm.rank == dest:
        assert not comm.iprobe() and comm.improbe() is None
    comm.mpi.Barrier()
    sent(lab, "copy", "b", dest, 2)
    register = None
    if comm.rank == dest:
        status = Status()
        assert comm.probe(status=status) and status == Status(0, 2, 1)
        register = posted.wait() + comm.recv()
    lab.bring_copy(["a", "b"], ["c", "d"], dest, register)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("call", ["mprobe", "improbe"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_message_that_was_taken_by_a_probe_is_nobody_else_s(lab: Lab, verb: str, call: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    sent(lab, verb, "a", dest, 4)
    sent(lab, verb, "b", dest, 4)
    first = second = None
    if comm.rank == dest:
        status = Status()
        message = getattr(comm, call)(0, 4, status)
        assert status == Status(0, 4, 1) == Status(message.source, message.tag, message.count)
        second = named(lab, "recv", verb)(None, 0, 4)
        assert not comm.iprobe() and comm.improbe() is None
        stranger = named(lab, "irecv", verb)(None, 0, 4)
        assert not stranger.test()
        target, status = comm.alloc(1), Status()
        first = named(lab, "mrecv", verb)(message, target, status)
        assert first == target and status == Status(0, 4, 1)
        assert not stranger.test() and stranger.cancel()
        with pytest.raises(errors.InvalidArgument, match="has been received"):
            named(lab, "mrecv", verb)(message)
    (lab.bring_copy if verb == "copy" else lab.bring_moved)(["a", "b"], ["c", "d"], dest, first + second if first else None)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("immediate", [False, True], ids=["blocking", "immediate"])
@pytest.mark.parametrize("verb", VERBS)
def test_what_was_received_after_a_probe_is_undone_as_what_was_not_and_costs_the_same(lab: Lab, verb: str, immediate: bool) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    before, halves = lab.oracle.copy(), comm.ledger.epr_halves
    sent(lab, verb, "a", dest, 4)
    i = "i" if immediate else ""
    register = None
    if comm.rank == dest:
        result = named(lab, i + "mrecv", verb)(comm.mprobe())
        register = result.wait() if immediate else result
    arrived(lab, verb, "a", "b", dest, register)
    assert comm.ledger.epr_halves - halves == (comm.rank == 0) + (comm.rank == dest)
    request = None
    if comm.rank == dest:
        request = named(lab, "imunrecv", verb)(register)
        if verb == "copy" and not immediate:
            request.wait()
    if comm.rank == 0:
        named(lab, "unsend", verb)(lab.handle["a"])
    if request is not None:
        request.wait()
    lab.back_to(before, "b")
    lab.give_up()


@pytest.mark.parametrize("verb", VERBS)
def test_a_message_that_does_not_fit_its_receive_is_still_the_prober_s(lab: Lab, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    if comm.rank == 0:
        named(lab, "send", verb)(lab.register("a", "b"), dest, 4)
    register = None
    if comm.rank == dest:
        message = comm.mprobe()
        assert message.count == 2
        small = comm.alloc(1)
        for _ in range(2):
            with pytest.raises(errors.Truncated):
                named(lab, "mrecv", verb)(message, small)
            with pytest.raises(errors.MismatchedMessage):
                named(lab, "mrecv", "move" if verb == "copy" else "copy")(message)
            qmpi.gates.x(small)
            with pytest.raises(errors.NotZero):
                named(lab, "mrecv", verb)(message, small)
            qmpi.gates.x(small)
        assert not comm.iprobe()
        register = named(lab, "mrecv", verb)(message)
        comm.free(small)
    (lab.bring_copy if verb == "copy" else lab.bring_moved)(["a", "b"], ["c", "d"], dest, register)
    lab.check()
    lab.give_up()


def test_a_message_of_another_communicator_is_refused(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    other = comm.dup()
    sent(lab, "copy", "a", dest, 4)
    register = None
    if comm.rank == dest:
        assert not other.iprobe()
        message = comm.mprobe()
        with pytest.raises(errors.InvalidArgument, match="another communicator"):
            other.mrecv(message)
        register = comm.mrecv(message)
    arrived(lab, "copy", "a", "b", dest, register)
    other.close()
    lab.give_up()


def test_a_probe_of_proc_null_finds_an_empty_message_at_once(lab: Lab) -> None:
    comm = lab.comm
    lab.payload(0, ["a"], comm.size - 1)
    with lab.untouched():
        for call in ("probe", "iprobe", "mprobe", "improbe"):
            status = Status()
            found = getattr(comm, call)(PROC_NULL, 3, status)
            assert found and status == Status(PROC_NULL, ANY_TAG, 0)
            if call.endswith("mprobe"):
                for receive, undo in ((comm.mrecv, comm.munrecv), (comm.mrecv_move, comm.munrecv_move)):
                    status = Status()
                    nothing = receive(found, status=status)
                    assert len(nothing) == 0 and status == Status(PROC_NULL, ANY_TAG, 0)
                    undo(nothing)
    lab.give_up()


@pytest.mark.parametrize("bad", [{"source": -77}, {"source": 99}, {"tag": -77}, {"tag": 2**31}], ids=str)
@pytest.mark.parametrize("call", ["probe", "iprobe", "mprobe", "improbe"])
def test_a_probe_checks_its_arguments_as_a_receive(lab: Lab, call: str, bad: dict[str, int]) -> None:
    with pytest.raises(errors.RankOutOfRange if "source" in bad else errors.TagOutOfRange):
        getattr(lab.comm, call)(**bad)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("call", ["probe", "mprobe"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_waiting_probe_wakes_up_when_its_message_comes(lab: Lab, verb: str, call: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    register = None
    if comm.rank == 0:
        comm.mpi.recv(source=dest)
        time.sleep(0.02)  # the other rank waits by then; if not, this tests less
        named(lab, "send", verb)(lab.handle["a"], dest, 3)  # not the one that it waits for
        named(lab, "send", verb)(lab.handle["b"], dest, 4)
    if comm.rank == dest:
        comm.mpi.send(None, dest=0)
        status = Status()
        found = getattr(comm, call)(0, 4, status)
        assert status == Status(0, 4, 1)
        second = named(lab, "recv", verb)(None, 0, 4) if call == "probe" else named(lab, "mrecv", verb)(found)
        register = named(lab, "recv", verb)(None, 0) + second
    (lab.bring_copy if verb == "copy" else lab.bring_moved)(["a", "b"], ["c", "d"], dest, register)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("call", ["probe", "mprobe"])
def test_ranks_that_probe_each_other_wait_for_ever_and_are_told_so(lab: Lab, call: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    with lab.untouched():
        if comm.rank in (0, dest):
            with pytest.raises(errors.Deadlock, match=call):
                getattr(comm, call)(dest - comm.rank, 4)
    sent(lab, "copy", "a", dest, 4)  # the probe that was given up takes nothing
    arrived(lab, "copy", "a", "b", dest, lab.on(dest, lambda: comm.recv(source=0)))
    lab.give_up()
