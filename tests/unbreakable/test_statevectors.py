"""State vectors when something goes wrong: a rank that helps or leads dies, or Ctrl-C comes in the middle of a long list of gates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.unbreakable.worlds import Job, start

DEATHS = [("at work", 0), ("at work", 1), ("at work", 2), ("elsewhere", 0), ("elsewhere", 2)]
ALONE = [
    "goes on",
    "goes on with compiled gates",
    "starts anew",
    "on another state",
    "meanwhile",
    "after the end of the first",
]


@cache
def deaths() -> dict[tuple[str, int], Job]:
    with ThreadPoolExecutor(2) as pool:
        running = {
            (case, rank): pool.submit(start, "processes", 3, "statevector_deaths.py", case, str(rank), timeout_s=40)
            for case, rank in DEATHS
        }
        return {key: job.result() for key, job in running.items()}


@pytest.mark.parametrize(("case", "rank"), DEATHS)
def test_when_a_rank_dies_all_others_raise_rank_lost(case: str, rank: int) -> None:
    """Rank 0 runs the gates, the others help it when they are at work."""
    job = deaths()[case, rank]
    found = job.of(case)
    found.pop(rank)
    assert len(found) == 2, job
    for facts in found.values():
        assert facts["error"] == "RankLost" and f"rank {rank} has died" in facts["text"], job


@pytest.mark.parametrize(("case", "rank"), DEATHS)
def test_after_a_death_every_call_raises_rank_lost_and_all_end(case: str, rank: int) -> None:
    job = deaths()[case, rank]
    found = job.of("afterwards")
    assert len(found) == 2, job
    for facts in found.values():
        assert {error for name, error in facts.items() if name != "case"} == {"RankLost"}, job
    job.require_clean_end(killed=rank)
    assert job.output == "", job


@cache
def interrupts(ranks: int) -> Job:
    return start("processes", ranks, "statevector_interrupts.py", timeout_s=60, QMPI_NUM_THREADS="1")


@pytest.mark.parametrize("case", ALONE)
def test_gates_that_are_interrupted_are_applied_once_and_in_whole(case: str) -> None:
    """When the state goes on, when it is reset, and when the same compiled gates are applied to another."""
    job = interrupts(1)
    facts = job.of(case)[0]
    assert facts["error"] == "KeyboardInterrupt", job
    assert facts["distance"] < 1e-12 < 1e-3 < job.of("before")[0]["largest"], job


def test_an_interrupt_of_the_rank_that_leads_does_not_disturb_the_others() -> None:
    """They wait in the call that it makes once more."""
    job = interrupts(2)
    found = job.of("goes on")
    assert [found[rank]["error"] for rank in (0, 1)] == ["KeyboardInterrupt", ""], job
    assert all(facts["distance"] < 1e-12 for facts in found.values()), job
    job.require_clean_end()


def test_a_file_that_is_being_replaced_when_an_interrupt_comes_is_the_old_one() -> None:
    job = interrupts(1)
    facts = job.of("a file")[0]
    assert facts["error"] == "KeyboardInterrupt" and facts["left"] == ["state.h5"], job
    assert facts["distance"] < 1e-12, job


def test_interrupted_programs_end_cleanly() -> None:
    interrupts(1).require_clean_end()
