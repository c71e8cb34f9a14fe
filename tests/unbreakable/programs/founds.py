"""Founds a universe under limits: `founds.py [NAME=VALUE@RANK…]` sets a resource limit, or an environment variable, on one rank or (no @)
on all, before anything is imported. Each rank reports what came of it. Started by test_starts.py."""

from __future__ import annotations

import os
import resource
import sys

from mpi4py import MPI

for setting in sys.argv[1:]:
    name, _, rest = setting.partition("=")
    value, _, only = rest.partition("@")
    if only not in ("", str(MPI.COMM_WORLD.rank)):
        continue
    if name.startswith("RLIMIT_"):
        resource.setrlimit(getattr(resource, name), (int(value), resource.RLIM_INFINITY))
    else:
        os.environ[name] = value

from reports import attempt, report  # noqa: E402  (after the limits hold)

import qmpi  # noqa: E402

outcome = attempt(lambda: qmpi.COMM_WORLD.barrier())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
report("founding", by=MPI.COMM_WORLD.rank, **outcome)
