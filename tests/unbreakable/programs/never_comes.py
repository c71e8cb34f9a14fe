"""Its last rank ends and never comes to where the others make a communicator: `never_comes.py HOW CALL`. Each other rank makes the call
and reports what came of it. Started by test_starts.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from mpi4py import MPI
from reports import attempt, report, signals

import qmpi

comm = qmpi.COMM_WORLD
how, call = sys.argv[1:]

CALLS: dict[str, Callable[[], Any]] = {
    "prepare_epr": lambda: comm.prepare_epr(comm.alloc(), 1 - comm.rank),
    "barrier": lambda: comm.barrier(),
    "dup": lambda: comm.dup(),
    "split": lambda: comm.split(0),
    "Comm": lambda: qmpi.Comm(comm.mpi),
}

if call in ("dup", "split", "Comm"):
    comm.barrier()
if how == "sleeps":
    if comm.rank == 0:
        signals(("INT", 1.0))
        CALLS[call]()
    time.sleep(60)
rank = MPI.COMM_WORLD.rank if how == "knows only mpi4py" else comm.rank
if rank < MPI.COMM_WORLD.size - 1:
    if how == "is not forgiven":
        CALLS[call]()
    report("without it", **attempt(CALLS[call]))
    report("again", **attempt(CALLS[call]))
elif how == "calls sys.exit":
    sys.exit(0)
elif how == "finalises MPI":
    MPI.Finalize()
