"""What calls accept: whole numbers of any kind, special values of qmpi and of mpi4py, lists of qubits, empty registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import qmpi
from qmpi import Register, errors

Call = Callable[[qmpi.Comm], Any]

SPECIAL = {name: [getattr(qmpi, name), getattr(MPI, name)] for name in ("ANY_SOURCE", "ANY_TAG", "PROC_NULL", "UNDEFINED", "IN_PLACE")}


class Whole:
    """A whole number that is no int."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


KINDS = [np.int64, np.uint8, Whole]


def ones(comm: qmpi.Comm, count: int = 1) -> Register:
    q = comm.alloc(count)
    qmpi.gates.x(q)
    return q


def gone(comm: qmpi.Comm, *registers: Register) -> None:
    for register in registers:
        qmpi.reset(register)
        comm.free(register)


# --- whole numbers -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_and_tags_are_whatever_is_a_whole_number(comm: qmpi.Comm, kind: Callable[[int], Any]) -> None:
    right, left = kind((comm.rank + 1) % comm.size), kind((comm.rank - 1) % comm.size)
    q, target = ones(comm), comm.alloc(kind(1))
    comm.send(q, right, kind(3))
    copy = comm.recv(source=left, tag=kind(3))
    comm.unrecv(copy, left, kind(3))
    comm.unsend(q, right, kind(3))
    with comm.sendrecv(q, right, kind(4), target, left, kind(4)):
        pass
    if comm.size > 1:
        with comm.send_init(q, right, kind(5)) as sends, comm.recv_init(target, left, kind(5)) as receives:
            started = [receives.start(), sends.start()]
            qmpi.waitall(started)
            comm.unrecv(target)
            comm.unsend(q)
    gone(comm, q, copy, target)


@pytest.mark.ranks(min_size=2)
def test_both_ends_of_a_persistent_message_may_spell_their_ranks_differently(comm: qmpi.Comm) -> None:
    q, last = comm.alloc(1), comm.size - 1
    request = None
    if comm.rank == 0:
        request = comm.send_init(q, np.int64(last), np.int8(1))
    if comm.rank == last:
        request = comm.recv_init(q, 0, 1)
    if request is not None:
        request.start().wait()
        request.free()
        (comm.unsend if comm.rank == 0 else comm.unrecv)(q)
    comm.free(q)


@pytest.mark.parametrize("kind", KINDS)
def test_roots_counts_displacements_and_widths_are_whatever_is_a_whole_number(comm: qmpi.Comm, kind: Callable[[int], Any]) -> None:
    last, size = comm.size - 1, comm.size
    q = ones(comm, 2)
    all_ones = [kind(1)] * size
    calls: list[Call] = [
        lambda comm: comm.bcast(q if comm.rank == last else None, kind(last)),
        lambda comm: comm.gather(q, None, kind(last)),
        lambda comm: comm.gatherv(q[:1], None, all_ones, [kind(rank) for rank in range(size)], kind(last)),
        lambda comm: comm.allgatherv(q[:1], None, all_ones),
        lambda comm: comm.alltoallv(q[:1], all_ones, [kind(0)] * size, None, all_ones),
        lambda comm: comm.reduce(q, op=qmpi.SUM, root=kind(last), width=kind(2)),
    ]
    for call in calls:
        with call(comm):
            pass
    comm.ungatherv(*(lambda given: (comm.gatherv(*given), given)[1])((q[:1], None, np.ones(size, np.int32), None, kind(0))))
    comm.pauli_rotation(0.3, "ZZ", q, auxiliary=kind(last), strategy="out-of-place")
    gone(comm, q)


@pytest.mark.parametrize("kind", KINDS)
def test_colors_and_keys_are_whatever_is_a_whole_number(comm: qmpi.Comm, kind: Callable[[int], Any]) -> None:
    part = comm.split(kind(1), kind(comm.size - comm.rank))
    assert part is not None and part.rank == comm.size - 1 - comm.rank
    part.close()


NO_NUMBERS = [1.0, "1", None, [0], np.float64(0)]


@pytest.mark.parametrize("bad", NO_NUMBERS, ids=repr)
def test_what_is_no_whole_number_is_refused_by_every_call(comm: qmpi.Comm, bad: Any) -> None:
    q = comm.alloc(comm.size)
    calls: list[tuple[type[Exception], Callable[[], Any]]] = [
        (errors.RankOutOfRange, lambda: comm.send(q, bad)),
        (errors.RankOutOfRange, lambda: comm.recv(source=bad)),
        (errors.RankOutOfRange, lambda: comm.bcast(q, root=bad)),
        (errors.TagOutOfRange, lambda: comm.send(q, 0, bad)),
        (errors.TagOutOfRange, lambda: comm.recv(tag=bad)),
        (errors.InvalidArgument, lambda: comm.alloc(bad)),
        (errors.InvalidArgument, lambda: comm.allgatherv(q[:1], None, [bad] * comm.size)),
        (errors.InvalidArgument, lambda: comm.allgatherv(q[:1], None, 5)),
        (errors.InvalidArgument, lambda: comm.split(0, bad)),
    ]
    if bad is not None:
        calls += [
            (errors.InvalidArgument, lambda: comm.split(bad)),
            (errors.InvalidArgument, lambda: comm.scan(q, width=bad)),
        ]
    for number, (error, call) in enumerate(calls):
        with pytest.raises(error):
            call()
            pytest.fail(f"call {number} was not refused")
    comm.free(q)


