"""All ranks run the same tests in the same order, and fail together.

A rank whose test fails prints its report and aborts the job, so that no other rank waits for it for ever. Ranks other than 0 print
failures only. Each test has a communicator of its own; a communicator that still owes something at the end is a failure (QMPI_STRICT=1).
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
import traceback
from collections.abc import Iterator

import numpy as np
import pytest
from mpi4py import MPI

import qmpi
from tests.mpi.lab import Lab
from tests.mpi.launch import SEED

# Read when the first communicator is wrapped; test_under_mpiexec.py sets the same and more.
os.environ.setdefault("QMPI_STRICT", "1")
os.environ.setdefault("QMPI_SEED", SEED)

TIMEOUT_S = 60
terminal = 2  # standard error, wherever the tests' own is captured to; set when the session starts
FORWARD_S = 0.2  # for the launcher to forward what was printed; after Abort it drops the rest
GRACE_S = 1.0  # between showing where a rank hangs and ending the job, so that all ranks can show it
MODE = os.environ.get("QMPI_MODE") or "fast"


def abort(text: str) -> None:
    """Prints why, with the rank first, and ends all ranks."""
    lines = text.splitlines() or [""]
    os.write(terminal, "".join(f"[rank {MPI.COMM_WORLD.rank}] {line}\n" for line in lines).encode())
    time.sleep(FORWARD_S)
    MPI.COMM_WORLD.Abort(1)


# --- which tests ------------------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "modes(*names): only where QMPI_MODE is one of these")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what this job cannot run; the other jobs of test_under_mpiexec.py do."""

    def runs(item: pytest.Item) -> bool:
        sizes = [mark.kwargs.get("min_size", 1) for mark in item.iter_markers("mpi")]
        modes = [mark.args for mark in item.iter_markers("modes")]
        return max(sizes, default=1) <= MPI.COMM_WORLD.size and all(MODE in names for names in modes)

    here = os.path.dirname(__file__)
    mine = [item for item in items if str(item.path).startswith(here)]
    for item in mine:
        item.add_marker(pytest.mark.timeout(TIMEOUT_S, method="thread"))
    dropped = [item for item in mine if not runs(item)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


timer = pytest.StashKey[threading.Timer]()

# --- together or not at all --------------------------------------------------------------------------------------------------------


def pytest_sessionstart(session: pytest.Session) -> None:
    global terminal
    terminal = os.dup(2)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if MPI.COMM_WORLD.rank == 0:
        settings = {name: value for name, value in os.environ.items() if name.startswith("QMPI_")}
        print(f"ranks: {MPI.COMM_WORLD.size}, settings: {settings}")
    elif reporter is not None:
        reporter._tw._file = open(os.devnull, "w")  # noqa: SIM115  (lives as long as the process)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: object) -> bool:
    """Instead of pytest-timeout's own: every rank shows where it is (even if it holds the GIL), then one ends the job."""
    seconds = float(settings.timeout)  # type: ignore[attr-defined]

    def end() -> None:
        os.write(terminal, f"[rank {MPI.COMM_WORLD.rank}] Timeout: {item.nodeid} took longer than {seconds:g} s\n".encode())
        time.sleep(FORWARD_S)
        MPI.COMM_WORLD.Abort(1)

    faulthandler.dump_traceback_later(seconds, file=terminal)
    item.stash[timer] = threading.Timer(seconds + GRACE_S, end)
    item.stash[timer].daemon = True
    item.stash[timer].start()
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    faulthandler.cancel_dump_traceback_later()
    item.stash[timer].cancel()
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        abort(f"{report.nodeid}, {report.when}\n{report.longreprtext}\n" + "\n".join(text for _, text in report.sections))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        abort(f"{report.nodeid}, collection\n{report.longreprtext}")


def pytest_internalerror(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    abort("".join(traceback.format_exception(excinfo.value)))


def pytest_keyboard_interrupt() -> None:
    abort("interrupted")


# --- what tests get ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def comm() -> Iterator[qmpi.Comm]:
    """A communicator of all ranks; owes nothing when it is closed."""
    comm = qmpi.COMM_WORLD.dup()
    yield comm
    comm.close()
    comm.mpi.Barrier()
    comm.mpi.Free()


@pytest.fixture(params=range(2), ids=lambda seed: f"seed{seed}")
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """The same numbers on every rank."""
    return np.random.default_rng([2105, 1109, request.param])


@pytest.fixture
def lab(comm: qmpi.Comm, rng: np.random.Generator) -> Lab:
    return Lab(comm, rng)


@pytest.fixture
def faithful() -> bool:
    return MODE == "faithful"
