"""qmpi.testing: what tests of programs prescribe and look at."""

from __future__ import annotations

import time

import pytest

import qmpi
from qmpi import errors, testing


@pytest.mark.parametrize("bits", [[], [0], [1], [1, 0, 0, 1, 1], [0, 1] * 32])
def test_draws_find_the_prescribed_outcomes_in_order(bits: list[int]) -> None:
    def program() -> list[int]:
        comm = qmpi.COMM_WORLD
        q = comm.alloc(len(bits))
        qmpi.h(q)
        testing.force_outcomes(comm, bits)
        return list(qmpi.measure(q))

    assert qmpi.run(program, 1) == [bits]


def test_an_outcome_that_cannot_occur_is_not_forced() -> None:
    def program() -> list[int]:
        comm = qmpi.COMM_WORLD
        q = comm.alloc(2)
        qmpi.x(q[1])
        testing.force_outcomes(comm, [1, 0])
        return list(qmpi.measure(q))

    assert qmpi.run(program, 1) == [[0, 1]]


@pytest.mark.parametrize("outcomes", [[2], [-1], [0, 1, "1"], [0] * 65])
def test_outcomes_that_cannot_be_are_refused(outcomes: list[int]) -> None:
    with pytest.raises(errors.InvalidArgument, match="at most 64 outcomes, each 0 or 1"):
        qmpi.run(lambda: testing.force_outcomes(qmpi.COMM_WORLD, outcomes), 1)


def test_what_a_rank_holds_owes_and_has_spent_is_told() -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD.dup()
        other = 1 - comm.rank
        q = comm.alloc(2)
        qmpi.h(q)
        assert (testing.qubits_held(comm), testing.pending_gates(comm), testing.outstanding(comm)) == (2, 2, [])
        testing.flush(comm)
        assert testing.pending_gates(comm) == 0
        before = testing.spent(comm)
        comm.send(q, dest=other)
        copy = comm.recv(source=other)
        after = testing.spent(comm)
        assert (after.epr_halves - before.epr_halves, after.bits_sent - before.bits_sent) == (4, 2)
        assert testing.spent(qmpi.COMM_WORLD).epr_halves == 0
        assert len(testing.outstanding(comm)) == 2 and testing.qubits_held(comm) == 4
        comm.unrecv(copy)
        comm.unsend(q)
        assert testing.outstanding(comm) == []
        comm.barrier()
        assert testing.postings(comm) == 0
        comm.close()

    qmpi.run(program, 2)


def test_a_wait_is_bounded_in_the_block_and_no_longer_after_it() -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD
        if comm.rank == 0:
            with testing.timeout(comm, 0.05), pytest.raises(errors.WaitTimeout, match=r"0\.05"):
                comm.recv_move(source=1)
            comm.mpi.Barrier()
            comm.recv_move(source=1)
        else:
            comm.mpi.Barrier()
            time.sleep(0.2)  # longer than the bound was
            comm.send_move(comm.alloc(1), dest=0)

    qmpi.run(program, 2)


def test_settings_are_those_in_force() -> None:
    (found,) = qmpi.run(lambda: testing.settings(qmpi.COMM_WORLD), 1, mode="faithful", dtype="complex64")
    assert found.faithful and found.single_precision
