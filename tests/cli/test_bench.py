"""`qmpi bench`: what it measures in both worlds and where it writes it, what it refuses, and that nothing is left of what it started."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmpi.cli.bench import workloads
from qmpi.cli.bench.command import WORKLOADS
from qmpi.cli.bench.points import Point, numbers, points, refuse_too_large
from qmpi.cli.bench.report import Run, gains, seconds, series
from qmpi.cli.launcher import find
from tests.cli.terminal import BOUND_S, REPOSITORY, bare_python, environment, foreground_job, qmpi, wait_for_the_end_of, write_launcher

QUICK = ["--qubits", 8, "--rounds", 1]
ENDLESS = 10**9  # rounds


def measured(file: Path, *arguments: object, **options: Any) -> dict[str, Any]:
    """What is in the JSON of a benchmark that succeeds."""
    done = qmpi("bench", "--json", file, *arguments, **options)
    assert done.returncode == 0, done
    assert f"written: {file}" in done.stdout
    found: dict[str, Any] = json.loads(file.read_text())
    return found


# --- what is measured -----------------------------------------------------------------------------------------------------------------


def test_every_workload_is_measured_on_every_register_and_number_of_ranks_and_drawn(tmp_path: Path) -> None:
    plots = tmp_path / "new" / "plots"
    arguments = ["-n", "1,2", "--qubits", 8, "--rounds", 2, "--scaling", "both", "--dtype", "complex64", "--plot", plots]
    found = measured(tmp_path / "results.json", *arguments)
    assert [(run["qubits"], run["ranks"]) for run in found["runs"]] == [(8, 1), (8, 2), (9, 2)]
    assert (found["world"], found["dtype"], found["rounds"]) == ("processes", "complex64", 2)
    assert {"processor", "cores", "memory_bytes", "instruction_set", "qmpi", "python", "numpy"} <= found["machine"].keys()
    assert found["machine"]["launcher"] == str(find())
    for run in found["runs"]:
        assert tuple(run["workloads"]) == WORKLOADS and run["first_touch_s"] > 0 and run["nodes"] == 1
        for name, result in run["workloads"].items():
            assert result["median_s"] > 0
            assert name == "gates" or (len(result["rounds_s"]) == 2 and result["first_s"] > 0 and result["sent_bytes"] == 0)
        assert result["each_s"].keys() == workloads.single_gates(8).keys()
    assert {file.name for file in plots.iterdir()} == {"time.png", "strong.png", "weak.png"}
    assert all(file.read_bytes().startswith(b"\x89PNG\r\n") and file.stat().st_size > 10_000 for file in plots.iterdir())


def test_several_numbers_of_ranks_have_equally_many_threads_each(tmp_path: Path) -> None:
    one, two = measured(tmp_path / "x.json", "--threads", "-n", "1,2", "--workloads", "qft", *QUICK)["runs"]
    assert one["threads_per_rank"] == two["threads_per_rank"] == max(1, len(os.sched_getaffinity(0)) // 2)


def test_what_nodes_send_is_counted(tmp_path: Path) -> None:
    found = measured(tmp_path / "x.json", "-n", 2, "--ranks-per-node", 1, "--workloads", "brick,measure", "--num-threads", 3, *QUICK)
    (run,) = found["runs"]
    assert run["nodes"] == 2 and run["threads_per_rank"] == 3 and list(run["workloads"]) == ["brick", "measure"]
    half_of_a_share = 16 * 2**8 // 2 // 2
    assert run["workloads"]["brick"]["sent_bytes"] >= half_of_a_share and run["workloads"]["brick"]["sent_bytes"] % half_of_a_share == 0


def test_without_an_mpi_ranks_are_threads_and_the_report_says_why(tmp_path: Path) -> None:
    python, settings = bare_python(tmp_path)
    done = qmpi("bench", "-n", 3, "--workloads", "qft,sample", *QUICK, python=python, **settings)
    assert done.returncode == 0 and not done.stderr, done
    assert "Ranks are threads: there is no mpiexec" in done.stdout and "3 ranks (threads) × " in done.stdout


def test_what_is_no_terminal_gets_plain_columns() -> None:
    done = qmpi("bench", "--threads", "-n", 2, "--workloads", "qft,gates", *QUICK)
    assert done.returncode == 0 and not done.stderr and "\x1b" not in done.stdout and "─" not in done.stdout, done
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["qubits", "touch", "qft", "gates"] in rows and ["gate", "low", "middle", "top"] in rows
    assert sum(row[:1] == ["unitary"] for row in rows) == 1 and "Ranks are threads" not in done.stdout


# --- what is refused --------------------------------------------------------------------------------------------------------------------


def assert_refused(done: subprocess.CompletedProcess[str], message: str, status: int = 2) -> None:
    assert done.returncode == status and not done.stdout, done
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("qmpi bench: "), done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "0"], "'0' is not within 1 to 4096"),
        (["--qubits", "many"], "'many' is not a list of whole numbers"),
        (["--workloads", "brick,grover"], "'grover' is not one of brick, qv"),
        (["--scaling", "weak", "-n", "1,3"], "3 is not 1, 2, 4, ..."),
        (["--launcher", "srun", "--threads"], "leave out --launcher"),
        (["--dtype", "float"], "--dtype must be complex128 or complex64, not 'float'"),
        (["--ranks-per-node", "2", "-n", "3"], "--ranks-per-node=2 makes no power of two of nodes out of 3 ranks"),
        (["--json", "/nowhere/results.json"], "there is no folder '/nowhere'"),
        (
            ["--qubits", "12,17,40", "--memory", "1M"],
            "40 qubits of complex128 need 16 TiB, 1 MiB are allowed (--memory): 5 to 16 qubits fit",
        ),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_status_2(arguments: list[str], message: str) -> None:
    assert_refused(qmpi("bench", *arguments), message)


def test_plots_without_matplotlib_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = qmpi("bench", *QUICK, "--json", tmp_path / "results.json", "--plot", tmp_path / "plots", PYTHONPATH=path)
    assert_refused(done, "plots need matplotlib (not here): pip install 'qmpi[plot]'")
    assert {file.name for file in tmp_path.iterdir()} - {"__pycache__"} == {"matplotlib.py"}


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("echo fine so far; echo Fatal error: no such fabric >&2; exit 1", "8 qubits on 2 ranks: Fatal error: no such fabric"),
        ("kill -9 $$", "8 qubits on 2 ranks: ended by SIGKILL"),
        ("exit 3", "8 qubits on 2 ranks: exit status 3"),
        ("exit 0", "8 qubits on 2 ranks: the ranks ended without a result"),
        ('while [ "$1" != -n ]; do shift; done; shift 2; "$@"', "8 qubits on 2 ranks: MPI sees 1 rank; qmpi doctor tells"),
    ],
    ids=["their words", "killed", "silent failure", "nothing", "a lone rank"],
)
def test_why_ranks_failed_is_told(work: str, message: str, tmp_path: Path) -> None:
    launcher = write_launcher(tmp_path / "mpiexec", "MPICH", work)
    assert_refused(qmpi("bench", "-n", 2, "--launcher", launcher, *QUICK), message, status=1)


# --- how it ends ------------------------------------------------------------------------------------------------------------------------


def suites(rounds: int) -> list[int]:
    """The processes that were asked for so many rounds."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if entry.name.isdigit() and any(word.endswith(b"suite.py") for word in words) and any(b"%d}" % rounds in word for word in words):
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("world", [[], ["--threads"]], ids=["processes", "threads"])
@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "kill"])
def test_interrupted_it_takes_its_ranks_with_it(world: list[str], how: signal.Signals, status: int) -> None:
    rounds = ENDLESS + os.getpid()
    job = foreground_job([sys.executable, "-m", "qmpi", "bench", *world, "-n", "2", "--qubits", "8", "--rounds", str(rounds)])
    try:
        deadline = time.monotonic() + BOUND_S
        while len(ranks := suites(rounds)) < (1 if world else 3):  # with the launcher
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(job.pid, how)
        output, _ = job.communicate(timeout=BOUND_S)
        assert job.returncode == status and not output.strip(), output
        for rank in ranks:
            wait_for_the_end_of(rank)
    finally:
        if job.poll() is None:
            job.terminate()
            job.communicate()


