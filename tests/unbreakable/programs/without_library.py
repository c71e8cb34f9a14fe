"""mpi4py is there, and finds no MPI library. Started by test_starts.py."""

from __future__ import annotations

import os

os.environ["MPI4PY_LIBMPI"] = "/nowhere/libmpi.so"

from reports import attempt, report

import qmpi

report("threads", by=0, returned=qmpi.run(lambda: qmpi.COMM_WORLD.rank, 2))
report("alloc", by=0, **attempt(lambda: qmpi.COMM_WORLD.alloc(1)))
