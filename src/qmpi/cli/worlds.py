"""Which worlds work here: two ranks are really started, by commands of their own and under a time-out, so that an MPI that is broken can
neither hang nor kill who asks. What it found is a few words for people; how they are shown is not known here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .launcher import Launcher, find
from .started import started

_HELLO = str(Path(__file__).with_name("hello.py"))
_TIMEOUT_S = 30
_PATIENCE_S = 2  # until the wait is shown
_NOT_INHERITED = ("QMPI_LOG", "QMPI_ORDER")  # of two ranks that are none of the user's
_OPEN_MPI = "Open MPI"
_REASON = re.compile(r"^(?:\w+Error|qmpi\.errors\.\w+): (.*)$", re.MULTILINE)

Waiting = Callable[[str], AbstractContextManager[object]]
"""Shows what is waited for."""


@dataclass(frozen=True, slots=True)
class World:
    """Whether ranks can be started.

    Attributes:
        works: two ranks have found each other and shared an EPR pair.
        verdict: what works, or what is wrong and what to do.
    """

    works: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class Library:
    """The MPI library that mpi4py loads.

    Attributes:
        mpi4py: its version; None if it is not installed.
        name: as `MPICH 5.0.2`; None if none is loaded.
        path: where it lies, if that is known.
        problem: why none is loaded.
    """

    mpi4py: str | None
    name: str | None = None
    path: str | None = None
    problem: str = ""


def library(waiting: Waiting) -> Library:
    """Looks for the MPI library."""
    try:
        mpi4py = version("mpi4py")
    except PackageNotFoundError:
        return Library(None, problem="mpi4py is not installed: pip install 'qmpi[mpich]'")
    name = _run([sys.executable, "-m", "mpi4py", "--mpi-lib-version"], waiting, "the MPI library")
    if name.code != 0 or not name.output.strip():
        return Library(mpi4py, problem=f"mpi4py loads no MPI library ({name.reason}): pip install 'qmpi[mpich]'")
    path = _run([sys.executable, "-m", "mpi4py", "--mpi-library"], waiting, "the MPI library's path")
    return Library(mpi4py, _short(name.output), path.output.strip() or None)


def processes(loaded: Library, launcher: str | Launcher, waiting: Waiting) -> World:
    """Starts two ranks as processes.

    Args:
        loaded: the MPI library.
        launcher: what starts them, or why there is none.
        waiting: shows what is waited for.
    """
    if loaded.name is None:
        return World(False, loaded.problem)
    if isinstance(launcher, str):
        return World(False, launcher)
    done = _run([*launcher.command(2), sys.executable, _HELLO], waiting, f"two ranks under {launcher.path}", launcher.environment())
    if done.code == 0 and "together" in done.output:
        return World(True, f"works ({loaded.name})")
    if "alone" in done.output or (launcher.family == _OPEN_MPI) != loaded.name.startswith(_OPEN_MPI):
        return World(
            False,
            f"launcher and library do not fit together: {launcher.path} is of {launcher}, mpi4py loads {loaded.name} ({loaded.path}); "
            "take the mpiexec that belongs to it (--launcher PATH), or pip install 'qmpi[mpich]' in an environment of its own",
        )
    return World(False, f"two ranks under {launcher.path} do not come together: {done.reason}")


def threads(waiting: Waiting) -> World:
    """Starts two ranks as threads of one process."""
    done = _run([sys.executable, "-m", "qmpi", "run", "--threads", "-n", "2", _HELLO], waiting, "two ranks as threads")
    if done.code == 0 and "together" in done.output:
        return World(True, "works")
    return World(False, f"two ranks do not come together: {done.reason}")


def find_launcher(name: str) -> Launcher | str:
    """The launcher of that name, or why there is none."""
    try:
        return find(name)
    except FileNotFoundError as error:
        return str(error)


def _short(told: str) -> str:
    """`MPICH 5.0.2` or `Open MPI 5.0.11`, from what a library tells of itself."""
    first = told.strip().splitlines()[0].partition(",")[0]
    return re.sub(r"\s*(?:Version:\s*|\bv(?=\d))", " ", first).strip()


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a command; `code` is None if it did not end by itself."""

    code: int | None
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """Why it failed: its last error, else its last words."""
        if reasons := _REASON.findall(self.errors):
            return str(reasons[-1])
        lines = [line.strip() for line in (self.output + "\n" + self.errors).splitlines() if any(map(str.isalpha, line))]
        return next((line for line in lines if "rror" in line), lines[-1] if lines else f"exit status {self.code}")


def _run(command: Sequence[str], waiting: Waiting, what: str, extra: dict[str, str] | None = None) -> _Done:
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED} | (extra or {})
    try:
        with started(command, environment, subprocess.PIPE) as process:
            return _Done(*_wait(process, waiting, what))
    except subprocess.TimeoutExpired:
        return _Done(None, "", f"nothing has come after {_TIMEOUT_S} s")


def _wait(process: subprocess.Popen[str], waiting: Waiting, what: str) -> tuple[int, str, str]:
    try:
        output, errors = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        with waiting(f"waiting for {what}"):
            output, errors = process.communicate(timeout=_TIMEOUT_S - _PATIENCE_S)
    return process.returncode, output, errors
