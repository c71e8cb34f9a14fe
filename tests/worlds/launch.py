"""How a test starts ranks: one launcher call, a hard time-out. Knows nothing of what the ranks run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qmpi.cli.launcher import find

TESTS = Path(__file__).resolve().parents[1]
REPOSITORY = TESTS.parent
PROGRAMS = TESTS / "laws" / "programs"
SEED = "20210501"
DEFAULTS = {"QMPI_SEED": SEED, "QMPI_STRICT": "1"}  # of every run that does not choose its own; printed with each


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a launcher call.

    Attributes:
        code: exit status; None if the time-out killed it.
        output: standard output and error, in the order they came.
        command: what was run, with its settings, to run it again.
    """

    code: int | None
    output: str
    command: str

    def tail(self, lines: int = 120) -> str:
        return f"$ {self.command}\n(exit status {self.code})\n" + "\n".join(self.output.splitlines()[-lines:])


launcher = cache(find)


def launch(ranks: int, arguments: Sequence[str], settings: Mapping[str, str] | None = None, timeout_s: float = 120) -> Run:
    """Runs `python *arguments` on so many ranks."""
    command = [*launcher().command(ranks), sys.executable, *arguments]
    return start(command, launcher().environment() | DEFAULTS | dict(settings or {}), timeout_s)


def start(command: Sequence[str], settings: Mapping[str, str], timeout_s: float = 120, folder: Path = REPOSITORY) -> Run:
    """Runs a command in a process group of its own that is killed as a whole when it takes too long. No other QMPI_ settings hold."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QMPI_")} | dict(settings)
    shown = " ".join([*(f"{name}={value}" for name, value in settings.items()), *command])
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    code: int | None
    try:
        output, _ = process.communicate(timeout=timeout_s)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nkilled after {timeout_s:g} s"
        code = None
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return Run(code, output, shown)
