"""MPI that has not begun, and that is over: each call reports what came of it. Started by test_starts.py, without a launcher."""

from __future__ import annotations

import mpi4py
from reports import attempt, report

import qmpi

mpi4py.rc.initialize = False
report("before", by=0, rank=attempt(lambda: qmpi.COMM_WORLD.rank), alloc=attempt(lambda: qmpi.COMM_WORLD.alloc()))

from mpi4py import MPI  # noqa: E402  (after what it does by itself is chosen)

report("given", by=0, wrap=attempt(lambda: qmpi.Comm(MPI.COMM_WORLD)))
MPI.Init()
report("running", by=0, alloc=attempt(lambda: qmpi.COMM_WORLD.alloc()))
comm = qmpi.Comm(MPI.COMM_WORLD)
MPI.Finalize()
report(
    "after", by=0, wrap=attempt(lambda: qmpi.Comm(MPI.COMM_WORLD)), split=attempt(lambda: comm.split(0)), dup=attempt(lambda: comm.dup())
)
report("quantum", by=0, alloc=attempt(lambda: comm.alloc()))
