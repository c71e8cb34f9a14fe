"""A test in which one rank waits for ever: the per-test time-out must end the job. Started by test_in_both_worlds.py."""

import pytest

import qmpi


def waits_for_what_never_comes(comm: qmpi.Comm) -> None:
    comm.recv(source=1)


@pytest.mark.timeout(3, method="thread")
def test_rank_0_hangs(comm: qmpi.Comm) -> None:
    if comm.rank == 0:
        waits_for_what_never_comes(comm)
    else:
        comm.mpi.Barrier()
