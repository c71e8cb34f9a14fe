"""Ten thousand calls of random programs, in both modes: on 1 to 4 ranks as threads, and on 3 ranks under mpiexec.

Overnight: `python -m tests.fuzz --calls 1000000`. What is found becomes a named test: test_found.py says where.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.running import Progress, Settings, run_as_threads
from tests.fuzz.steps import Alloc, Gate, Measure
from tests.fuzz.tally import Tally
from tests.worlds.launch import REPOSITORY

SEED = "2105"
MODES = pytest.mark.parametrize("mode", ["fast", "faithful"])


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: it may crash, and NumPy is to use one thread there."""
    command = [sys.executable, "-m", "tests.fuzz", "--seed", SEED, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280)


@MODES
@pytest.mark.parametrize("ranks", ["3", *(pytest.param(ranks, marks=pytest.mark.thorough) for ranks in "124")])
def test_random_programs_on_threads(ranks: str, mode: str) -> None:
    run = fuzz("--calls", "1100", "--ranks", ranks, "--mode", mode)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "qmpi:" not in run.stderr, run.stderr  # what ranks report when they leave something


@MODES
def test_random_programs_under_mpiexec(mode: str) -> None:
    run = fuzz("--calls", "600", "--ranks", "3", "--world", "mpi", "--mode", mode)
    assert run.returncode == 0, run.stdout + run.stderr


# --- the fuzzer notices ---------------------------------------------------------------------------------------------------------------


def failing(**wrong: object) -> str:
    """What the fuzzer says of a program of which the oracle is told something else."""
    steps = [Alloc(0, (1, 2)), Gate(0, "h", (1,)), Gate(0, "cx", (1, 2)), Measure(0, (1,))]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(AssertionError) as info:
        for name, value in wrong.items():
            patch.setattr(f"tests.fuzz.truth.Truth.{name}", value)
        for seed in range(20):
            run_as_threads([(0, lambda: list(steps))], 1, Settings("fast", "complex128", False, seed), Progress())
    return str(info.value)


def test_a_state_that_is_not_the_oracle_s_is_noticed() -> None:
    text = failing(gate=lambda truth, name, labels, angle, seed: truth.oracle.gate("cz" if name == "cx" else name, *labels))
    assert "differs from the oracle" in text


def test_an_outcome_that_cannot_be_is_noticed() -> None:
    text = failing(gate=lambda truth, name, labels, angle, seed: truth.oracle.gate("z", *labels[:1]))
    assert "whose probability is 0" in text


def test_outcomes_that_come_too_often_are_noticed() -> None:
    tally = Tally()
    for k in range(3000):
        tally.enter(0.3, int(k % 10 < 3))
    tally.check()
    for _ in range(200):
        tally.enter(0.3, 1)
    with pytest.raises(AssertionError, match="standard deviations"):
        tally.check()
