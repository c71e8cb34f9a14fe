"""Calls that end otherwise than they began: refused on one rank, told of a deadlock, given up with their qubits. What the fuzzer found."""

from __future__ import annotations

import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab


@pytest.mark.ranks(min_size=2)
def test_a_measurement_that_one_rank_cannot_make_measures_nothing_anywhere(lab: Lab) -> None:
    comm, last = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], last)
    mine = lab.register(*[name for name in lab.order() if lab.owner[name] == comm.rank]) if lab.handle else qmpi.Register()
    before = lab.amplitudes()
    error = errors.DuplicateQubit if comm.rank == last else errors.PeerFailed
    with pytest.raises(error, match="given twice"):
        comm.measure(mine + mine if comm.rank == last else mine)
    assert abs(lab.amplitudes() - before).max() < lab.tolerance
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_different_collective_calls_are_recognised_and_the_next_ones_work(lab: Lab) -> None:
    comm = lab.comm
    with pytest.raises(errors.MismatchedCollective, match="is in barrier, rank 0 in measure"):
        if comm.rank == 0:
            comm.measure(qmpi.Register())
        else:
            comm.barrier()
    q = comm.alloc()
    if comm.rank % 2:
        qmpi.gates.x(q)
    assert [int(bits) for bits in comm.measure(q)] == [rank % 2 for rank in range(comm.size)]
    comm.free(q)


@pytest.mark.ranks(min_size=2)
def test_collectives_after_a_deadlock_give_what_belongs_to_them(lab: Lab) -> None:
    comm = lab.comm
    for _ in range(3):
        with pytest.raises(errors.Deadlock, match="barrier"):
            if comm.rank == 0:
                comm.recv(tag=9)  # from anybody: no knot before the last one has come
            else:
                comm.barrier()
        q = comm.alloc()
        if comm.rank % 2:
            qmpi.gates.x(q)
        assert [int(bits) for bits in comm.measure(q)] == [rank % 2 for rank in range(comm.size)]
        comm.free(q)


@pytest.mark.ranks(min_size=2)
def test_a_send_that_found_no_room_and_is_given_up_has_not_happened(lab: Lab) -> None:
    comm, last = lab.comm, lab.comm.size - 1
    q = comm.alloc(65)
    before = comm.ledger.epr_halves
    if comm.rank == 0:
        with pytest.raises(errors.Deadlock):
            comm.send(q, last)
    elif comm.rank == last:
        with pytest.raises(errors.Deadlock):
            comm.recv(source=0, tag=9)
    comm.free(q)  # neither frozen nor copied
    assert comm.ledger.epr_halves == before
    comm.mpi.Barrier()
    if comm.rank == last:
        request = comm.irecv()
        assert not request.test() and request.cancel()


@pytest.mark.ranks(min_size=2)
def test_a_send_can_be_cancelled_until_it_is_received_whether_it_found_room_or_not(lab: Lab) -> None:
    comm, last = lab.comm, lab.comm.size - 1
    q = comm.alloc(65)
    if comm.rank == 0:
        large, small, kept = comm.isend_move(q, last), comm.isend_move(comm.alloc(1), last), comm.isend_move(comm.alloc(1), last)
        assert large.cancel() and small.cancel() and not q[0].frozen
        kept.wait()
        assert not kept.cancel()
    comm.mpi.Barrier()
    if comm.rank == last:
        comm.free(comm.recv_move(source=0))
    comm.free(q)


def test_a_request_that_raised_raises_again(lab: Lab) -> None:
    comm, right, left = lab.comm, (lab.comm.rank + 1) % lab.comm.size, (lab.comm.rank - 1) % lab.comm.size
    comm.send_move(comm.alloc(2), right)
    request = comm.irecv_move(comm.alloc(1), left)
    for _ in range(3):
        with pytest.raises(errors.Truncated):
            request.wait()
        with pytest.raises(errors.Truncated):
            request.test()
    comm.free(comm.recv_move(source=left))


@pytest.mark.ranks(min_size=2)
def test_unsend_undoes_the_most_recent_copy_of_a_register_measured_in_part(lab: Lab) -> None:
    comm, last = lab.comm, lab.comm.size - 1
    if comm.rank == 0:
        q = comm.alloc(2)
        comm.send(q, last, tag=1)
        qmpi.measure(q[0])
        comm.send(q, last, tag=2)
        comm.mpi.Barrier()
        request = comm.iunsend(q)
        assert request.test()  # the bits of the other copy have not come
        comm.mpi.Barrier()
        comm.unsend(q)
        comm.free(q)
        return
    if comm.rank == last:
        first, second = comm.recv(source=0, tag=1), comm.recv(source=0, tag=2)
        comm.unrecv(second)
    comm.mpi.Barrier()
    comm.mpi.Barrier()
    if comm.rank == last:
        comm.unrecv(first)
        comm.free(first + second)


@pytest.mark.ranks(min_size=2)
def test_what_is_told_of_copies_nobody_asks_for_does_not_stay(lab: Lab) -> None:
    comm, last = lab.comm, lab.comm.size - 1
    for order in (0, last):  # who gives its half up first
        q = comm.alloc()
        if comm.rank == 0:
            comm.send(q, last)
        elif comm.rank == last:
            comm.recv(q, source=0)
        comm.mpi.Barrier()
        for rank in (order, last - order):
            if comm.rank == rank:
                qmpi.reset(q)
            comm.mpi.Barrier()
        comm.free(q)
    assert testing.postings(comm) == 0
    comm.mpi.Barrier()


@pytest.mark.ranks(min_size=3)
def test_a_gather_that_its_root_gives_up_half_way_is_refused_to_who_comes_late_and_keeps_its_state(comm: qmpi.Comm) -> None:
    last, q = comm.size - 1, comm.alloc(1)
    qmpi.gates.x(q)
    if comm.rank == 0:
        with testing.timeout(comm, 0.5), pytest.raises(errors.WaitTimeout):
            comm.gatherv_move(q, None, [1] * comm.size)
    elif comm.rank < last:
        comm.gatherv_move(q)
    comm.mpi.Barrier()
    if comm.rank == last:
        with pytest.raises(errors.PeerFailed, match="gave it up"):
            comm.gatherv_move(q)
        assert qmpi.probability(q[0]) > 0.5
    qmpi.reset(q)
    comm.free(q)
