"""Send modes: all deliver what `send` does, at its price, and are undone alike; they differ in when they return and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab

MODES = ["", "b", "s", "r"]
VERBS = ["copy", "move"]
COST = {"copy": ((1, 1, 1), (0, 1, 1)), "move": ((1, 2, 2), (1, 2, 2))}  # EPR pairs, bits and measurements per qubit; the inverse's


def named(lab: Lab, mode: str, call: str, verb: str, immediate: bool = False) -> Any:
    """The communicator's method."""
    return getattr(lab.comm, ("i" if immediate else "") + mode + call + ("" if verb == "copy" else "_move"))


def totals(lab: Lab) -> np.ndarray:
    total = lab.comm.ledger.total()
    return np.array([total.epr_pairs, total.classical_bits, total.measurements])


def arrived(lab: Lab, verb: str, here: list[str], there: list[str], dest: int, register: qmpi.Register | None) -> None:
    (lab.bring_copy if verb == "copy" else lab.bring_moved)(here, there, dest, register)
    lab.check()


def undo(lab: Lab, verb: str, here: list[str], there: list[str], mode: str = "", immediate: bool = True) -> None:
    """Undoes a message with the mode's inverse."""
    request = named(lab, "", "unrecv", verb, True)(lab.register(*there)) if lab.comm.rank == lab.owner[there[0]] else None
    if lab.comm.rank == lab.owner[here[0]]:
        result = named(lab, mode, "unsend", verb, immediate)(lab.register(*here))
        assert (result.wait() if immediate else result) is None
    if request is not None:
        request.wait()
    lab.comm.mpi.Barrier()


@pytest.mark.parametrize("immediate", [False, True], ids=["blocking", "immediate"])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_delivers_what_send_does_at_its_price_and_is_undone(lab: Lab, mode: str, verb: str, immediate: bool) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    before = lab.oracle.copy()
    start = totals(lab)
    posted = named(lab, "", "recv", verb, True)(None, 0, 3) if comm.rank == dest else None
    comm.mpi.Barrier()
    if comm.rank == 0:
        sent = named(lab, mode, "send", verb, immediate)(lab.register("a", "b"), dest, tag=3)
        assert (sent.wait() if immediate else sent).operation.open
    arrived(lab, verb, ["a", "b"], ["c", "d"], dest, posted.wait() if posted is not None else None)
    sent_at = totals(lab)
    undo(lab, verb, ["a", "b"], ["c", "d"], mode, immediate)
    undone_at = totals(lab)
    assert (sent_at - start).tolist() == [2 * part for part in COST[verb][0]]
    assert (undone_at - sent_at).tolist() == [2 * part for part in COST[verb][1]]
    lab.back_to(before, "c", "d")
    lab.give_up()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("mode", ["", "b"])
def test_a_mode_that_does_not_need_the_receive_is_complete_before_it(lab: Lab, mode: str, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    if comm.rank == 0:
        assert named(lab, mode, "send", verb, True)(lab.handle["a"], dest).test()
    comm.mpi.Barrier()
    arrived(lab, verb, ["a"], ["b"], dest, lab.on(dest, lambda: named(lab, "", "recv", verb)(None, 0)))
    lab.give_up()


@pytest.mark.parametrize("verb", VERBS)
def test_a_synchronous_send_is_complete_when_its_receive_has_been_posted_and_not_before(lab: Lab, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    request = lab.on(0, lambda: named(lab, "s", "send", verb, True)(lab.handle["a"], dest, tag=5))
    comm.mpi.Barrier()
    if comm.rank == dest:
        stranger = comm.irecv(source=0, tag=6)
    comm.mpi.Barrier()
    if request is not None:
        assert not request.test() and lab.handle["a"].frozen
    comm.mpi.Barrier()
    posted = lab.on(dest, lambda: named(lab, "", "recv", verb, True)(None, 0, 5))
    comm.mpi.Barrier()
    if request is not None:
        assert request.test() and not lab.handle["a"].frozen
    if comm.rank == dest:
        assert stranger.cancel()
    arrived(lab, verb, ["a"], ["b"], dest, posted.wait() if posted is not None else None)
    lab.give_up()


@pytest.mark.parametrize("verb", VERBS)
def test_synchronous_sends_to_each_other_wait_for_ever(lab: Lab, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    lab.alloc(dest, "b")
    with lab.untouched():
        for rank, name in {0: "a", dest: "b"}.items():
            if comm.rank == rank:
                with pytest.raises(errors.Deadlock, match="ssend"):
                    named(lab, "s", "send", verb)(lab.handle[name], dest - rank)
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("immediate", [False, True], ids=["blocking", "immediate"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_ready_send_without_a_posted_receive_is_refused_and_nothing_happened(lab: Lab, verb: str, immediate: bool) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)

    def refused() -> None:
        with lab.untouched():
            if comm.rank == 0:
                with pytest.raises(errors.NotReady, match="rank 0"):
                    named(lab, "r", "send", verb, immediate)(lab.handle["a"], dest, tag=1)
                assert not lab.handle["a"].frozen
            if comm.rank == dest:
                assert not comm.iprobe(tag=1)

    refused()
    posted = lab.on(dest, lambda: comm.irecv(None, 0, 2))  # for another message
    comm.mpi.Barrier()
    refused()
    if comm.rank == 0:
        comm.send(lab.handle["b"], dest, tag=2)
    arrived(lab, "copy", ["b"], ["d"], dest, posted.wait() if posted is not None else None)
    refused()  # that receive is taken
    lab.give_up()


@pytest.mark.parametrize("immediate", [False, True], ids=["blocking", "immediate"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_buffered_send_to_a_full_buffer_is_refused_and_nothing_happened(lab: Lab, verb: str, immediate: bool) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    capacity = testing.settings(comm).epr_buffer
    assert capacity == 64
    lab.payload(0, ["a"], dest)
    filler = comm.alloc(capacity) if comm.rank == 0 else qmpi.Register()
    if comm.rank == 0:
        comm.bsend(filler[:-1], dest, tag=1)
        comm.bsend(filler[-1], dest, tag=1)
    comm.mpi.Barrier()
    with lab.untouched():
        if comm.rank == 0:
            with pytest.raises(errors.BufferFull, match="rank 0"):
                named(lab, "b", "send", verb, immediate)(lab.handle["a"], dest, tag=2)
            assert not lab.handle["a"].frozen
        if comm.rank == dest:
            assert not comm.iprobe(tag=2)
    first = lab.on(dest, lambda: comm.recv(source=0, tag=1))
    comm.mpi.Barrier()
    if comm.rank == 0:  # there is room now, and the last filler is still there
        named(lab, "b", "send", verb)(lab.handle["a"], dest, tag=2)
    if comm.rank == dest:
        assert comm.ledger.peak_epr_buffer <= capacity
    arrived(lab, verb, ["a"], ["b"], dest, lab.on(dest, lambda: named(lab, "", "recv", verb)(None, 0, 2)))
    if comm.rank == dest:
        for register in (first, comm.recv(source=0, tag=1)):
            comm.unrecv(register)
            comm.free(register)
    if comm.rank == 0:
        for register in (filler[:-1], filler[-1]):
            comm.unsend(register)
        comm.free(filler)
    lab.give_up()
