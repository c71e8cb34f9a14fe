"""A law in which one rank waits for ever: its time must end it. Started by tests/worlds/test_worlds.py."""

import pytest

import qmpi


def waits_for_what_never_comes(comm: qmpi.Comm) -> None:
    comm.recv(source=1)


@pytest.mark.timeout(3, method="thread")
def test_hangs_on_one_rank(comm: qmpi.Comm) -> None:
    if comm.rank == 0:
        waits_for_what_never_comes(comm)
    else:
        comm.mpi.Barrier()
