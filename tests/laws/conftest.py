"""Laws that hold on any number of ranks, in every world.

Each has a communicator of its own; a communicator that still owes something at the end is a failure (QMPI_STRICT=1).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import qmpi
from tests.laws.lab import Lab
from tests.worlds import EVERY_LAW_ONCE, THOROUGH, World, worlds
from tests.worlds.inside import Serving
from tests.worlds.launch import DEFAULTS
from tests.worlds.outside import Hosts, world_of

TIMEOUT_S = 60
MODE = os.environ.get("QMPI_MODE") or "fast"
NOWHERE = "nowhere"
hosts = pytest.StashKey[Hosts]()
wanted = pytest.StashKey[list[World]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ranks(min_size): only on so many ranks")
    config.addinivalue_line("markers", "modes(*names): only where QMPI_MODE is one of these")
    config.addinivalue_line("markers", "also_in(*worlds): with --thorough, in these worlds too")
    config.addinivalue_line(
        "markers", "processes(decision): only where ranks are processes, for the reason that this page of docs/decisions gives"
    )
    config.stash[wanted] = worlds_of(config)
    if not in_world(config):
        config.stash[hosts] = Hosts()
        config.pluginmanager.register(config.stash[hosts])
        return
    for name, value in DEFAULTS.items():  # read when the first communicator is wrapped
        os.environ.setdefault(name, value)
    (world,) = config.stash[wanted]
    if world.kind == "threads":
        from tests.worlds import as_threads as fixtures
    else:
        from tests.worlds import as_processes as fixtures  # type: ignore[no-redef]
    config.pluginmanager.register(fixtures)
    if address := config.getoption("--serve"):
        config.pluginmanager.register(Serving(config, address, qmpi.COMM_WORLD.rank if world.kind == "mpi" else 0))
    elif world.kind == "mpi":
        from tests.worlds import together

        config.pluginmanager.register(together)


def in_world(config: pytest.Config) -> bool:
    """Whether this process is (one of) the ranks, instead of asking others to be."""
    return bool(config.getoption("--with-mpi") or config.getoption("--here") or config.getoption("--serve"))


def worlds_of(config: pytest.Config) -> list[World]:
    try:
        named = [World.parse(text) for text in config.getoption("--world")]
    except ValueError as error:
        raise pytest.UsageError(f"--world: {error}") from None
    if config.getoption("--with-mpi"):
        return [World("mpi", qmpi.COMM_WORLD.size, (MODE,))]
    if config.getoption("--here") and [world.kind for world in named] != ["threads"]:
        raise pytest.UsageError("--here needs one --world threads:RANKS; for processes: mpiexec -n RANKS python -m pytest --with-mpi")
    if config.getoption("--here"):
        os.environ.update(named[0].environment())
    return named or EVERY_LAW_ONCE


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A law for each world in which it can be tested."""
    config, law = metafunc.config, metafunc.definition
    more: list[World] = []
    if config.getoption("--thorough") and not config.getoption("--world"):
        more = THOROUGH + worlds(*(text for mark in law.iter_markers("also_in") for text in mark.args))

    def holds(world: World) -> bool:
        sizes = [mark.kwargs.get("min_size", 1) for mark in law.iter_markers("ranks")]
        modes = [mark.args for mark in law.iter_markers("modes")]
        elsewhere = world.kind == "threads" and law.get_closest_marker("processes")
        return max(sizes, default=1) <= world.ranks and all(world.mode in names for names in modes) and not elsewhere

    values = [world for world in config.stash[wanted] if holds(world)]
    values += [pytest.param(world, marks=pytest.mark.thorough) for world in more if holds(world)]
    metafunc.parametrize("world", values or [NOWHERE], ids=str, scope="session", indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What holds in none of the worlds is left to others."""
    dropped = [item for item in items if hasattr(item, "callspec") and item.callspec.params.get("world") == NOWHERE]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


@pytest.fixture(scope="session", autouse=True)
def world(request: pytest.FixtureRequest) -> World:
    """Where the law is tested."""
    return request.param


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if world_of(item) is None or in_world(item.config):
        return None
    mark = item.get_closest_marker("timeout")
    item.config.stash[hosts].perform(item, nextitem, mark.args[0] if mark else TIMEOUT_S)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item) -> bool | None:
    """A law's time is kept by who has it performed."""
    return None if world_of(item) is None or in_world(item.config) else True


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers on every rank; each mode has numbers of its own."""
    return np.random.default_rng([2105, 1109, int(MODE == "faithful")])


@pytest.fixture
def lab(comm: qmpi.Comm, rng: np.random.Generator) -> Lab:
    return Lab(comm, rng)


@pytest.fixture
def faithful() -> bool:
    return MODE == "faithful"
