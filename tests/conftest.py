"""What holds for all tests: how many of them are run, and where.

`python -m pytest` runs every law of tests/laws in some worlds (tests/worlds), and all else; `--thorough` in all worlds, with every seed.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

MOST_WORKERS = 8

for profile, examples in (("few", 60), ("thorough", 150)):
    settings.register_profile(profile, deadline=None, print_blob=True, max_examples=examples)  # no test asserts a time


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup(
        "qmpi", "ranks (and --with-mpi: on the ranks of the launcher that started this, `mpiexec -n 3 python -m pytest`)"
    )
    group.addoption(
        "--world",
        action="append",
        default=[],
        metavar="WORLD",
        help="test the laws of tests/laws there, as threads:3, mpi:4:faithful or mpi:3:faithful:complex64 (may be repeated)",
    )
    group.addoption("--here", action="store_true", help="in this very process, with --world threads:RANKS: for debuggers")
    group.addoption("--thorough", action="store_true", help="every world, seed and program; half an hour")
    group.addoption("--serve", metavar="SOCKET", help="as a process of a world: run what is asked for there (tests/worlds/inside.py)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: only with --thorough")
    settings.load_profile("thorough" if config.getoption("--thorough") else "few")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--thorough") or config.getoption("--serve"):
        return
    dropped = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One test, ranks, and what a debugger looks at run in this very process."""
    alone = config.getoption("keyword") or any("::" in argument for argument in config.args)
    in_world = config.getoption("--with-mpi") or config.getoption("--here")
    return 0 if alone or in_world else min(len(os.sched_getaffinity(0)), MOST_WORKERS)


class Schedule(LoadScopeScheduling):
    """A world's laws come to one worker, and so do the tests of any other file."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, name = nodeid.partition("::")
        world = re.search(r"\[((threads|mpi):[^-\]]+)", name)
        return world[1] if world else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Schedule:
    return Schedule(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What was not tested does not hold."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