def test_a_terminal_sees_a_bar_and_what_takes_too_long_is_ended() -> None:
    ours, theirs = pty.openpty()
    arguments = ["--threads", "-n", "2", "--qubits", "8", "--workloads", "qv", "--rounds", str(ENDLESS), "--limit-s", "3"]
    command = [sys.executable, "-m", "qmpi", "bench", *arguments]
    done = subprocess.run(
        command, env=environment({"TERM": "xterm"}), cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = os.read(ours, 2**16).decode()
    os.close(ours)
    assert done.returncode == 1 and not done.stdout
    assert "qv, 8 qubits on 2 ranks" in shown and "━" in shown
    assert shown.splitlines()[-1].endswith("qmpi bench: 8 qubits on 2 ranks: not done after 3 s (--limit-s)")


# --- points, gains, words -----------------------------------------------------------------------------------------------------------------


def test_a_list_is_numbers_and_ranges() -> None:
    assert numbers("4", 1, 9) == [4]
    assert numbers("4, 1,2,4", 1, 9) == [1, 2, 4]
    assert numbers("1:9:4,2:3", 1, 9) == [1, 2, 3, 5, 9]


@pytest.mark.parametrize("text", ["", "1,", "-1", "3:1", "1:3:0", "0:3", "1:10", "1:2:3:4", "1.5", "10"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has no numbers"):
        numbers(text, 1, 9)


def test_weak_scaling_adds_a_qubit_for_every_doubling() -> None:
    assert points([8], [1, 2, 8], "weak") == [Point(8, 1), Point(9, 2), Point(11, 8)]
    assert points([8, 9], [1, 2], "both") == [Point(8, 1), Point(8, 2), Point(9, 1), Point(9, 2), Point(10, 2)]
    assert points([8], [1, 3], "strong") == [Point(8, 1), Point(8, 3)]
    with pytest.raises(ValueError, match="at most 48"):
        points([48], [2], "weak")


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_the_largest_register_that_fits_is_the_one_that_is_named(dtype: str) -> None:
    most = {"complex128": 20, "complex64": 21}[dtype]
    refuse_too_large([Point(most, 1)], dtype, 2**24, None)
    for allowed, free, why in [(2**24, None, "allowed"), (2**25 - 1, 2**30, "allowed"), (2**30, 2**24, "free")]:
        with pytest.raises(ValueError, match=f"are {why}.*: 5 to {most} qubits fit"):
            refuse_too_large([Point(8, 1), Point(most + 1, 1)], dtype, allowed, free)


def run(qubits: int, ranks: int, time_s: float) -> Run:
    return Run(Point(qubits, ranks), workloads={"brick": {"median_s": time_s}})


def test_scaling_compares_the_largest_register_that_most_ranks_have() -> None:
    runs = [run(8, 1, 1.0), run(8, 2, 0.5), run(8, 3, 0.4), run(9, 1, 2.0), run(9, 2, 1.25), run(10, 4, 4.0)]
    strong, weak = series(runs, weak=False), series(runs, weak=True)
    assert [one.point for one in strong] == [Point(8, 1), Point(8, 2), Point(8, 3)]
    assert [one.point for one in weak] == [Point(8, 1), Point(9, 2), Point(10, 4)]
    assert gains(strong, "brick") == [1, 2, 2.5] and gains(weak, "brick") == [1, 0.8, 0.25]
    assert series(runs[:1], weak=False) == [] and series([], weak=True) == []


def test_seconds_have_three_digits_and_a_unit() -> None:
    told = [seconds(value) for value in (12.345, 1.0, 0.9996, 0.12345, 0.0012345, 0.00099951, 4.56e-5, 1e-7)]
    assert told == ["12.3 s", "1.00 s", "1.00 s", "123 ms", "1.23 ms", "1.00 ms", "45.6 µs", "0.10 µs"]


# --- workloads --------------------------------------------------------------------------------------------------------------------------


def test_the_fourier_workload_is_the_fourier_transform() -> None:
    assert np.allclose(dense(workloads.fourier(3), 3), np.exp(2j * np.pi * np.outer(range(8), range(8)) / 8) / np.sqrt(8))


def dense(gates: Sequence[workloads.Triple], qubits: int) -> np.ndarray:
    """The matrix of gates H, CP and SWAP."""
    matrix, index = np.eye(2**qubits, dtype=complex), np.arange(2**qubits)
    for name, on, parameters in gates:
        bits = [index >> qubit & 1 for qubit in on]
        if name == "h":
            matrix = (matrix[index ^ 1 << on[0]] + (1 - 2 * bits[0])[:, None] * matrix) / np.sqrt(2)
        elif name == "cp":
            matrix = np.where(bits[0] & bits[1], np.exp(1j * parameters[0]), 1)[:, None] * matrix
        else:
            matrix = matrix[np.where(bits[0] != bits[1], index ^ (1 << on[0] | 1 << on[1]), index)]
    return matrix


@pytest.mark.parametrize("qubits", [workloads.LEAST_QUBITS, 8])
def test_workloads_stay_within_the_register(qubits: int) -> None:
    single = [gate for gates in workloads.single_gates(qubits).values() for gate in gates]
    for _, on, _ in [*single, *workloads.brick(qubits, 2), *workloads.volume(qubits, 2), *workloads.fourier(qubits)]:
        assert len(set(on)) == len(on) and all(0 <= qubit < qubits for qubit in on)
    strings, factors = workloads.pauli_sum(qubits)
    assert len(strings) == len(factors) == 20
    assert {len(string) for string in strings} == {qubits} and {qubits - string.count("I") for string in strings} == {2, 3, 4}


def test_random_gates_are_unitary_and_the_same_each_time() -> None:
    for make in (workloads.brick, workloads.volume):
        first, again = ([gate[2][0] for gate in make(6) if gate[0] == "unitary"] for _ in range(2))
        assert all(np.allclose(matrix @ matrix.conj().T, np.eye(len(matrix)), atol=1e-12) for matrix in first)
        assert np.array_equal(first, again) and not np.allclose(first[0], first[1])
