"""What collectives refuse, on the rank that asks for it, before anybody takes notice: no state, no ledger and no later collective changes.
And how they end when ranks do not do the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import IN_PLACE, cx, errors, testing
from qmpi.comm.collectives import parent_and_children
from qmpi.gates import x

HERE = Path(__file__).name
Bad = Callable[["Desk"], Any]


class Desk:
    """What a bad call is made of: the communicator, N, this rank, 4N qubits that hold a pattern and 4N that are in |0⟩."""

    def __init__(self, comm: qmpi.Comm) -> None:
        self.comm, self.n, self.me, self.next = comm, comm.size, comm.rank, (comm.rank + 1) % comm.size
        self.q, self.zero = comm.alloc(4 * comm.size), comm.alloc(4 * comm.size)
        x(self.q[::2])
        self.held, self.posted, self.spent = testing.qubits_held(comm), comm._collectives, self.costs()

    def costs(self) -> tuple[int, ...]:
        total = self.comm.ledger.total()
        return total.epr_pairs, total.classical_bits, total.measurements

    def refuse(self, error: type[Exception], bad: Bad, what: str = "") -> None:
        """On every rank, without the others; this rank keeps nothing of it."""
        with pytest.raises(error) as info:
            bad(self)
            pytest.fail(f"{what} was not refused")
        assert type(info.value) is error, what
        assert f"rank {self.me}" in str(info.value) and HERE in str(info.value), what
        assert (testing.qubits_held(self.comm), self.comm._collectives) == (self.held, self.posted), what
        assert not any(qubit.frozen for qubit in self.q + self.zero), what

    def untouched(self) -> None:
        """Collective; the end."""
        assert self.costs() == self.spent
        found = [qmpi.probability(qubit) for qubit in self.q + self.zero]
        assert np.abs(np.subtract(found, [1, 0] * 2 * self.n + [0] * 4 * self.n)).max() < 1e-6
        self.comm.barrier()  # nobody sends what another one still looks at
        with self.comm.bcast(self.q[:1] if self.me == 0 else None) as copy:  # the next one finds its partners
            assert qmpi.probability(copy[0]) > 0.5
            self.comm.barrier()
        self.comm.free(self.q + self.zero)


def refused(comm: qmpi.Comm, error: type[Exception], *calls: Bad) -> None:
    desk = Desk(comm)
    for number, bad in enumerate(calls):
        desk.refuse(error, bad, f"call {number}")
    desk.untouched()


def no(*_: Any) -> None:
    """Not called."""


ROOTED: dict[str, Callable[[Desk, Any], Any]] = {
    "bcast": lambda d, root: d.comm.bcast(d.q[:1], root),
    "gather": lambda d, root: d.comm.gather(d.q[:1], root=root),
    "gather_move": lambda d, root: d.comm.gather_move(d.q[:1], root=root),
    "gatherv": lambda d, root: d.comm.gatherv(d.q[:1], None, [1] * d.n, root=root),
    "scatter": lambda d, root: d.comm.scatter(d.q[: d.n], root=root),
    "scatterv_move": lambda d, root: d.comm.scatterv_move(d.q[: d.n], [1] * d.n, root=root),
    "reduce": lambda d, root: d.comm.reduce(d.q[:1], root=root),
}


def test_a_root_that_there_is_not_is_refused(comm: qmpi.Comm) -> None:
    roots = (-1, comm.size, "0", None)
    refused(comm, errors.RankOutOfRange, *(lambda d, call=call, root=root: call(d, root) for call in ROOTED.values() for root in roots))


ARGUMENTS: dict[str, Bad] = {
    "bcast: nothing at the root": lambda d: d.comm.bcast(None, root=d.me),
    "bcast: unknown algorithm": lambda d: d.comm.bcast(d.q[:1], 0, "ring"),
    "bcast: nothing to make a cat state of": lambda d: d.comm.bcast(None, 0, "cat"),
    "gather: own part": lambda d: d.comm.gather(d.q[:2], d.zero[: d.n], d.me),
    "gather: in place without a buffer": lambda d: d.comm.gather(IN_PLACE, None, d.me),
    "gatherv: no counts": lambda d: d.comm.gatherv(d.q[:1], d.zero, None, root=d.me),
    "gatherv: too few counts": lambda d: d.comm.gatherv(d.q[:1], d.zero, [1] * (d.n - 1), root=d.me),
    "gatherv: negative count": lambda d: d.comm.gatherv(d.q[:1], d.zero, [-1] * d.n, root=d.me),
    "gatherv: no whole number": lambda d: d.comm.gatherv(d.q[:1], d.zero, [1.0] * d.n, root=d.me),
    "gatherv: too many displacements": lambda d: d.comm.gatherv(d.q[:1], d.zero, [1] * d.n, range(d.n + 1), d.me),
    "gatherv: negative displacement": lambda d: d.comm.gatherv(d.q[:1], d.zero, [1] * d.n, range(-1, d.n - 1), d.me),
    "gatherv: beyond the buffer": lambda d: d.comm.gatherv(d.q[:1], d.zero, [1] * d.n, range(3 * d.n + 1, 4 * d.n + 1), d.me),
    "gatherv: own part, allocated": lambda d: d.comm.gatherv(d.q[:1], None, [2] * d.n, root=d.me),
    "scatter: nothing at the root": lambda d: d.comm.scatter(None, root=d.me),
    "scatter: own part": lambda d: d.comm.scatter(d.q[: 2 * d.n], d.zero[:1], d.me),
    "scatterv: no counts": lambda d: d.comm.scatterv(d.q, None, root=d.me),
    "scatterv: beyond the buffer": lambda d: d.comm.scatterv(d.q, [5] * d.n, root=d.me),
    "allgather: own part": lambda d: d.comm.allgather(d.q[:2], d.zero[: d.n]),
    "allgather: shared": lambda d: d.comm.allgather(d.q[:1], d.q[: d.n]),
    "allgather: in place without a buffer": lambda d: d.comm.allgather(IN_PLACE),
    "allgatherv: no counts": lambda d: d.comm.allgatherv(d.q[:1], d.zero),
    "alltoall: shared": lambda d: d.comm.alltoall(d.q, d.q),
    "alltoall: in place without a buffer": lambda d: d.comm.alltoall(IN_PLACE),
    "alltoallv: no counts": lambda d: d.comm.alltoallv(d.q, [1] * d.n, None, d.zero),
    "alltoallv: half of the counts": lambda d: d.comm.alltoallv(d.q, None, None, d.zero, [1] * d.n),
    "alltoallv: own part": lambda d: d.comm.alltoallv(d.q, [1] * d.n, None, d.zero, [2] * d.n),
    "alltoallv: own part, allocated": lambda d: d.comm.alltoallv(d.q, [1] * d.n, None, None, [2] * d.n),
    "alltoallv: beyond the buffer": lambda d: d.comm.alltoallv(d.q, [5] * d.n, None, d.zero, [1] * d.n),
    "alltoallw: one register": lambda d: d.comm.alltoallw(d.q, [d.zero[:1]] * d.n),
    "alltoallw: too few": lambda d: d.comm.alltoallw([d.q[:1]] * d.n, [d.zero[:1]] * (d.n - 1)),
    "reduce: no operator": lambda d: d.comm.reduce(d.q[:1], None, None),
    "reduce: not an operator": lambda d: d.comm.reduce(d.q[:1], None, "SUM"),
    "reduce: no whole items": lambda d: d.comm.reduce(d.q[:4], None, qmpi.SUM, width=3),
    "reduce: items of nothing": lambda d: d.comm.reduce(d.q[:4], None, qmpi.SUM, width=0),
    "reduce: half items": lambda d: d.comm.reduce(d.q[:4], None, qmpi.SUM, width=0.5),
    "reduce: unknown algorithm": lambda d: d.comm.reduce(d.q[:1], algorithm="ring"),
    "reduce: a star of sums": lambda d: d.comm.reduce(d.q[:1], op=qmpi.SUM, algorithm="star"),
    "reduce: length": lambda d: d.comm.reduce(d.q[:2], d.zero[:1], root=d.me),
    "reduce: shared": lambda d: d.comm.reduce(d.q[:2], d.q[:2], root=d.me),
    "reduce: in place without a buffer": lambda d: d.comm.reduce(IN_PLACE, root=d.me),
    "allreduce: length": lambda d: d.comm.allreduce(d.q[:2], d.zero[:3]),
    "allreduce: in place without a buffer": lambda d: d.comm.allreduce(IN_PLACE),
    "scan: shared": lambda d: d.comm.scan(d.q[:1], d.q[:1]),
    "scan: in place without a buffer": lambda d: d.comm.scan(IN_PLACE),
    "reduce_scatter: no counts": lambda d: d.comm.reduce_scatter(d.q[: d.n]),
    "reduce_scatter: parts and buffer": lambda d: d.comm.reduce_scatter(d.q, None, [1] * d.n),
    "reduce_scatter: length": lambda d: d.comm.reduce_scatter(d.q[: d.n], d.zero[:2], [1] * d.n),
    "reduce_scatter_block: no whole items": lambda d: d.comm.reduce_scatter_block(d.q, width=3),
    "reduce_scatter_block: in place without a buffer": lambda d: d.comm.reduce_scatter_block(IN_PLACE),
    "Op: no inverse": lambda _: qmpi.Op(no, None),
    "Op: no circuit": lambda _: qmpi.Op(None, no),
    "Op: negative scratch": lambda _: qmpi.Op(no, no, scratch=-1),
    "Op: no number of scratch": lambda _: qmpi.Op(no, no, scratch="1"),
}
AMONG_TWO: dict[str, Bad] = {  # a single rank is always the root, and everything is equal parts for it
    "gather: unequal parts": lambda d: d.comm.gather(d.q[:1], d.zero[: d.n + 1], d.me),
    "gather: in place elsewhere": lambda d: d.comm.gather(IN_PLACE, d.zero[: d.n], d.next),
    "scatter: unequal parts": lambda d: d.comm.scatter(d.q[: d.n + 1], root=d.me),
    "scatter: in place elsewhere": lambda d: d.comm.scatter(None, IN_PLACE, d.next),
    "alltoall: unequal parts": lambda d: d.comm.alltoall(d.q[: d.n + 1], d.zero[: d.n + 1]),
    "reduce: in place elsewhere": lambda d: d.comm.reduce(IN_PLACE, d.zero[:1], root=d.next),
    "reduce_scatter_block: unequal parts": lambda d: d.comm.reduce_scatter_block(d.q[: d.n + 1]),
}


def test_arguments_that_mean_nothing_are_refused(comm: qmpi.Comm) -> None:
    desk = Desk(comm)
    for what, bad in (ARGUMENTS | (AMONG_TWO if comm.size > 1 else {})).items():
        desk.refuse(errors.InvalidArgument, bad, what)
    desk.untouched()


@pytest.mark.ranks(min_size=2)
def test_chunks_that_overlap_where_they_are_received_or_moved_are_refused(comm: qmpi.Comm) -> None:
    calls: list[Bad] = [
        lambda d: d.comm.gatherv(d.q[:2], d.zero, [2] * d.n, range(d.n), d.me),
        lambda d: d.comm.allgatherv(d.q[:1], d.zero, [1] * d.n, [0] * d.n),
        lambda d: d.comm.alltoallv(d.q, [1] * d.n, None, d.zero, [1] * d.n, [2] * d.n),
        lambda d: d.comm.alltoallw([d.q[:1]] * d.n, [d.zero[:1]] * d.n),
        lambda d: d.comm.scatterv_move(d.q, [1] * d.n, [0] * d.n, root=d.me),
        lambda d: d.comm.alltoallw_move([d.q[:1]] * d.n, [d.zero[k : k + 1] for k in range(d.n)]),
        lambda d: d.comm.bcast(d.q[:1] + d.q[:1], d.me),
        lambda d: d.comm.scan(d.q[:1] + d.q[:1]),
    ]
    refused(comm, errors.DuplicateQubit, *calls)


def test_targets_that_are_not_in_zero_are_refused(comm: qmpi.Comm) -> None:
    calls: list[Bad] = [
        lambda d: d.comm.gather(d.zero[:1], d.q[: d.n], d.me),
        lambda d: d.comm.scatter(d.zero[: d.n], d.q[:1], d.me),
        lambda d: d.comm.allgather(d.zero[:1], d.q[: d.n]),
        lambda d: d.comm.alltoall(d.zero, d.q),
        lambda d: d.comm.alltoall_move(d.zero, d.q),
        lambda d: d.comm.reduce(d.zero[:1], d.q[:1], root=d.me),
        lambda d: d.comm.allreduce(d.zero[:1], d.q[:1]),
        lambda d: d.comm.reduce_scatter_block(d.zero[: d.n], d.q[:1]),
        lambda d: d.comm.cat(d.q[:1]),
    ]
    if comm.size > 1:
        calls.append(lambda d: d.comm.bcast(d.q[:1], d.next))
    refused(comm, errors.NotZero, *calls)


# --- obligations -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
def test_originals_and_copies_are_neither_moved_nor_received_into_and_originals_not_freed(comm: qmpi.Comm) -> None:
    q, spare = comm.alloc(1), comm.alloc(comm.size)
    with comm.bcast(q, root=0):
        held = testing.qubits_held(comm)
        calls: list[Callable[[], Any]] = [
            lambda: comm.gather_move(q, root=0),
            lambda: comm.send_move(q, 0),
            lambda: comm.allgather(spare[:1], qmpi.Register([q[0], *spare[2:], spare[1]])),
            lambda: comm.cat(q),
        ]
        for call in calls:
            with pytest.raises(errors.OutstandingCopies, match=f"bcast.*{HERE}"):
                call()
        if comm.rank == 0:
            with pytest.raises(errors.OutstandingCopies, match=f"bcast.*{HERE}"):
                comm.free(q)
        assert testing.qubits_held(comm) == held
    comm.free(q + spare)


@pytest.mark.ranks(min_size=2)
def test_a_copy_with_copies_of_its_own_is_undone_after_them(comm: qmpi.Comm) -> None:
    q, holder = comm.alloc(1), comm.size - 1
    comm.bcast(q, root=0)
    with comm.bcast(q if comm.rank == holder else None, root=holder):
        if comm.rank == holder:
            with pytest.raises(errors.OutstandingCopies, match=HERE):
                comm.unbcast(q, root=0)
    comm.unbcast(q, root=0)
    comm.free(q)


def test_a_collective_move_is_undone_after_the_copies_of_what_it_brought_and_onto_places_in_zero(comm: qmpi.Comm) -> None:
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    q = comm.alloc(comm.size)
    x(q)
    out = comm.alltoall_move(q)
    with comm.send(out, right), comm.recv(source=left), pytest.raises(errors.OutstandingCopies, match=f"copy sent.*{HERE}"):
        comm.unalltoall_move(q)
    x(q[:1])
    with pytest.raises(errors.NotZero):
        comm.unalltoall_move(q)
    x(q[:1])
    comm.unalltoall_move(q)
    assert all(qmpi.measure(q)) and not any(qmpi.measure(out))
    comm.free(q + out)


def test_an_inverse_without_its_operation_is_refused(comm: qmpi.Comm) -> None:
    last = comm.size - 1
    q, out, spare = comm.alloc(2), comm.alloc(2 * comm.size), comm.alloc(2 * comm.size)
    x(q)
    comm.bcast(spare[:1], root=last)
    comm.allreduce(q, out[:2], qmpi.SUM)
    other = comm.dup()
    calls: list[Callable[[], Any]] = [
        lambda: comm.unbcast(q),
        lambda: comm.unbcast(spare[:2]),
        lambda: comm.unbcast(spare[:1], root=comm.size),
        lambda: comm.unbcast(spare[:1], root=last, algorithm="cat"),
        lambda: comm.unbcast(None, root=last),
        lambda: other.unbcast(spare[:1]),
        lambda: comm.ungather(q, out),
        lambda: comm.unallreduce(out[:2], q, qmpi.SUM),
        lambda: comm.unallreduce(q, None, qmpi.SUM),
        lambda: comm.unallreduce(q, out[:2], qmpi.PARITY),
        lambda: comm.unallreduce(q, out[:2], qmpi.SUM, width=1),
        lambda: comm.unallreduce(q[:1], out[:2], qmpi.SUM),
        lambda: comm.unreduce(q, out[:2], qmpi.SUM),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(errors.UnmatchedInverse):
            call()
            pytest.fail(f"call {number} was not refused")
    comm.unallreduce(q, out[:2], qmpi.SUM)
    comm.unbcast(spare[:1], root=last)
    for again in (lambda: comm.unallreduce(q, out[:2], qmpi.SUM), lambda: comm.unbcast(spare[:1])):
        with pytest.raises(errors.UnmatchedInverse):
            again()
    comm.free(q + out + spare)
    other.close()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("call", ["ibcast", "iallreduce", "icat", "iscatter"])
def test_what_a_pending_collective_names_is_frozen(comm: qmpi.Comm, call: str) -> None:
    late = 0  # everybody else waits for it
    q, out = comm.alloc(1), comm.alloc(1)
    arguments: dict[str, Callable[[], Any]] = {
        "ibcast": lambda: comm.ibcast(out, late),
        "iallreduce": lambda: comm.iallreduce(q, out),
        "icat": lambda: comm.icat(out),
        "iscatter": lambda: comm.iscatter(more if comm.rank == late else None, out, late),
    }
    more = comm.alloc(comm.size)
    if comm.rank != late:
        request = arguments[call]()
        assert out[0].frozen and not request.test() and not request.cancel()
        for use in (qmpi.h, qmpi.measure, qmpi.reset, comm.free, lambda q: comm.send(q, 0), lambda q: comm.scan(q)):
            with pytest.raises(errors.FrozenQubit, match=HERE):
                use(out)
    comm.mpi.Barrier()
    if comm.rank == late:
        request = arguments[call]()
    request.wait()
    assert not out[0].frozen
    given = {
        "ibcast": (out,),
        "iallreduce": (q, out),
        "icat": (out,),
        "iscatter": (more if comm.rank == late else None, out),
    }[call]
    getattr(comm, "un" + call[1:])(*given)
    comm.free(q + out + more)


# --- operators ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("case", ["measures", "resets", "touches other qubits", "allocates", "looks", "raises"])
def test_an_operator_that_does_more_than_gates_on_its_registers_is_refused(comm: qmpi.Comm, case: str) -> None:
    q, stranger = comm.alloc(1), comm.alloc(1)
    acts: dict[str, Callable[[qmpi.Register], Any]] = {
        "measures": lambda acc: qmpi.measure(acc),
        "resets": lambda acc: qmpi.reset(acc),
        "touches other qubits": lambda acc: cx(acc, stranger),
        "allocates": lambda acc: x(comm.alloc(1)),
        "looks": lambda acc: qmpi.probability(acc[0]),
        "raises": lambda acc: {}["key"],
    }

    def forward(acc: qmpi.Register, x_: qmpi.Register, out: qmpi.Register) -> None:
        cx(x_, acc)
        acts[case](acc)

    op = qmpi.Op(forward, forward, inplace=True)
    held = testing.qubits_held(comm)
    if comm.rank:  # rank 0 has nothing to combine: it would wait for the others
        with pytest.raises(KeyError if case == "raises" else errors.InvalidArgument):
            comm.scan(q, None, op)
        assert testing.qubits_held(comm) == held + (case == "allocates")
        assert not q[0].frozen and qmpi.probability(stranger[0]) < 1e-6
    with comm.scan(q, None, qmpi.PARITY):
        pass
    comm.free(q + stranger)


# --- the end of a block ------------------------------------------------------------------------------------------------------------------

BLOCKS: dict[str, Callable[[qmpi.Comm, qmpi.Register], Any]] = {
    "bcast": lambda comm, q: comm.bcast(q[:1] if comm.rank == 0 else None),
    "gather": lambda comm, q: comm.gather(q[:1]),
    "scatter": lambda comm, q: comm.scatter(q if comm.rank == 0 else None),
    "allgather": lambda comm, q: comm.allgather(q[:1]),
    "alltoall": lambda comm, q: comm.alltoall(q),
    "alltoall_move": lambda comm, q: comm.alltoall_move(q),
    "reduce": lambda comm, q: comm.reduce(q, op=qmpi.MIN, root=comm.size - 1),
    "allreduce": lambda comm, q: comm.allreduce(q, op=qmpi.SUM),
    "reduce_scatter_block": lambda comm, q: comm.reduce_scatter_block(q, op=qmpi.BOR),
    "scan": lambda comm, q: comm.scan(q, op=qmpi.MAX),
    "exscan": lambda comm, q: comm.exscan(q, op=qmpi.BAND),
}


@pytest.mark.parametrize("call", BLOCKS)
def test_the_end_of_a_block_undoes_it_and_frees_what_was_allocated(comm: qmpi.Comm, call: str) -> None:
    q = comm.alloc(comm.size)
    x(q[0])
    held = testing.qubits_held(comm)
    with BLOCKS[call](comm, q) as result:
        pass
    assert testing.qubits_held(comm) == held
    assert all(qubit.freed or qubit in q for qubit in result)
    assert [round(qmpi.probability(qubit)) for qubit in q] == [1] + [0] * (comm.size - 1)
    comm.barrier()
    qmpi.reset(q)
    comm.free(q)


@pytest.mark.ranks(min_size=2)
def test_an_exception_in_a_block_reaches_those_whose_inverse_waits_for_it(comm: qmpi.Comm) -> None:
    fails = comm.size - 1
    waiting, above = [], parent_and_children(fails, comm.size)[0]
    while above is not None:
        waiting.append(above)
        above = parent_and_children(above, comm.size)[0]
    q = comm.alloc(1)
    if comm.rank == fails:
        with pytest.raises(ZeroDivisionError), comm.bcast(q):
            1 / 0  # noqa: B018
    elif comm.rank in waiting:
        with pytest.raises(errors.PeerFailed, match=f"rank .*bcast.*{HERE}.*ZeroDivisionError"), comm.bcast(q):
            pass
    else:
        with comm.bcast(q):
            pass
    comm.mpi.Barrier()
    qmpi.reset(q)
    assert testing.outstanding(comm) == []
    comm.free(q)


@pytest.mark.parametrize("undone", [True, False])
def test_measured_copies_owe_nothing_and_can_still_be_undone(comm: qmpi.Comm, undone: bool) -> None:
    q, held = comm.alloc(2), testing.qubits_held(comm)
    if comm.rank == 0:
        qmpi.h(q)
    copy = comm.bcast(q if comm.rank == 0 else None)
    bits = comm.measure(copy if comm.rank else qmpi.Register())
    assert len(set(bits[1:])) <= 1
    if comm.rank:
        assert testing.outstanding(comm) == []
    if undone:
        comm.unbcast(q if comm.rank == 0 else None)
    if comm.rank:
        comm.free(copy)
    if comm.rank == 0:
        assert comm.size == 1 or tuple(qmpi.measure(q)) == tuple(bits[1])
        qmpi.reset(q)
    assert testing.qubits_held(comm) == held
    comm.free(q)


def test_a_measured_result_of_a_reduction_can_still_be_undone(comm: qmpi.Comm) -> None:
    q, held = comm.alloc(2), testing.qubits_held(comm)
    qmpi.h(q)
    total = comm.reduce(q, op=qmpi.SUM)
    outcome = comm.mpi.bcast(int(qmpi.measure(total)) if comm.rank == 0 else None)
    comm.unreduce(q, op=qmpi.SUM)
    if comm.rank == 0:
        comm.free(total)
    assert testing.qubits_held(comm) == held
    assert sum(int(bits) for bits in comm.measure(q)) % 4 == outcome
    comm.free(q)


# --- ranks that do not do the same -------------------------------------------------------------------------------------------------------

UNLIKE: dict[str, tuple[Callable[[qmpi.Comm, qmpi.Register], Any], Callable[[qmpi.Comm, qmpi.Register], Any]]] = {
    # what rank 0 calls, what the others call
    "allgather and alltoall": (lambda comm, q: comm.allgather(q[:1]), lambda comm, q: comm.alltoall(q)),
    "cat and scan": (lambda comm, q: comm.cat(q[:1]), lambda comm, q: comm.scan(q[:1])),
    "reduce to me and to another": (lambda comm, q: comm.reduce(q[:1], root=0), lambda comm, q: comm.reduce(q[:1], root=1)),
    "bcast from another and from me": (lambda comm, q: comm.bcast(q[:1], 1), lambda comm, q: comm.bcast(q[:1], 0)),
    "ibarrier and allreduce": (lambda comm, q: comm.ibarrier().wait(), lambda comm, q: comm.allreduce(q[:1])),
    "fewer in allgather": (lambda comm, q: comm.allgather(q[:1]), lambda comm, q: comm.allgather(q[:2])),
    "fewer in gather": (lambda comm, q: comm.gather(q[:1]), lambda comm, q: comm.gather(q[:2])),
    "fewer in reduce": (lambda comm, q: comm.reduce(q[:1]), lambda comm, q: comm.reduce(q[:2])),
    "fewer in cat": (lambda comm, q: comm.cat(q[:1]), lambda comm, q: comm.cat(q[:2])),
    "more in bcast": (lambda comm, q: comm.bcast(q[:2]), lambda comm, q: comm.bcast(q[:1])),
}


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("case", UNLIKE)
def test_ranks_that_do_not_do_the_same_are_told_and_do_not_hang(comm: qmpi.Comm, case: str) -> None:
    """In a world of its own, since messages that nobody wants stay behind."""

    def ends() -> str:
        here = qmpi.COMM_WORLD
        q = here.alloc(2 * here.size)
        try:
            UNLIKE[case][here.rank > 0](here, q)
            here.barrier()  # for those that were done: not with this one
        except errors.QMPIError as error:
            return type(error).__name__
        finally:
            qmpi.reset(q)
        return "done"

    if comm.rank == 0:
        ended = qmpi.run(ends, comm.size, strict=False)
        assert set(ended) <= {"Deadlock", "MismatchedCollective", "PeerFailed", "PeerLeft"}, ended
    comm.mpi.Barrier()
