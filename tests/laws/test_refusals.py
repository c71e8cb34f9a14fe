"""What is refused, and that nothing was touched: neither the state nor a ledger. Messages name the rank, the call and this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qmpi
from qmpi import errors, testing
from qmpi._core import Arena, Session
from tests.laws.lab import Lab


def refused(lab: Lab, rank: int, error: type[Exception], call: Callable[[], object], *words: str, names_line: bool = True) -> None:
    """The call raises on that rank and changes nothing. Collective."""
    with lab.untouched():
        if lab.comm.rank == rank:
            with pytest.raises(error) as info:
                call()
            assert type(info.value) is error
            text = str(info.value)
            assert f"rank {rank}" in text
            if names_line:
                assert Path(__file__).name in text, text
            for word in words:
                assert word in text, text


def copied(lab: Lab, originals: list[str], copies: list[str], source: int, dest: int, tag: int = 0) -> None:
    register = None
    if lab.comm.rank == source:
        lab.comm.send(lab.register(*originals), dest, tag)
    if lab.comm.rank == dest:
        register = lab.comm.recv(source=source, tag=tag)
    for a, b in zip(originals, copies, strict=True):
        lab.oracle.fan_out(a, b, 0)
    lab.bring(dest, copies, register)


def undone(lab: Lab, originals: list[str], copies: list[str]) -> None:
    if lab.comm.rank == lab.owner[copies[0]]:
        lab.comm.unrecv(lab.register(*copies))
    if lab.comm.rank == lab.owner[originals[0]]:
        lab.comm.unsend(lab.register(*originals))
    for a, b in zip(originals, copies, strict=True):
        lab.oracle.undo_fan_out(a, b, 0)
    lab.check()


# --- the buffer of gates -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["send", "send_move", "isend_move"])
def test_handing_over_a_qubit_flushes_gates_on_other_qubits_too(lab: Lab, verb: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    register = None
    lab.gate("h", "a")
    lab.gate("cx", "a", "b")
    lab.gate("t", "a")
    if comm.rank == 0:
        sent = getattr(comm, verb)(lab.handle["b"], dest)
        if verb == "isend_move":
            sent.wait()
    if comm.rank == dest:
        register = (comm.recv if verb == "send" else comm.recv_move)(source=0)
        qmpi.h(register)
    if verb == "send":
        lab.oracle.fan_out("b", "c", 0)
    else:
        lab.oracle.teleport("b", "c", 0, 0)
    lab.oracle.gate("h", "c")
    lab.bring(dest, ["c"], register)
    comm.mpi.Barrier()
    lab.check()
    lab.give_up()


# --- which qubits ------------------------------------------------------------------------------------------------------------------------


def test_a_freed_qubit_is_refused(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    gone = comm.alloc(1)
    comm.free(gone)
    assert gone[0].freed
    for call in (
        lambda: qmpi.h(gone),
        lambda: qmpi.measure(gone),
        lambda: comm.send(gone, dest),
        lambda: comm.send_move(gone, dest),
        lambda: comm.irecv(gone, source=dest),
        lambda: comm.free(gone),
        lambda: qmpi.probability(gone[0]),
    ):
        refused(lab, 0, errors.FreedQubit, call)
    lab.check()
    lab.give_up()


def test_a_handle_s_place_used_again_does_not_revive_the_freed_one(lab: Lab) -> None:
    comm = lab.comm
    lab.payload(0, ["a"], comm.size - 1)
    gone = comm.alloc(1)
    comm.free(gone)
    again = comm.alloc(1)
    refused(lab, 0, errors.FreedQubit, lambda: qmpi.gates.x(gone[0]))
    assert gone[0] != again[0]
    comm.free(again)
    lab.give_up()


def test_another_rank_s_qubit_is_refused(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    foreign = qmpi.Register(Session(Arena.create(1, 1, False, False, 1 << 24), 0).alloc(1))
    for call in (
        lambda: qmpi.cx(lab.handle["a"], foreign),
        lambda: comm.send(foreign, dest),
        lambda: comm.free(foreign),
        lambda: comm.irecv(foreign, source=dest),
    ):
        refused(lab, 0, errors.ForeignQubit, call)
    lab.give_up()


def test_a_qubit_is_frozen_until_its_request_is_waited_for_even_if_it_is_complete(lab: Lab) -> None:
    """A message to oneself is complete at once; what is an error must not depend on that."""
    comm = lab.comm
    q = comm.alloc(1)
    for settle in (lambda request: request.wait(), lambda request: request.test()):
        request = comm.isend(q, comm.rank)
        with pytest.raises(errors.FrozenQubit):
            qmpi.h(q)
        settle(request)
        qmpi.h(q)
        comm.unrecv(comm.recv(source=comm.rank))
        comm.unsend(q)
        qmpi.h(q)
    comm.free(q)


@pytest.mark.parametrize("pending", ["irecv", "iunsend", "iprepare_epr"])
def test_a_frozen_qubit_is_refused_until_its_request_is_finished(lab: Lab, pending: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    if comm.size == 1 and pending == "iprepare_epr":
        pending = "irecv"
    lab.payload(0, ["a"], dest)
    request, frozen = None, comm.alloc(1)
    if pending == "iunsend":
        copied(lab, ["a"], ["b"], 0, dest)
        frozen = lab.handle.get("a", frozen)
    if comm.rank == 0:
        request = {
            "irecv": lambda: comm.irecv(frozen, source=dest, tag=9),
            "iunsend": lambda: comm.iunsend(frozen),
            "iprepare_epr": lambda: comm.iprepare_epr(frozen, dest),
        }[pending]()
        spent = comm.ledger.measurements, comm.ledger.bits_sent, comm.ledger.gates
        for call in (
            lambda: qmpi.h(frozen),
            lambda: qmpi.measure(frozen if isinstance(frozen, qmpi.Qubit) else frozen[0]),
            lambda: comm.send(frozen, dest),
            lambda: comm.irecv(frozen, source=dest),
        ):
            with pytest.raises((errors.FrozenQubit, errors.OutstandingCopies)) as info:
                call()
            if pending != "iunsend":
                assert type(info.value) is errors.FrozenQubit
        assert spent == (comm.ledger.measurements, comm.ledger.bits_sent, comm.ledger.gates)
    comm.mpi.Barrier()
    if pending == "iunsend":
        if comm.rank == dest:
            comm.unrecv(lab.handle["b"])
        lab.oracle.undo_fan_out("a", "b", 0)
    elif pending == "irecv" and comm.rank == 0:
        assert request.cancel()
    elif pending == "iprepare_epr" and comm.rank == dest:
        comm.prepare_epr(frozen, 0)
    if request is not None and pending != "irecv":
        request.wait()
    if comm.rank == 0:
        qmpi.h(frozen)
        qmpi.h(frozen)
    lab_state_is_whole = pending != "iprepare_epr"
    if lab_state_is_whole:
        lab.check()
    lab.give_up()
    if isinstance(frozen, qmpi.Register):
        qmpi.reset(frozen)
        comm.free(frozen)


def test_one_qubit_twice_is_refused(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    twice = lab.register("a", "b", "a") if comm.rank == 0 else None
    refused(lab, 0, errors.DuplicateQubit, lambda: qmpi.cx(twice[0], twice[2]))
    refused(lab, 0, errors.DuplicateQubit, lambda: qmpi.gates.ccx(*twice))
    for call in (
        lambda: comm.send(twice, dest),
        lambda: comm.isend(twice, dest),
        lambda: comm.send_move(twice, dest),
        lambda: comm.unsend(twice),
        lambda: comm.irecv(twice, source=dest),
        lambda: comm.free(twice),
    ):
        refused(lab, 0, errors.DuplicateQubit, call, "twice")
    lab.check()
    lab.give_up()


def test_a_target_that_is_not_zero_is_refused(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    lab.alloc(0, "one")
    lab.gate("x", "one")
    lab.alloc(0, "zero")
    for names in (["a"], ["one"], ["zero", "one"], ["zero", "a"]):
        target = lab.register(*names) if comm.rank == 0 else None
        refused(lab, 0, errors.NotZero, lambda target=target: comm.irecv(target, source=dest))
        refused(lab, 0, errors.NotZero, lambda target=target: comm.irecv_move(target, source=dest))
        if comm.size > 1:
            refused(lab, 0, errors.NotZero, lambda target=target: comm.iprepare_epr(target, dest))
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("excess", [3.0, 0.5], ids=["above", "below"])
def test_a_target_counts_as_zero_up_to_the_tolerance_and_no_further(lab: Lab, excess: float) -> None:
    """P(1) up to 1e-12 (complex64: 1e-6) is rounding, which is projected away; three times that is an error of the program."""
    comm = lab.comm
    tolerance = 1e-6 if testing.settings(comm).single_precision else 1e-12
    target = comm.alloc(1)
    qmpi.ry(2 * np.sqrt(excess * tolerance), target)
    if excess > 1:
        with pytest.raises(errors.NotZero):
            comm.irecv(target, source=0)
    else:
        assert comm.irecv(target, source=0, tag=9).cancel()
        assert qmpi.probability(target[0]) == 0
    qmpi.reset(target)
    comm.free(target)


def test_freeing_an_entangled_or_superposed_qubit_is_refused_and_frees_none(lab: Lab) -> None:
    comm = lab.comm
    lab.payload(0, ["a"], comm.size - 1)
    lab.alloc(0, "zero", "plus")
    lab.gate("h", "plus")
    for names in (["a"], ["plus"], ["zero", "a"], ["zero", "plus"]):
        register = lab.register(*names) if comm.rank == 0 else None
        refused(lab, 0, errors.EntangledQubit, lambda register=register: comm.free(register))
    lab.gate("x", "zero")
    lab.check()
    lab.give_up()


# --- copies that are out ------------------------------------------------------------------------------------------------------------------


def test_an_original_with_a_copy_out_cannot_be_moved_freed_or_used_as_a_target(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.alloc(0, "a", "b")  # in |0>: only the obligation stands in the way
    lab.payload(0, ["c"], dest)
    copied(lab, ["a", "b"], ["x", "y"], 0, dest)
    a = lab.handle.get("a")
    for call in (
        lambda: comm.send_move(a, dest),
        lambda: comm.isend_move(a, dest),
        lambda: comm.free(a),
        lambda: comm.irecv(a, source=dest),
        lambda: comm.irecv_move(a, source=dest),
        *([lambda: comm.iprepare_epr(a, dest)] if comm.size > 1 else []),
    ):
        refused(lab, 0, errors.OutstandingCopies, call, "undo")
    x = lab.handle.get("x")
    for call in (lambda: comm.send_move(x, 0), lambda: comm.irecv(x, source=0)):
        refused(lab, dest, errors.OutstandingCopies, call)
    undone(lab, ["a", "b"], ["x", "y"])
    lab.forget("a", "b")
    lab.give_up()


def test_a_copy_of_a_copy_undone_in_the_wrong_order_is_refused(lab: Lab) -> None:
    size = lab.comm.size
    ranks = (0, 1 % size, 2 % size)
    lab.payload(0, ["a"], size - 1)
    copied(lab, ["a"], ["b"], ranks[0], ranks[1], tag=1)
    copied(lab, ["b"], ["c"], ranks[1], ranks[2], tag=2)
    refused(lab, ranks[1], errors.OutstandingCopies, lambda: lab.comm.unrecv(lab.handle["b"]), "tag 2")
    lab.check()
    undone(lab, ["b"], ["c"])
    undone(lab, ["a"], ["b"])
    lab.give_up()


def test_two_copies_with_one_tag_undone_crosswise_are_paired_by_operation(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    copied(lab, ["a"], ["x"], 0, dest, tag=5)
    copied(lab, ["b"], ["y"], 0, dest, tag=5)
    lab.gate("ry", "x", angles=(0.8,))  # so that the bits differ and matter
    for copy, original, bit in (("y", "b", 0), ("x", "a", 1)):
        if comm.rank == dest:
            testing.force_outcomes(comm, [bit])
            comm.unrecv(lab.handle[copy])
        lab.oracle.undo_fan_out(original, copy, bit)
    if comm.rank == 0:
        comm.unsend(lab.handle["a"])
        comm.unsend(lab.handle["b"])
    lab.check()
    lab.give_up()


def test_an_inverse_without_its_operation_is_refused(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    other = comm.dup()
    lab.payload(0, ["a", "b", "c"], dest)
    copied(lab, ["a", "b"], ["x", "y"], 0, dest, tag=3)
    here, there = (lab.register("a", "b"), None) if comm.rank == 0 else (None, None)
    if comm.rank == dest:
        there = lab.register("x", "y")
    calls = [
        (0, lambda: comm.unsend(lab.handle["c"])),  # never sent
        (0, lambda: comm.unsend(lab.handle["a"])),  # another register than the operation's
        (0, lambda: comm.unsend(lab.register("b", "a"))),
        (0, lambda: comm.unsend(here, tag=4)),
        (0, lambda: comm.unrecv(here)) if comm.size > 1 else (0, lambda: comm.unrecv(lab.handle["c"])),
        (0, lambda: comm.unsend_move(here)),
        (0, lambda: other.unsend(here)),
        (dest, lambda: comm.unrecv(lab.handle["x"])),
        (dest, lambda: comm.unrecv(there, tag=4)),
        (dest, lambda: comm.unrecv_move(there)),
        (dest, lambda: other.unrecv(there)),
    ]
    if comm.size > 2:
        calls += [(0, lambda: comm.unsend(here, dest=1)), (dest, lambda: comm.unrecv(there, source=1))]
    for rank, call in calls:
        refused(lab, rank, errors.UnmatchedInverse, call)
    undone(lab, ["a", "b"], ["x", "y"])
    refused(lab, 0, errors.UnmatchedInverse, lambda: comm.unsend(here))  # a second time
    refused(lab, dest, errors.UnmatchedInverse, lambda: comm.unrecv(there))
    other.close()
    lab.give_up()


# --- ranks, tags, communicators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [-7, "size", 10**6, 0.0, "x", None, qmpi.ANY_SOURCE], ids=repr)
def test_a_rank_out_of_range_is_refused(lab: Lab, rank: object) -> None:
    comm = lab.comm
    lab.payload(0, ["a"], comm.size - 1)
    bad = comm.size if rank == "size" else rank
    a, zero = lab.handle.get("a"), comm.alloc(1)
    for call in (
        lambda: comm.send(a, bad),
        lambda: comm.isend_move(a, bad),
        lambda: comm.iprepare_epr(zero, bad),
        *([] if bad is qmpi.ANY_SOURCE else [lambda: comm.irecv(zero, bad), lambda: comm.irecv_move(None, bad)]),
    ):
        refused(lab, 0, errors.RankOutOfRange, call)
    refused(lab, 0, errors.RankOutOfRange, lambda: comm.prepare_epr(zero, 0))
    comm.free(zero)
    lab.give_up()


@pytest.mark.parametrize("tag", [-7, 2**31, 1.0, "x", None, qmpi.ANY_TAG], ids=repr)
def test_a_tag_out_of_range_is_refused(lab: Lab, tag: object) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    a = lab.handle.get("a")
    calls = [lambda: comm.send(a, dest, tag), lambda: comm.isend_move(a, dest, tag)]
    if tag is not qmpi.ANY_TAG:
        calls.append(lambda: comm.irecv(None, dest, tag))
    for call in calls:
        refused(lab, 0, errors.TagOutOfRange, call)
    lab.give_up()


@pytest.mark.parametrize("count", [-1, 1.5, "2", None])
def test_alloc_takes_a_number_of_qubits(lab: Lab, count: object) -> None:
    lab.payload(0, ["a"], lab.comm.size - 1)
    refused(lab, 0, errors.InvalidArgument, lambda: lab.comm.alloc(count))
    lab.give_up()


def test_a_second_thread_is_refused(lab: Lab) -> None:
    import threading

    lab.payload(0, ["a"], lab.comm.size - 1)
    caught: list[BaseException] = []

    def call() -> None:
        for attempt in (lambda: qmpi.h(lab.handle["a"]), lambda: lab.comm.alloc(1)):
            try:
                attempt()
            except BaseException as error:
                caught.append(error)

    if lab.comm.rank == 0:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        assert [type(error) for error in caught] == [errors.SecondThread] * 2
    lab.check()
    lab.give_up()