# --- special values ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("any_tag", SPECIAL["ANY_TAG"], ids=["qmpi", "mpi4py"])
@pytest.mark.parametrize("any_source", SPECIAL["ANY_SOURCE"], ids=["qmpi", "mpi4py"])
def test_wildcards_of_either_spelling_match_any_message(comm: qmpi.Comm, any_source: Any, any_tag: Any) -> None:
    q, status = ones(comm), qmpi.Status()
    comm.send(q, (comm.rank + 1) % comm.size, 7)
    comm.mpi.Barrier()
    assert comm.iprobe(any_source, any_tag) and comm.probe(any_source, any_tag)
    copy = comm.mrecv(comm.mprobe(any_source, any_tag), status=status)
    assert (status.source, status.tag) == ((comm.rank - 1) % comm.size, 7)
    comm.unrecv(copy)
    comm.unsend(q)
    with comm.sendrecv(q, (comm.rank + 1) % comm.size, source=any_source, recvtag=any_tag):
        pass
    gone(comm, q, copy)


@pytest.mark.parametrize("any_tag", SPECIAL["ANY_TAG"], ids=["qmpi", "mpi4py"])
@pytest.mark.parametrize("nobody", SPECIAL["PROC_NULL"], ids=["qmpi", "mpi4py"])
def test_proc_null_of_either_spelling_is_nobody(comm: qmpi.Comm, nobody: Any, any_tag: Any) -> None:
    q, status = comm.alloc(1), qmpi.Status()
    comm.send(q, nobody)
    assert len(comm.recv(source=nobody, tag=any_tag, status=status)) == 0
    assert (status.source, status.tag, status.count) == (qmpi.PROC_NULL, qmpi.ANY_TAG, 0)
    comm.prepare_epr(q, nobody)
    with comm.send_init(q, nobody) as request:
        request.start().wait()
    comm.recv(q, nobody, any_tag)
    comm.unrecv(q, nobody, any_tag)
    comm.free(q)


@pytest.mark.parametrize("nothing", SPECIAL["UNDEFINED"], ids=["qmpi", "mpi4py"])
def test_undefined_of_either_spelling_is_no_color(comm: qmpi.Comm, nothing: Any) -> None:
    assert comm.split(nothing) is None


@pytest.mark.parametrize("forward, back", [(a, b) for a in SPECIAL["IN_PLACE"] for b in SPECIAL["IN_PLACE"]])
def test_in_place_of_either_spelling_undoes_in_place_of_either(comm: qmpi.Comm, forward: Any, back: Any) -> None:
    q = comm.alloc(2)
    qmpi.gates.x(q[0])
    comm.allreduce(forward, q, qmpi.SUM)
    comm.unallreduce(back, q, qmpi.SUM)
    assert qmpi.measure(q) == (1, 0)
    gone(comm, q)


# --- operands ----------------------------------------------------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[Register], Sequence[Any]]] = {
    "list of qubits": list,
    "tuple of qubits": tuple,
    "qubits and registers": lambda q: [q[0], q[1:]],
    "registers": lambda q: (q[:1], Register(), q[1:]),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_list_of_qubits_is_taken_wherever_a_register_is(comm: qmpi.Comm, shape: Callable[[Register], Any]) -> None:
    size = comm.size
    right, left = (comm.rank + 1) % size, (comm.rank - 1) % size
    q, out, whole = comm.alloc(3), comm.alloc(3), comm.alloc(3 * size)
    qmpi.gates.x(shape(q))
    qmpi.cx(q[0], shape(out))
    qmpi.cx(shape(q), shape(out))
    qmpi.gates.unitary(np.eye(8), shape(q))
    qmpi.gates.pauli_rotation(0.0, "ZZZ", shape(q))
    qmpi.gates.mcx(shape(q), out[0])
    qmpi.gates.x(out[0])
    assert qmpi.measure(shape(q)) == (1, 1, 1) and abs(qmpi.expectation("ZZZ", shape(q)) + 1) < 1e-5
    sent = comm.isend(shape(q), right)
    comm.recv(shape(out), left)
    sent.wait()
    comm.unrecv(shape(out))
    comm.unsend(shape(q))
    sent = comm.isend_move(shape(q), right)
    comm.recv_move(shape(out), left)
    sent.wait()
    qmpi.gates.swap(shape(q), shape(out))
    with comm.sendrecv(shape(q), right, 0, shape(out), left):
        pass
    comm.sendrecv_replace(shape(q), right, source=left)
    with comm.bcast(shape(q) if comm.rank == 0 else shape(out)):
        pass
    comm.allgather(shape(q), list(whole))
    comm.unallgather(q, whole)  # another spelling of the same qubits
    comm.alltoallw([shape(q)] * size, [shape(whole[3 * rank : 3 * rank + 3]) for rank in range(size)])
    comm.unalltoallw([q] * size, [whole[3 * rank : 3 * rank + 3] for rank in range(size)])
    with comm.reduce(shape(q), shape(out) if comm.rank == 0 else None, qmpi.SUM):
        pass
    with comm.allreduce_init(shape(q), shape(out)) as request:
        request.start().wait()
        comm.unallreduce(q, out)
    comm.pauli_rotation(0.0, "ZZZ", shape(q))
    assert comm.measure(shape(q)) == [(1, 1, 1)] * size
    assert abs(abs(comm.statevector([shape(q)[0]])[-1]) - 1) < 1e-5 and abs(comm.density_matrix([q[0]])[-1, -1] - 1) < 1e-5
    assert (q + shape(out))[3:] == out and Register(shape(q)) == q
    qmpi.reset(shape(q))
    comm.free(shape(q))
    comm.free([out, whole])


