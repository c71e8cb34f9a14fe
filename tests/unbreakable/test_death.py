"""A rank that dies: all others raise RankLost, from wherever they are, and end. One that is only stopped delays.

The ranks are processes that no launcher watches, so that nothing but this package can end them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.mpi.launch import launcher
from tests.unbreakable.worlds import Job, start

SOON_S = 3.0
RANKS = {
    "in a kernel": 4,
    "asleep": 4,
    "in a receive": 4,
    "while all wait for it": 4,
    "with messages on the way": 4,
}
LAST_CALLS = {
    "in a kernel": "(its last call: h)",
    "asleep": "(its last call: measure)",
    "while all wait for it": "(its last call: a receive)",
    "with messages on the way": "(its last call: a send)",
}
ALONE = ["polls", "applies gates", "measures", "allocates", "looks", "sends"]
PAUSED = ["in a kernel", "asleep", "in a receive"]


@cache
def deaths() -> dict[str, Job]:
    """All cases, two at a time: most of each is waiting."""
    cases = [*((case, ranks) for case, ranks in RANKS.items()), *((f"alone it {does}", 2) for does in ALONE)]
    with ThreadPoolExecutor(2) as pool:
        running = {case: pool.submit(start, "processes", ranks, "deaths.py", case, timeout_s=60) for case, ranks in cases}
        return {case: job.result() for case, job in running.items()}


@pytest.mark.parametrize("case", [*RANKS, *(f"alone it {does}" for does in ALONE)])
def test_when_a_rank_dies_all_others_raise_rank_lost_with_its_number_and_last_call(case: str) -> None:
    job = deaths()[case]
    found = job.of(case)
    assert sorted(found) == list(range(RANKS.get(case, 2))), job
    expected = f"rank 0 has died (its last call: {found[0]['line']})" if "line" in found[0] else f"rank 0 has died {LAST_CALLS.get(case, '(its last call: ')}"
    for rank, facts in found.items():
        if rank > 0:
            assert facts["error"] == "RankLost" and expected in facts["text"], job
            assert facts["at"] - found[0]["due"] < SOON_S, job


@pytest.mark.parametrize("case", RANKS)
def test_after_a_death_every_call_raises_rank_lost(case: str) -> None:
    job = deaths()[case]
    found = job.of("afterwards")
    assert sorted(found) == [1, 2, 3], job
    for facts in found.values():
        assert {error for name, error in facts.items() if name != "case"} == {"RankLost"} and len(facts) > 15, job


@pytest.mark.parametrize("case", [*RANKS, *(f"alone it {does}" for does in ALONE)])
def test_after_a_death_the_others_end_and_leave_nothing_behind(case: str) -> None:
    job = deaths()[case]
    job.require_clean_end(killed=0)
    assert job.output == "", job


@cache
def pauses() -> dict[str, Job]:
    with ThreadPoolExecutor() as pool:
        running = {case: pool.submit(start, "processes", 4, "pauses.py", case, timeout_s=60) for case in PAUSED}
        return {case: job.result() for case, job in running.items()}


@pytest.mark.parametrize("case", PAUSED)
def test_a_rank_that_is_stopped_and_goes_on_only_delays(case: str) -> None:
    job = pauses()[case]
    for found in (job.of(case), job.of("together")):
        assert sorted(found) == [0, 1, 2, 3] and all(facts["error"] == "" for facts in found.values()), job
    assert job.of(case)[2]["seconds"] > 2, job  # it was stopped
    job.require_clean_end()


def test_under_mpiexec_a_death_ends_the_job_and_leaves_nothing_behind() -> None:
    """MPICH's launcher, told to let the others live, leaves them to this package; others end the job themselves."""
    mpich = launcher().family == "MPICH"
    job = start("mpi", 4, "deaths.py", "asleep", flags=["-disable-auto-cleanup"] if mpich else [], timeout_s=60)
    assert job.codes != [None] and job.codes != [0] and not job.left_behind, job
    if mpich:
        assert {facts["error"] for rank, facts in job.of("asleep").items() if rank > 0} == {"RankLost"}, job
        assert sorted(job.of("afterwards")) == [1, 2, 3], job
