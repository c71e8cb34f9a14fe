"""How these tests start ranks: one program file, as threads, as processes that nothing launched, or under mpiexec.

Each way has a hard time-out, collects what the ranks report (programs/reports.py), and looks which files of this package stay behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmpi._core import Arena
from tests.worlds.launch import REPOSITORY, SEED, launcher

PROGRAMS = Path(__file__).resolve().parent / "programs"
RUN_PROGRAM = "import sys; from qmpi.world.program import run_program; sys.exit(run_program(sys.argv[2], sys.argv[3:], int(sys.argv[1])))"
SHARED_FOLDERS = (Path("/dev/shm"), Path("/tmp"))

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Job:
    """What came of a program.

    Attributes:
        codes: exit status of each process that was started, one for all ranks or one per rank; None where the time-out killed it.
        output: standard output and error, process by process.
        reports: what each rank reported, in the order in which it did.
        left_behind: files of ours that were not there before.
    """

    codes: list[int | None]
    output: str
    reports: dict[int, list[Facts]]
    left_behind: set[str]

    def __repr__(self) -> str:
        rows = [f"rank {rank}: {facts}" for rank, reports in sorted(self.reports.items()) for facts in reports]
        return "\n".join(["", f"exit status {self.codes}", *rows[-60:], *self.output.splitlines()[-60:]])

    def of(self, case: str) -> dict[int, Facts]:
        """What each rank reported of a case, all facts of a rank together."""
        mine = {rank: [facts for facts in reports if facts["case"] == case] for rank, reports in self.reports.items()}
        return {rank: {name: value for facts in rows for name, value in facts.items()} for rank, rows in mine.items() if rows}

    def require_clean_end(self, killed: int | None = None) -> None:
        """All processes have ended by themselves, but for a rank that was killed, and left nothing behind."""
        expected = [-signal.SIGKILL if rank == killed else 0 for rank in range(len(self.codes))]
        assert self.codes == expected and not self.left_behind, f"{self}\nleft behind: {self.left_behind}"


def start(
    world: str, ranks: int, program: str | Path, *arguments: str, timeout_s: float = 60, flags: Sequence[str] = (), **settings: str
) -> Job:
    """Runs a program of programs/ (or any, by its path) on ranks that are "threads", "processes" or "mpiexec", and waits for its end.

    In the world "none" it is one Python process that nothing has made a rank.

    Args:
        world: what the ranks are.
        ranks: how many.
        program: its path, relative to programs/.
        arguments: its command line.
        timeout_s: then all of it is killed.
        flags: of mpiexec.
        settings: environment variables.
    """
    before = files_of_ours()
    chosen = {"QMPI_SEED": SEED, "QMPI_STRICT": "1", "QMPI_TIMEOUT_S": "600", **settings}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QMPI_")}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as temporary:
        end = time.monotonic() + timeout_s
        processes: list[subprocess.Popen[bytes]] = []
        try:
            with commands(world, ranks, [str(PROGRAMS / program), *arguments], flags) as started:
                for number, (command, extra, descriptors) in enumerate(started):
                    with Path(folder, f"{number}.output").open("wb") as output:
                        processes.append(
                            subprocess.Popen(
                                command,
                                env={**inherited, **extra, **chosen, "REPORTS": folder, "TMPDIR": temporary},
                                cwd=REPOSITORY,
                                stdin=subprocess.DEVNULL,
                                stdout=output,
                                stderr=subprocess.STDOUT,
                                pass_fds=descriptors,
                                start_new_session=True,
                            )
                        )
                codes = [ended(process, end) for process in processes]
        finally:  # whole groups: a launcher's ranks, a rank's children
            for process in processes:
                kill_group(process)
        text = "".join(path.read_text(errors="replace") for path in sorted(Path(folder).glob("*.output")))
        reports = {int(path.stem): [json.loads(row) for row in path.read_text().splitlines()] for path in Path(folder).glob("*.reports")}
        left_behind = (files_of_ours() - before) | {path.name for path in Path(temporary).glob("*qmpi*")}
        return Job(codes, text, reports, left_behind)


Command = tuple[list[str], dict[str, str], tuple[int, ...]]


@contextmanager
def commands(world: str, ranks: int, program: list[str], flags: Sequence[str]) -> Iterator[list[Command]]:
    """What is to be started, with its environment and descriptors."""
    if world == "threads":
        yield [([sys.executable, "-c", RUN_PROGRAM, str(ranks), *program], {}, ())]
    elif world == "none":
        yield [([sys.executable, *program], {}, ())]
    elif world == "mpiexec":
        command = [launcher().command(ranks)[0], *flags, *launcher().command(ranks)[1:]]
        yield [([*command, sys.executable, *program], launcher().environment(), ())]
    else:
        assert world == "processes", world
        arena = Arena.create(ranks, int(SEED), faithful=False, single_precision=False, memory=1 << 30)
        place = [f"{rank} {ranks} {arena.descriptor}" for rank in range(ranks)]
        command = [sys.executable, "-m", "tests.unbreakable.rank", *program]
        yield [(command, {"PLACE": place[rank]}, (arena.descriptor,)) for rank in range(ranks)]


def ended(process: subprocess.Popen[bytes], end: float) -> int | None:
    """The exit status; None if it has not ended when the time has come."""
    try:
        return process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def files_of_ours() -> set[str]:
    return {str(path) for folder in SHARED_FOLDERS for path in folder.glob("*qmpi*") if not path.is_dir()}
