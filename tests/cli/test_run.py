"""`qmpi run`: what it refuses, what it would start, and what it starts under launchers that only tell how they were called."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qmpi.cli.launcher import find
from qmpi.cli.machine import cores
from tests.cli.terminal import VERSIONS, bare_python, qmpi, write_launcher

PROGRAM = "examples/first_pair.py"
MORE_THAN_CORES = cores() + 1
ROOT = ["--allow-run-as-root"] * (os.geteuid() == 0)
YIELD = "OMPI_MCA_mpi_yield_when_idle=1"
THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")

# --- what is refused ------------------------------------------------------------------------------------------------------------------


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2 and not done.stdout, done
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("qmpi"), done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument 'PROGRAM'"),
        (["run", PROGRAM], "Missing option '-n'"),
        (["run", "-n", "2"], "Missing argument 'PROGRAM'"),
        (["run", "-n", "2", "nowhere.py"], "'nowhere.py' does not exist"),
        (["run", "-n", "2", "examples"], "'examples' is a directory"),
        (["run", "-n", "2", "-m", "examples.nowhere"], "there is no module examples.nowhere"),
        (["run", "-n", "2", "-m", "nowhere.at_all"], "there is no module nowhere.at_all"),
        (["run", "-n", "2", "-m", "examples"], "there is no module examples.__main__"),
        (["run", "-n", "2", "-m", "examples.ghz.py"], "there is no module examples.ghz.py (try examples.ghz)"),
        (["run", "--threads", "-n", "2", "-m", "examples.nowhere"], "there is no module examples.nowhere"),
        (["run", "-n", "2", "-m"], "Missing argument 'PROGRAM'"),
        (["run", "-n", "0", PROGRAM], "'0' is not a number of ranks"),
        (["run", "-n", "-3", PROGRAM], "'-3' is not a number of ranks"),
        (["run", "-n", "many", PROGRAM], "'many' is not a number of ranks"),
        (["run", "-n", "2.5", PROGRAM], "'2.5' is not a number of ranks"),
        (["run", "-n", "2", "--faithful", PROGRAM], "--faithful"),
        (["run", "-n", "2", "--launcher", "nothing-like-it", PROGRAM], "no program 'nothing-like-it'"),
        (["run", "-n", "2", "--threads", "--launcher", "srun", PROGRAM], "leave out --launcher"),
        (["run", "-n", "5000", "--threads", PROGRAM], "at most 4096"),
        (["start", PROGRAM], "No such command 'start'"),
        (["--fast"], "--fast"),
        (["doctor", "--xml"], "--xml"),
        (["doctor", "now"], "unexpected extra argument"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_status_2(arguments: list[str], message: str) -> None:
    assert_refused(qmpi(*arguments), message)


WRONG = [
    ("--seed", "-1", "must be an integer between 0 and 2^64 - 1, not '-1'"),
    ("--seed", "x", "must be an integer"),
    ("--mode", "slow", "must be fast or faithful, not 'slow'"),
    ("--memory", "much", "must be a size"),
    ("--dtype", "float", "must be complex128 or complex64, not 'float'"),
    ("--timeout-s", "0", "must be a positive number of seconds, not '0'"),
    ("--isa", "mmx", "must be plain"),
    ("--log", "loud", "must be debug or empty, not 'loud'"),
    ("--order", "random", "must be record:FILE or replay:FILE, not 'random'"),
]


@pytest.mark.parametrize(("option", "value", "message"), WRONG)
def test_a_wrong_setting_is_named_by_its_option_or_by_its_variable(option: str, value: str, message: str) -> None:
    variable = "QMPI_" + option[2:].replace("-", "_").upper()
    assert_refused(qmpi("run", "-n", 2, f"{option}={value}", PROGRAM), f"qmpi run: {option} {message}")
    assert_refused(qmpi("run", "-n", 2, PROGRAM, **{variable: value}), f"qmpi run: {variable} {message}")
    assert_refused(qmpi("run", "--threads", "-n", 2, f"{option}={value}", PROGRAM), f"qmpi run: {option} {message}")


def test_without_an_mpiexec_it_says_how_to_get_one(tmp_path: Path) -> None:
    python, settings = bare_python(tmp_path)
    done = qmpi("run", "-n", 2, PROGRAM, python=python, **settings)
    assert_refused(done, "there is no mpiexec")
    assert "pip install 'qmpi[mpich]'" in done.stderr and "--threads" in done.stderr and "srun" not in done.stderr


def test_inside_a_slurm_allocation_without_an_mpiexec_srun_is_offered(tmp_path: Path) -> None:
    python, settings = bare_python(tmp_path)
    write_launcher(tmp_path / "srun", "Slurm")
    assert_refused(qmpi("run", "-n", 2, PROGRAM, python=python, SLURM_JOB_ID="1", **settings), "use --launcher srun")


# --- what would be run ------------------------------------------------------------------------------------------------------------------


def plan(*arguments: object, **settings: str) -> tuple[dict[str, str], list[str]]:
    """The variables and the command that `--dry-run` shows."""
    done = qmpi("run", "--dry-run", *arguments, **settings)
    assert done.returncode == 0 and not done.stderr and len(done.stdout.splitlines()) == 1, done
    words = shlex.split(done.stdout)
    begin = next(k for k, word in enumerate(words) if "=" not in word)
    return dict(word.split("=", 1) for word in words[:begin]), words[begin:]


@pytest.mark.parametrize(
    ("family", "flags"),
    [
        ("MPICH", []),
        ("Intel MPI", []),
        ("Open MPI", [*ROOT, "--oversubscribe"]),
        ("Open MPI 4", [*ROOT, "--oversubscribe"]),
        ("Slurm", []),
        ("a stranger", []),
    ],
)
def test_a_launcher_gets_the_flags_that_it_wants(tmp_path: Path, family: str, flags: list[str]) -> None:
    launcher = write_launcher(tmp_path / "starter", family)
    variables, command = plan("-n", MORE_THAN_CORES, "--launcher", launcher, PROGRAM, "-n", "7", "--", "a b")
    assert command == [str(launcher), *flags, "-n", str(MORE_THAN_CORES), sys.executable, PROGRAM, "-n", "7", "--", "a b"]
    assert (YIELD.split("=")[0] in variables) is (family.startswith("Open MPI") or family == "Slurm")


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("MPICH", "MPICH 4.2.1"),
        ("Intel MPI", "Intel MPI 2021.12"),
        ("Open MPI", "Open MPI 5.0.3"),
        ("Open MPI 4", "Open MPI 4.1.6"),
        ("Slurm", "Slurm 23.11.6"),
        ("a stranger", "unknown"),
    ],
)
def test_a_launcher_is_known_by_what_it_says_of_itself(tmp_path: Path, family: str, name: str) -> None:
    assert str(find(str(write_launcher(tmp_path / "starter", family)))) == name


def test_cores_are_oversubscribed_only_where_there_are_more_ranks(tmp_path: Path) -> None:
    launcher = write_launcher(tmp_path / "mpiexec", "Open MPI")
    assert "--oversubscribe" not in plan("-n", cores(), "--launcher", launcher, PROGRAM)[1]


def test_cores_are_those_that_this_process_may_use(tmp_path: Path) -> None:
    launcher = write_launcher(tmp_path / "mpiexec", "Open MPI")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        variables, command = plan("-n", 2, "--launcher", launcher, PROGRAM)
        assert "--oversubscribe" in command and variables["OMP_NUM_THREADS"] == "1"
    finally:
        os.sched_setaffinity(0, allowed)


def test_all_ranks_together_have_as_many_threads_as_there_are_cores() -> None:
    for ranks in (1, cores(), MORE_THAN_CORES):
        variables, _ = plan("-n", ranks, PROGRAM)
        assert [variables[name] for name in THREADS] == [str(max(1, cores() // ranks))] * len(THREADS)


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    launcher = write_launcher(tmp_path / "mpiexec", "Open MPI")
    variables, _ = plan("-n", 2, "--launcher", launcher, PROGRAM, OMP_NUM_THREADS="5", OMPI_MCA_mpi_yield_when_idle="0")
    assert not variables.keys() & {"OMP_NUM_THREADS", "OMPI_MCA_mpi_yield_when_idle"}


def test_every_option_becomes_its_variable_and_overrides_it() -> None:
    chosen = ["--seed=7", "--mode=fast", "--memory=64M", "--dtype=complex64", "--no-strict", "--timeout-s=9", "--isa=plain", "--log=debug"]
    variables, _ = plan("-n", 2, *chosen, PROGRAM, QMPI_SEED="3", QMPI_MODE="slow", QMPI_STRICT="1")
    assert {name: value for name, value in variables.items() if name.startswith("QMPI_")} == {
        "QMPI_SEED": "7",
        "QMPI_MODE": "fast",
        "QMPI_MEMORY": "64M",
        "QMPI_DTYPE": "complex64",
        "QMPI_STRICT": "0",
        "QMPI_TIMEOUT_S": "9",
        "QMPI_ISA": "plain",
        "QMPI_LOG": "debug",
    }
    assert plan("-n", 2, "--strict", PROGRAM)[0]["QMPI_STRICT"] == "1"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_help_and_plans_can_be_printed_whatever_the_terminal_s_letters(encoding: str, tmp_path: Path) -> None:
    for command in ([], ["--help"], ["run", "--help"], ["doctor", "--help"], ["bench", "--help"]):
        done = qmpi(*command, PYTHONIOENCODING=encoding)
        assert done.returncode == 0 and done.stdout.isascii(), done
    program = tmp_path / "prögram ⟩.py"
    program.touch()
    done = qmpi("run", "--dry-run", "--threads", "-n", 2, program, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "gram \\u27e9.py" in done.stdout, done


def test_a_module_is_planned_as_python_m_would_be(tmp_path: Path) -> None:
    launcher = write_launcher(tmp_path / "mpiexec", "MPICH")
    assert plan("-m", "-n", 2, "--launcher", launcher, "examples.ghz", "-m", "x")[1][-5:] == [
        sys.executable,
        "-m",
        "examples.ghz",
        "-m",
        "x",
    ]
    assert plan("--threads", "-n", 2, "-m", "examples.ghz", "x")[1][4:] == ["--threads", "-n", "2", "-m", "examples.ghz", "x"]


def test_the_mpiexec_beside_python_comes_first_then_the_one_on_path(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "path").mkdir()
    python, settings = bare_python(tmp_path / "bin")
    settings["PATH"] = str(tmp_path / "path")
    on_path = write_launcher(tmp_path / "path" / "mpiexec", "MPICH")

    def chosen(*options: str) -> str:
        return shlex.split(qmpi("run", "-n", 2, "--dry-run", *options, PROGRAM, python=python, **settings).stdout)[len(THREADS)]

    settings["PATH"] += ":/bin:/usr/bin"  # for cat
    assert chosen() == str(on_path)
    beside = write_launcher(tmp_path / "bin" / "mpiexec", "MPICH")
    assert chosen() == str(beside)
    assert chosen("--launcher", "mpiexec") == str(on_path)


def test_a_plan_for_threads_is_a_command_without_options(tmp_path: Path) -> None:
    variables, command = plan("--threads", "-n", 3, "--seed", 4, PROGRAM, "--pairs", "2")
    assert variables["QMPI_SEED"] == "4"
    assert command == [sys.executable, "-m", "qmpi", "run", "--threads", "-n", "3", PROGRAM, "--pairs", "2"]


# --- what is run --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", VERSIONS)
def test_the_launcher_is_called_as_planned_and_its_exit_status_is_ours(tmp_path: Path, family: str) -> None:
    launcher = write_launcher(tmp_path / "starter", family)
    arguments = ["-n", MORE_THAN_CORES, "--seed", 5, "--launcher", launcher, PROGRAM, "--seed", "a b", "--"]
    variables, command = plan(*arguments)
    done = qmpi("run", *arguments)
    assert done.returncode == 7 and not done.stderr, done
    lines = done.stdout.splitlines()
    assert [line.removeprefix("argument: ") for line in lines if line.startswith("argument: ")] == command[1:]
    assert variables["QMPI_SEED"] == "5" and all(f"{name}={value}" in lines for name, value in variables.items())


def test_the_launcher_ignores_no_signal_that_a_shell_would_not_ignore(tmp_path: Path) -> None:
    done = qmpi("run", "-n", 2, "--launcher", write_launcher(tmp_path / "mpiexec", "MPICH"), PROGRAM)
    ignored = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("SigIgn:"))
    plain = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True, restore_signals=True).stdout
    assert ignored == next(line.split()[1] for line in plain.splitlines() if line.startswith("SigIgn:"))
