"""Ranks under a launcher that somebody has called by hand: they fail together.

A rank whose test fails prints its report and aborts the job, so that no other rank waits for it for ever. Ranks other than 0 print
failures only.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
import traceback

import pytest
from mpi4py import MPI

FORWARD_S = 0.2  # for the launcher to forward what was printed; after Abort it drops the rest
GRACE_S = 1.0  # between showing where a rank hangs and ending the job, so that all ranks can show it
terminal = 2  # standard error, wherever the tests' own is captured to; set when the session starts
timer = pytest.StashKey[threading.Timer]()


def abort(text: str) -> None:
    """Prints why, with the rank first, and ends all ranks."""
    lines = text.splitlines() or [""]
    os.write(terminal, "".join(f"[rank {MPI.COMM_WORLD.rank}] {line}\n" for line in lines).encode())
    time.sleep(FORWARD_S)
    MPI.COMM_WORLD.Abort(1)


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
