"""A program whose last rank makes its first qmpi call late. Started by tests/test_founding.py."""

import time

from mpi4py import MPI

import qmpi

if MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
    time.sleep(11)
qmpi.COMM_WORLD.barrier()
