"""One seed, one outcome: in both worlds and both modes, again and again."""

from __future__ import annotations

import re
import sys
from functools import cache

import pytest

from tests.worlds.launch import DEFAULTS, PROGRAMS, launch, start

PROGRAMS_PER_RUN = 25
SEEDS = range(1, 101)
FEW = 4  # of them without --thorough


def reproducible(ranks: int, **settings: str) -> str:
    run = launch(ranks, [str(PROGRAMS / "reproducible.py"), str(PROGRAMS_PER_RUN)], settings, timeout_s=100)
    assert run.code == 0, run.tail()
    return programs(run.output)


def programs(output: str) -> str:
    """The lines of a run, as they should be."""
    lines = output.splitlines()
    assert len(lines) == PROGRAMS_PER_RUN and all(re.fullmatch(r"\d+ [01]+( [01]*)+", line) for line in lines), output
    return output


def run_of(seed: int) -> tuple[int, str, str]:
    """Ranks, and the modes of processes and of threads."""
    return 2 + seed % 3, *(("fast", "faithful") if seed % 2 else ("faithful", "fast"))


@cache
def on_threads(seeds: range) -> dict[int, str]:
    """What comes out on threads under these seeds: one process runs them all."""
    wanted = {seed: f"{ranks}:{mode}:{seed}" for seed in seeds for ranks, _, mode in [run_of(seed)]}
    command = [sys.executable, str(PROGRAMS / "many_seeds.py"), str(PROGRAMS_PER_RUN), *wanted.values()]
    run = start(command, DEFAULTS, timeout_s=200)
    assert run.code == 0, run.tail()
    outputs = dict(part.split("\n", 1) for part in re.split(r"^(?=\d:)", run.output, flags=re.MULTILINE) if part)
    return {seed: programs(outputs[words]) for seed, words in wanted.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [*SEEDS[:FEW], *(pytest.param(seed, marks=pytest.mark.thorough) for seed in SEEDS[FEW:])])
def test_both_modes_and_both_worlds_give_the_same_outcomes_under_one_seed(seed: int) -> None:
    ranks, mode, _ = run_of(seed)
    seeds = next(part for part in (SEEDS[:FEW], SEEDS[FEW:]) if seed in part)
    assert reproducible(ranks, QMPI_MODE=mode, QMPI_SEED=str(seed)) == on_threads(seeds)[seed]


def test_a_seed_gives_the_same_outcomes_again_and_another_seed_gives_others() -> None:
    first = reproducible(3, QMPI_SEED="11")
    assert first == reproducible(3, QMPI_SEED="11", QMPI_ISA="plain")
    assert first != reproducible(3, QMPI_SEED="12")


def test_without_a_seed_every_run_draws_afresh() -> None:
    assert reproducible(2, QMPI_SEED="") != reproducible(2, QMPI_SEED="")
