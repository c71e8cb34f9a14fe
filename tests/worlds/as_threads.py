"""Ranks as threads: one pytest, which runs each test on all ranks at once, in a universe of its own."""

from __future__ import annotations

import copy

import pytest

import qmpi
from tests.laws.lab import Lab
from tests.worlds.outside import world_of


@pytest.fixture
def comm() -> None:
    """Each rank gets its own, when the test is run."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Calls a law on every rank, with fixtures of its own where ranks must not share."""
    world = world_of(pyfuncitem)
    if world is None:
        return None
    shared = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    def on_rank() -> None:
        own = dict(shared)
        if "rng" in pyfuncitem.funcargs:
            own["rng"] = copy.deepcopy(pyfuncitem.funcargs["rng"])
        comm = qmpi.COMM_WORLD.dup()
        if "lab" in own:
            own["lab"] = Lab(comm, own["rng"])
        if "comm" in own:
            own["comm"] = comm
        pyfuncitem.obj(**{name: own[name] for name in shared})
        comm.close()
        qmpi.COMM_WORLD.mpi.Barrier()

    qmpi.run(on_rank, world.ranks)
    return True
