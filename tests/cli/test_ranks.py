"""`qmpi run` with real ranks, as processes and as threads: arguments, exit status, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.terminal import BOUND_S, foreground_job, qmpi, wait_for_the_end_of

PROGRAMS = Path(__file__).parent / "programs"
WORLDS = pytest.mark.parametrize("world", [[], ["--threads"]], ids=["processes", "threads"])


@WORLDS
def test_arguments_reach_every_rank(world: list[str]) -> None:
    arguments = ["0", "-n", "--seed", "a b", "--"]
    done = qmpi("run", *world, "-n", 3, PROGRAMS / "ends.py", *arguments)
    assert done.returncode == 0, done
    assert sorted(done.stdout.splitlines()) == [f"rank {rank} of 3: {arguments}" for rank in range(3)]


@WORLDS
def test_the_exit_status_is_the_program_s(world: list[str]) -> None:
    assert qmpi("run", *world, "-n", 2, PROGRAMS / "ends.py", 3).returncode == 3


@WORLDS
def test_an_example_runs(world: list[str]) -> None:
    done = qmpi("run", *world, "-n", 4, "--mode", "faithful", "examples/first_pair.py")
    assert done.returncode == 0 and "equal, as they always are" in done.stdout, done


def test_a_seed_gives_the_same_outcomes_in_both_worlds() -> None:
    processes, threads = (qmpi("run", *world, "-n", 2, "--seed", 11, "examples/first_pair.py").stdout for world in ([], ["--threads"]))
    assert processes and processes == threads


# --- Ctrl-C -------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def waiting_ranks(world: list[str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """`qmpi run` in a group of its own, as a terminal's foreground job is, and the processes of its two ranks, which wait."""
    command = [sys.executable, "-m", "qmpi", "run", *world, "-n", "2", str(PROGRAMS / "waits.py"), str(folder)]
    job = foreground_job(command)
    try:
        yield job, [number(job, folder / rank) for rank in "01"]
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.communicate()


def number(job: subprocess.Popen[str], file: Path) -> int:
    deadline = time.monotonic() + BOUND_S
    while not (file.exists() and file.read_text()):
        assert job.poll() is None and time.monotonic() < deadline, job.communicate()[0]
        time.sleep(0.02)
    return int(file.read_text())


@WORLDS
@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "kill -INT"])
def test_ctrl_c_ends_all_ranks_without_a_traceback_of_ours(world: list[str], whole_group: bool, tmp_path: Path) -> None:
    with waiting_ranks(world, tmp_path) as (job, ranks):
        (os.killpg if whole_group else os.kill)(job.pid, signal.SIGINT)
        output, _ = job.communicate(timeout=BOUND_S)
        assert job.returncode not in (0, None)
        assert "Traceback" not in output, output
        for rank in ranks:
            wait_for_the_end_of(rank)


def test_ctrl_c_ends_threads_with_the_status_that_a_shell_knows(tmp_path: Path) -> None:
    with waiting_ranks(["--threads"], tmp_path) as (job, _):
        os.killpg(job.pid, signal.SIGINT)
        output, _ = job.communicate(timeout=BOUND_S)
        assert job.returncode == 130 and "Traceback" not in output, output


def test_nothing_of_ours_stands_between_the_terminal_and_the_launcher(tmp_path: Path) -> None:
    with waiting_ranks([], tmp_path) as (job, _):
        assert "mpi" in Path(f"/proc/{job.pid}/exe").resolve().name or "prte" in Path(f"/proc/{job.pid}/exe").resolve().name
        assert "qmpi" not in Path(f"/proc/{job.pid}/cmdline").read_text().split("\0")[:3]
