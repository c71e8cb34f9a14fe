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


def with_path(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


@WORLDS
def test_a_module_is_run_as_python_m_runs_it(world: list[str], tmp_path: Path) -> None:
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text("NAME = 'outer'\n")
    (package / "__main__.py").write_text("import sys\nsys.exit(5)\n")  # a package without __init__
    (package / "work.py").write_text(
        "import sys, qmpi\n"
        "from .. import NAME\n"
        "class Message:\n    pass\n"
        "assert all(type(other) is Message for other in qmpi.COMM_WORLD.mpi.allgather(Message()))\n"
        "assert sys.argv[0] == __file__\n"
        "sys.stdout.write(f'{qmpi.COMM_WORLD.rank} {NAME} {__name__} {__package__} {__spec__.name} {sys.argv[1:]}\\n')\n"
    )
    done = qmpi("run", *world, "-n", 2, "-m", "outer.inner.work", "-n", "7", "--x", **with_path(tmp_path))
    told = "outer __main__ outer.inner outer.inner.work ['-n', '7', '--x']"
    assert done.returncode == 0 and sorted(done.stdout.splitlines()) == [f"{rank} {told}" for rank in range(2)], done
    assert qmpi("run", *world, "-n", 2, "-m", "outer.inner", **with_path(tmp_path)).returncode == 5


@WORLDS
def test_pools_of_processes_get_what_the_program_defines(world: list[str]) -> None:
    done = qmpi("run", *world, "-n", 2, PROGRAMS / "pools.py")
    assert done.returncode == 0 and not done.stderr, done
    assert sorted(done.stdout.splitlines()) == ["rank 0: [0, 1, 2] 5", "rank 1: [100, 101, 102] 105"]


def test_lines_of_many_threads_come_whole_and_all_of_them() -> None:
    ranks, lines = 8, 3000
    done = qmpi("run", "--threads", "-n", ranks, PROGRAMS / "writes.py", lines)
    assert done.returncode == 0, done.stderr[-1000:]
    who = [f"{kind} {rank}" for kind in ("rank", "thread") for rank in range(ranks)]
    for text in (done.stdout, done.stderr):
        for rank in range(ranks):
            text = text.replace(f"bytes of {rank}|", "")
        for each in who:
            assert text.count(f"end of {each}|") == 1
            text = text.replace(f"end of {each}|", "")
        assert sorted(text.splitlines()) == sorted(f"line {k} of {each} {'ä' * 50}" for each in who for k in range(lines))
    assert all(f"bytes of {rank}|" in done.stdout for rank in range(ranks))


# --- errors ------------------------------------------------------------------------------------------------------------------------------


@WORLDS
def test_what_cannot_be_founded_is_one_line_with_one_place_and_names_nothing_of_ours(world: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import qmpi\ntry:\n    qmpi.COMM_WORLD.alloc()\nexcept qmpi.errors.FoundingError as error:\n    print(f'{error}\\n', end='')\n"
    )
    done = qmpi("run", *world, "-n", 2, "--order", "record:/nowhere/order", program)
    told = "the order of measurements cannot be recorded: [Errno 2] No such file or directory: '/nowhere/order'"
    if world:  # no rank has begun
        assert done.returncode == 1 and not done.stdout and done.stderr == f"qmpi: {told}\n", done
    else:
        expected = [f"rank 0: {told} [rank {rank}, Comm at {program}:3]" for rank in range(2)]
        assert done.returncode == 0 and sorted(done.stdout.splitlines()) == expected and not done.stderr, done


@WORLDS
def test_a_program_s_traceback_begins_in_the_program(world: list[str], tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("import qmpi\nqmpi.COMM_WORLD.barrier()\nif qmpi.COMM_WORLD.rank == 0:\n    1 / 0\n")
    for how in ([tmp_path / "wrong.py"], ["-m", "wrong"]):
        done = qmpi("run", *world, "-n", 2, *how, **with_path(tmp_path))
        assert done.returncode == 1 and "ZeroDivisionError" in done.stderr, done
        frames = [line for line in done.stderr.splitlines() if line.startswith("  File ") and "runpy" not in line]
        assert frames == [f'  File "{tmp_path / "wrong.py"}", line 4, in <module>'], done


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "ascii:strict"])
@WORLDS
def test_an_error_can_be_printed_whatever_the_terminal_s_letters(world: list[str], encoding: str, tmp_path: Path) -> None:
    program = tmp_path / "prögram ⟩.py"
    program.write_text((PROGRAMS / "errs.py").read_text())
    done = qmpi("run", *world, "-n", 2, program, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done
    assert done.stdout.isascii() and done.stderr.isascii() and "\\u27e9.py:" in done.stdout, done
    assert done.stdout.count("is done") == 2 and done.stderr.count("announced: \\u2026 \\xfc \\u27e9\n") == 2, done


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
