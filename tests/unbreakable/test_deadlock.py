"""Deadlocks are recognised from who waits for whom: reported on every rank of the knot, with every rank's line, and on no other.

The same knots among threads and among MPI's processes, one program with all of them (programs/deadlocks.py). None of these waits would
end by itself.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.unbreakable.worlds import Facts, Job, start

WORLDS = ["threads", "mpiexec"]

KNOTS = {  # and the ranks of each
    "two_ranks_receive_first": [0, 1],
    "two_in_a_knot_while_the_third_computes": [0, 1],
    "a_cycle_of_three": [0, 1, 2],
    "a_cycle_of_three_requests": [0, 1, 2],
    "nobody_satisfies_a_wildcard": [0, 1, 2],
    "a_receive_from_oneself": [1],
    "the_holder_waits_for_the_owner": [0, 2],
    "the_end_of_a_block_waits_too": [0, 1],
    "a_barrier_against_a_receive": [0, 1],
    "a_receive_against_a_barrier": [0, 2],
    "all_but_one_measure_together": [0, 1, 2],
    "only_one_prepares_a_pair": [1, 2],
    "another_communicator_s_ranks": [1, 2],
    "who_hears_first_answers_at_once": [0, 1, 2],
    "two_full_mailboxes": [0, 2],
    "a_full_mailbox_and_a_request": [0, 1],
}
CALM = [
    "late",
    "sleeps",
    "polls",
    "computes",
    "computes_in_one_long_call",
    "sits_in_classical_mpi",
    "has_closed_another_communicator",
]


@cache
def jobs(program: str) -> dict[str, Job]:
    """The program in every world, at the same time: most of it is waiting."""
    with ThreadPoolExecutor() as pool:
        running = {world: pool.submit(start, world, 3, program, timeout_s=60) for world in WORLDS}
        return {world: job.result() for world, job in running.items()}


def knot(world: str, case: str) -> tuple[Job, dict[int, Facts]]:
    job = jobs("deadlocks.py")[world]
    found = job.of(case)
    assert sorted(found) == [0, 1, 2] and all("afterwards" in facts for facts in found.values()), f"{case} did not end{job}"
    return job, found


@pytest.mark.parametrize("case", KNOTS)
@pytest.mark.parametrize("world", WORLDS)
def test_every_rank_of_a_knot_and_no_other_is_told_who_waits_for_what_and_where(world: str, case: str) -> None:
    job, found = knot(world, case)
    told = {rank: facts for rank, facts in found.items() if facts.get("error")}
    assert list(told) == KNOTS[case] and {facts["error"] for facts in told.values()} == {"Deadlock"}, job
    for facts in told.values():
        lines = re.findall(r"^  rank (\d+): (.*)$", facts["text"], re.MULTILINE)
        assert [int(rank) for rank, _ in lines] == KNOTS[case], facts["text"]
        for rank, line in lines:
            assert re.match(re.escape(found[int(rank)]["shown"]) + r"(?!\d)", line), (line, found[int(rank)]["shown"])


@pytest.mark.parametrize("case", KNOTS)
@pytest.mark.parametrize("world", WORLDS)
def test_after_a_deadlock_the_communicator_works_as_before(world: str, case: str) -> None:
    job, found = knot(world, case)
    for facts in found.values():
        assert facts["otherwise"] == facts["afterwards"] == "", job
        assert facts["passed"] and facts["rows"] == [0, 1, 2] and facts["same"] and facts.get("unchanged", True), job


@pytest.mark.parametrize("world", WORLDS)
def test_what_a_request_waited_for_is_still_posted_after_a_deadlock(world: str) -> None:
    job, found = knot(world, "a_cycle_of_three_requests")
    assert all(facts["cancelled"] for facts in found.values()), job


@pytest.mark.parametrize("world", WORLDS)
def test_a_message_that_found_no_room_is_taken_back_after_a_deadlock(world: str) -> None:
    job, found = knot(world, "two_full_mailboxes")
    assert found[0].get("received") and found[2].get("received"), job


@pytest.mark.parametrize("world", WORLDS)
def test_the_knots_end_without_a_hang(world: str) -> None:
    jobs("deadlocks.py")[world].require_clean_end()


# --- ranks that have left -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["receive", "prepare", "request", "unsend", "full mailbox"])
@pytest.mark.parametrize("world", WORLDS)
def test_waiting_for_a_rank_that_has_left_raises_peer_left(world: str, case: str) -> None:
    job = jobs("departures.py")[world]
    facts = job.of(case)[1]
    assert facts["error"] == "PeerLeft", job
    assert "rank 2 has left" in facts["text"] and facts["text"].count(facts["where"]) == 2, facts["text"]


@pytest.mark.parametrize("world", WORLDS)
def test_what_waited_for_a_rank_that_has_left_is_withdrawn(world: str) -> None:
    job = jobs("departures.py")[world]
    assert job.of("request")[1]["cancelled"] and job.of("still mine")[1]["error"] == "", job


@pytest.mark.parametrize("world", WORLDS)
def test_what_a_rank_has_sent_before_it_left_can_be_received(world: str) -> None:
    job = jobs("departures.py")[world]
    assert job.of("sent before it left")[1]["bits"] == [1, 1], job


@pytest.mark.parametrize("world", WORLDS)
def test_who_waits_for_a_rank_that_waits_for_one_that_has_left_gets_what_that_rank_does(world: str) -> None:
    job = jobs("departures.py")[world]
    assert job.of("answered")[0]["bit"] == 1, job
    assert job.of("ended")[0]["error"] == job.of("barrier")[0]["error"] == "PeerLeft", job
    everybody = job.of("all have left")[0]
    assert everybody["error"] == "Deadlock" and "rank 1 has left" in everybody["text"] and "rank 2 has left" in everybody["text"], job


@pytest.mark.parametrize("world", WORLDS)
def test_departures_end_without_a_hang(world: str) -> None:
    jobs("departures.py")[world].require_clean_end()


# --- no false alarm -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CALM)
@pytest.mark.parametrize("world", WORLDS)
def test_nobody_is_told_of_a_deadlock_while_a_rank(world: str, case: str) -> None:
    job = jobs("calm.py")[world]
    found = job.of(case)
    assert sorted(found) == [0, 1, 2] and all(facts["error"] == "" for facts in found.values()), job
    assert job.codes == [0], job


@pytest.mark.parametrize("programs", [200, pytest.param(1000, marks=pytest.mark.thorough)])
def test_random_programs_that_cannot_deadlock_never_raise(programs: int) -> None:
    sizes = [2, 3, 4, 5]
    share = programs // len(sizes)
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(start, "threads", ranks, "right.py", str(ranks * share), str(share), timeout_s=120) for ranks in sizes]
        running.append(pool.submit(start, "processes", 3, "right.py", "0", str(share), timeout_s=120))
        for job in [job.result() for job in running]:
            job.require_clean_end()
            assert all(facts["programs"] == share for facts in job.of("right").values()), job


# --- what a report can show -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deep", "tief-ä€𝔮"])
def test_a_report_shows_the_line_of_a_program_that_lies_deep_in_the_file_system(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("deep")
    for _ in range(12):
        folder = folder / (name * (20 // len(name)))
    folder.mkdir(parents=True)
    program = folder / "program.py"
    program.write_text(
        "import qmpi\n"
        "request = qmpi.COMM_WORLD.irecv(source=1 - qmpi.COMM_WORLD.rank)\n"
        "try:\n"
        "    request.wait()\n"
        "except qmpi.errors.Deadlock as error:\n"
        "    print(error)\n"
    )
    job = start("threads", 2, program)
    assert job.codes == [0], job
    for rank in (0, 1):
        line = next(line for line in job.output.splitlines() if line.startswith(f"  rank {rank}: "))
        assert f"irecv(source={1 - rank}, tag=ANY_TAG)" in line and "program.py:2" in line and "program.py:4" in line, job
