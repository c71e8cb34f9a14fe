"""Laws that hold on any number of ranks, in both worlds: under a launcher (--with-mpi), or on threads of one pytest (--threads N).

Each test has a communicator of its own; a communicator that still owes something at the end is a failure (QMPI_STRICT=1).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import qmpi
from tests.mpi.lab import Lab
from tests.mpi.launch import SEED

# Read when the first communicator is wrapped; test_in_both_worlds.py sets the same and more.
os.environ.setdefault("QMPI_STRICT", "1")
os.environ.setdefault("QMPI_SEED", SEED)

TIMEOUT_S = 60
MODE = os.environ.get("QMPI_MODE") or "fast"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ranks(min_size): only on so many ranks")
    config.addinivalue_line("markers", "modes(*names): only where QMPI_MODE is one of these")
    config.addinivalue_line(
        "markers", "processes(decision): only where ranks are processes, for the reason that this page of docs/decisions gives"
    )
    if threads(config):
        from tests.mpi import as_threads as world
    else:
        from tests.mpi import as_processes as world  # type: ignore[no-redef]
    config.pluginmanager.register(world)


def threads(config: pytest.Config) -> int:
    return int(config.getoption("--threads"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what this job cannot run; the other jobs of test_in_both_worlds.py do."""
    size = threads(config) or qmpi.COMM_WORLD.size

    def runs(item: pytest.Item) -> bool:
        sizes = [mark.kwargs.get("min_size", 1) for mark in item.iter_markers("ranks")]
        modes = [mark.args for mark in item.iter_markers("modes")]
        elsewhere = threads(config) and item.get_closest_marker("processes")
        return max(sizes, default=1) <= size and all(MODE in names for names in modes) and not elsewhere

    here = os.path.dirname(__file__)
    mine = [item for item in items if str(item.path).startswith(here)]
    for item in mine:
        item.add_marker(pytest.mark.timeout(TIMEOUT_S, method="thread"))
    dropped = [item for item in mine if not runs(item)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


@pytest.fixture(params=[int(MODE == "faithful")], ids=lambda seed: f"seed{seed}")  # so that each mode has numbers of its own
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """The same numbers on every rank."""
    return np.random.default_rng([2105, 1109, request.param])


@pytest.fixture
def lab(comm: qmpi.Comm, rng: np.random.Generator) -> Lab:
    return Lab(comm, rng)


@pytest.fixture
def faithful() -> bool:
    return MODE == "faithful"