@pytest.mark.parametrize("late", ["bcast", "send"])
def test_a_list_that_changes_after_the_call_changes_nothing(comm: qmpi.Comm, late: str) -> None:
    q, other = comm.alloc(1), comm.alloc(1)
    given = [q[0]]
    if late == "bcast":
        request: Any = comm.ibcast(given)
        given[0] = other[0]
        request.wait()
        comm.unbcast(q)
    else:
        request = comm.isend(given, (comm.rank + 1) % comm.size)
        given[0] = other[0]
        request.wait()
        comm.unrecv(comm.recv())
        comm.unsend(q)
    comm.free(q + other)


NO_OPERANDS = [3, None, "q", {}, [3], [None], ["q"], [[]], (1.5,)]


@pytest.mark.parametrize("bad", NO_OPERANDS, ids=repr)
def test_what_is_no_operand_is_refused_by_every_call(comm: qmpi.Comm, bad: Any) -> None:
    q = comm.alloc(1)
    calls: list[Callable[[], Any]] = [
        lambda: qmpi.h(bad),
        lambda: qmpi.cx(q, bad),
        lambda: qmpi.rx(0.1, bad),
        lambda: qmpi.gates.mcx(bad, q),
        lambda: qmpi.gates.unitary(np.eye(2), bad),
        lambda: qmpi.gates.pauli_rotation(0.1, "X", bad),
        lambda: qmpi.measure(bad),
        lambda: qmpi.reset(bad),
        lambda: qmpi.expectation("X", bad),
        lambda: comm.free(bad),
        lambda: comm.send(bad, 0),
        lambda: comm.gather(bad),
        lambda: q + bad,
    ]
    for number, call in enumerate(calls):
        with pytest.raises(TypeError, match="expected a Qubit, a Register, or a list of these"):
            call()
            pytest.fail(f"call {number} was not refused")
    with pytest.raises((TypeError, errors.PeerFailed), match="expected a Qubit, a Register, or a list of these"):
        comm.measure(bad if comm.rank == comm.size - 1 else q)
    comm.free(q)


# --- no qubits ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [Register(), [], (Register(),)], ids=["register", "list", "tuple of registers"])
def test_a_gate_on_no_qubits_does_nothing(comm: qmpi.Comm, nothing: Any) -> None:
    q = comm.alloc(2)
    for row in qmpi.gates.TABLE.values():
        if row.controls == -1 or row.targets == -1:
            continue  # those that do not broadcast
        gate, count = getattr(qmpi.gates, row.name), row.controls + row.targets
        gate(*[0.3] * row.parameters, *[nothing] * count)
        if count > 1:
            gate(*[0.3] * row.parameters, q[0], *[nothing] * (count - 1))
            with pytest.raises(errors.InvalidArgument, match="2 and 0 qubits do not broadcast"):
                gate(*[0.3] * row.parameters, q, *[nothing] * (count - 1))
    assert qmpi.measure(nothing) == qmpi.Bits()
    qmpi.reset(nothing)
    comm.free(nothing)
    assert qmpi.measure(q) == (0, 0)
    comm.free(q)


def test_a_gate_on_no_qubits_still_refuses_a_freed_one(comm: qmpi.Comm) -> None:
    q = comm.alloc(1)
    comm.free(q)
    with pytest.raises(errors.FreedQubit):
        qmpi.cx(q, Register())


def test_alloc_of_none_gives_an_empty_register(comm: qmpi.Comm) -> None:
    assert comm.alloc(0) == Register()
