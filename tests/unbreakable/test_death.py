"""A rank that dies: all others raise RankLost, from wherever they are, and end. One that is only stopped delays.

The ranks are processes that no launcher watches, so that nothing but this package can end them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.unbreakable.worlds import Job, start
from tests.worlds.launch import launcher

DYING = ["in a kernel", "as a helper", "asleep", "in a receive", "while all wait for it", "with messages on the way"]
TWO = ["in a knot"]  # with one other rank
ALONE = [f"alone it {does}" for does in ("polls", "applies gates", "measures", "allocates", "looks", "sends")]  # what the other rank does
MOMENTS_S = [0.02, 0.05, 0.11, 0.19, 0.3, 0.45]
PAUSED = ["in a kernel", "as a helper", "asleep", "in a receive", "at any moment"]


@cache
def deaths() -> dict[str, Job]:
    """All cases, some at a time: most of each is waiting."""
    cases = [(case, 4) for case in DYING] + [(case, 2) for case in TWO + ALONE]
    with ThreadPoolExecutor(3) as pool:
        running = {case: pool.submit(start, "processes", ranks, "deaths.py", case, timeout_s=60) for case, ranks in cases}
        return {case: job.result() for case, job in running.items()}


@pytest.mark.parametrize("case", DYING + TWO + ALONE)
def test_when_a_rank_dies_all_others_raise_rank_lost_with_its_number_and_last_call(case: str) -> None:
    job = deaths()[case]
    dead, *others = (facts for _, facts in sorted(job.of(case).items()))
    assert len(others) == (3 if case in DYING else 1), job
    for facts in others:
        assert facts["error"] == "RankLost" and f"rank 0 has died (its last call: {dead['last']}" in facts["text"], job


@pytest.mark.parametrize("case", DYING + TWO)
def test_after_a_death_every_call_raises_rank_lost(case: str) -> None:
    job = deaths()[case]
    found = job.of("afterwards")
    assert len(found) == (3 if case in DYING else 1), job
    for facts in found.values():
        assert {error for name, error in facts.items() if name != "case"} == {"RankLost"} and len(facts) > 15, job


@pytest.mark.parametrize("case", DYING + TWO + ALONE)
def test_after_a_death_the_others_end_and_leave_nothing_behind(case: str) -> None:
    job = deaths()[case]
    job.require_clean_end(killed=0)
    assert job.output == "", job


def test_a_rank_may_die_at_any_moment() -> None:
    """Among others that of holding a lock which all others need."""
    with ThreadPoolExecutor(2) as pool:
        jobs = pool.map(lambda moment: start("processes", 3, "deaths.py", "at any moment", str(moment), timeout_s=30), MOMENTS_S)
    for job in jobs:
        _, *others = (facts for _, facts in sorted(job.of("at any moment").items()))
        assert [facts["error"] for facts in others] == ["RankLost"] * 2, job
        assert all("rank 0 has died" in facts["text"] for facts in others), job
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
    assert job.of("stopped")[0]["went_on"], job
    job.require_clean_end()


def test_under_mpiexec_a_death_ends_the_job_and_leaves_nothing_behind() -> None:
    """MPICH's launcher is asked to let the others live (which it does most of the time); Open MPI's ends them."""
    flags = ["-disable-auto-cleanup"] if launcher().family == "MPICH" else []
    job = start("mpiexec", 4, "deaths.py", "asleep", flags=flags, timeout_s=60)
    assert job.codes not in ([None], [0]) and not job.left_behind, job
    assert {facts["error"] for facts in job.of("asleep").values() if "error" in facts} <= {"RankLost"}, job
