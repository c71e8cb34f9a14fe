"""Laws of which one is wrong on one rank while the others wait for it. Started by tests/worlds/test_worlds.py."""

import qmpi


def test_holds(comm: qmpi.Comm) -> None:
    comm.barrier()


def test_fails_on_one_rank(comm: qmpi.Comm) -> None:
    if comm.rank == 1:
        raise AssertionError("rank 1 is wrong on purpose")
    comm.recv(source=1)


def test_holds_afterwards(comm: qmpi.Comm) -> None:
    comm.barrier()
