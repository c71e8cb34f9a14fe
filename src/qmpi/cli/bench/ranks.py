"""How the ranks of a benchmark are started, listened to and ended: one command each, of which nothing is left behind.

Knows the launchers and not what the ranks run, except that one of them prints JSON objects, each on a line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer
from typing import IO, Any

from .. import worlds
from ..launcher import Launcher, find
from ..started import end, started

_SUITE = str(Path(__file__).with_name("suite.py"))
_NOT_INHERITED = ("QMPI_LOG", "QMPI_ORDER", "QMPI_TIMEOUT_S")  # what would be timed, too, or takes a long run for a hang
_OWN_THREADS = {"OMP_NUM_THREADS": "1"}  # of NumPy, which has nothing to do but waits in loops
_REASON = re.compile(r"^(?:\w+Error|qmpi\.errors\.\w+): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class World:
    """What ranks are here.

    Attributes:
        launcher: what starts them as processes; None where they are threads.
        library: the MPI library, as `MPICH 5.0.2`; None where they are threads.
        reason: why they are threads though nobody asked for that; empty otherwise.
    """

    launcher: Launcher | None = None
    library: str | None = None
    reason: str = ""

    @property
    def kind(self) -> str:
        """`processes` or `threads`."""
        return "threads" if self.launcher is None else "processes"

    def command(self, ranks: int, argument: object) -> list[str]:
        """The command that runs the suite on so many ranks."""
        if self.launcher is None:
            start = [sys.executable, "-m", "qmpi", "run", "--threads", "-n", str(ranks)]
        else:  # Open MPI would bind a rank to one core, and with it all of the rank's threads
            unbound = ["--bind-to", "none"] if self.launcher.family == "Open MPI" else []
            start = [*self.launcher.command(ranks), *unbound, sys.executable]
        return [*start, _SUITE, json.dumps(argument)]

    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        return inherited | _OWN_THREADS | ({} if self.launcher is None else self.launcher.environment())


def choose(threads: bool, launcher: str, waiting: worlds.Waiting) -> World:
    """Processes where there is an MPI, else threads.

    Args:
        threads: whether threads are wanted in any case.
        launcher: `auto`, a program on PATH or a path; with anything but `auto`, processes are wanted in any case.
        waiting: shows what is waited for.

    Raises:
        FileNotFoundError: what is wanted in any case is not there.
    """
    if threads:
        return World()
    try:
        found = find(launcher)
        library = worlds.library(waiting)
        if library.name is None:
            raise FileNotFoundError(library.problem)
    except FileNotFoundError as error:
        if launcher != "auto":
            raise
        return World(reason=str(error))
    return World(found, library.name)


def run(command: Sequence[str], environment: Mapping[str, str], limit_s: float, hear: Callable[[dict[str, Any]], None]) -> None:
    """Runs a command to its end, whatever happens.

    Args:
        command: what is run.
        environment: the variables it sees.
        limit_s: seconds after which it is ended.
        hear: called with each JSON object it prints, at once.

    Raises:
        TimeoutError: it took longer than `limit_s`.
        RuntimeError: it failed; the text says why, in its own words.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        late = Event()
        with started(command, environment, errors) as process:

            def give_up() -> None:
                late.set()
                end(process)

            timer = Timer(limit_s, give_up)
            try:
                timer.start()
                _listen(process.stdout, hear)
                process.wait()
            finally:
                timer.cancel()
        if late.is_set():
            raise TimeoutError(f"not done after {limit_s:g} s (--limit-s)")
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(_reason(errors.read(), process.returncode))


def _listen(output: IO[str] | None, hear: Callable[[dict[str, Any]], None]) -> None:
    assert output is not None
    with output:
        for line in output:
            if line.startswith("{"):  # MPI libraries talk, too
                hear(json.loads(line))


def _reason(errors: str, code: int) -> str:
    """The first error, which is why the other ranks have theirs; else the last words."""
    if found := _REASON.search(errors):
        return re.sub(r" \[[^\[\]]* at [^\[\]]*\]$", "", found[1])  # the place is one in the suite
    words = [line.strip() for line in errors.splitlines() if any(map(str.isalpha, line))]
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return words[-1] if words else f"exit status {code}"
