"""Laws of which one ends a process while others wait for it. Started by tests/worlds/test_worlds.py."""

import os
import signal

import qmpi


def test_dies_on_one_rank(comm: qmpi.Comm) -> None:
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    comm.mpi.Barrier()


def test_holds_afterwards(comm: qmpi.Comm) -> None:
    comm.barrier()
