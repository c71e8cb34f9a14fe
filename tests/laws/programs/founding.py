"""Foundings that must fail, and on every rank: each prints `rank N: <error>: <message>`. Started by tests/test_founding.py."""

from __future__ import annotations

import os
import sys

from mpi4py import MPI

world = MPI.COMM_WORLD
case = sys.argv[1]

if "=" in case:  # NAME=VALUE on the last rank only
    name, _, value = case.partition("=")
    if world.rank == world.size - 1:
        os.environ[name] = value

import qmpi  # noqa: E402  (after the environment is set)

try:
    if case == "halves":  # two universes, then the world
        qmpi.Comm(world.Split(world.rank % 2))
    elif case == "one":  # a universe on one rank, then the world
        if world.rank == 0:
            qmpi.Comm(MPI.COMM_SELF)
    elif case == "inner":  # one rank outside, then the world
        part = world.Split(0 if world.rank < world.size - 1 else MPI.UNDEFINED)
        if part != MPI.COMM_NULL:
            qmpi.Comm(part)
    qmpi.COMM_WORLD.alloc(1)
    outcome = "none: founded"
except qmpi.QMPIError as error:
    outcome = f"{type(error).__name__}: {error}"
for rank in range(world.size):
    world.Barrier()
    if rank == world.rank:
        print(f"rank {world.rank}: {outcome}", flush=True)
    world.Barrier()
