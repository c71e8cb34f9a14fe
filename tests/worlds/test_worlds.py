"""The worlds themselves: a law that fails, hangs or crashes is named by its own id, with what its ranks say, and nobody waits for ever."""

from __future__ import annotations

import re
import sys

import pytest

from tests.worlds import EVERY_LAW_ONCE, THOROUGH, World
from tests.worlds.launch import DEFAULTS, PROGRAMS, Run, launch, start

PYTEST = ["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
WORLDS = ["mpi:2:fast", pytest.param("threads:2:fast", marks=pytest.mark.thorough)]


def laws(program: str, world: str) -> Run:
    """What pytest says of the laws in a file, tested in a world."""
    return start([sys.executable, *PYTEST, "-n0", "--world", world, str(PROGRAMS / program)], DEFAULTS, timeout_s=100)


def by_hand(program: str) -> Run:
    return launch(2, [*PYTEST, "--with-mpi", str(PROGRAMS / program)], timeout_s=60)


@pytest.mark.parametrize("world", WORLDS)
def test_a_law_that_fails_on_one_rank_is_named_and_the_next_is_tested(world: str) -> None:
    run = laws("fails_on_one_rank.py", world)
    assert run.code == 1 and "1 failed, 2 passed" in run.output, run.tail()
    assert f"FAILED tests/laws/programs/fails_on_one_rank.py::test_fails_on_one_rank[{world}]" in run.output, run.tail()
    assert "rank 1 is wrong on purpose" in run.output, run.tail()
    assert "threads" in world or "failed on rank 1 of mpi:2:fast" in run.output, run.tail()


@pytest.mark.parametrize("world", WORLDS)
def test_a_law_that_hangs_is_named_with_where_its_ranks_are(world: str) -> None:
    run = laws("hangs_on_one_rank.py", world)
    assert run.code == 1 and f"::test_hangs_on_one_rank[{world}]" in run.output, run.tail()
    assert "Timeout" in run.output and "waits_for_what_never_comes" in run.output, run.tail()


@pytest.mark.thorough
@pytest.mark.parametrize("world", WORLDS)
def test_a_law_whose_process_dies_is_named_and_the_next_is_tested(world: str) -> None:
    run = laws("dies_on_one_rank.py", world)
    assert run.code == 1 and "1 failed, 1 passed" in run.output, run.tail()
    assert f"::test_dies_on_one_rank[{world}]" in run.output and "Segmentation fault" in run.output, run.tail()


def test_one_law_is_tested_alone_by_its_name_and_world() -> None:
    arguments = ["-rp", "-k", "tags_choose_among_messages", "--world", "threads:3"]
    run = start([sys.executable, *PYTEST, *arguments, "tests/laws"], DEFAULTS, timeout_s=60)
    assert run.code == 0 and "PASSED tests/laws/test_matching.py::test_tags_choose_among_messages[threads:3:fast]" in run.output, run.tail()
    assert re.search(r"\b1 passed", run.output), run.tail()


@pytest.mark.parametrize("world", ["threads", "mpi:0", "mpi:two", "processes:3", "mpi:3:slow", "mpi:3:"])
def test_a_world_that_cannot_be_is_refused(world: str) -> None:
    with pytest.raises(ValueError, match=f"'{world}' is no world: write threads:RANKS or mpi:RANKS"):
        World.parse(world)


def test_what_is_no_world_ends_pytest_in_one_line() -> None:
    run = start([sys.executable, *PYTEST, "-n0", "--world", "mpi", str(PROGRAMS / "fails_on_one_rank.py")], DEFAULTS, timeout_s=60)
    assert run.code == 4 and "ERROR: --world: 'mpi' is no world" in run.output and "Traceback" not in run.output, run.tail()


def test_every_law_is_tested_in_both_worlds() -> None:
    """What has no place on threads says why in docs/decisions."""
    listed = start([sys.executable, *PYTEST, "-n0", "--collect-only", "tests/laws"], DEFAULTS, timeout_s=60)
    assert listed.code == 0, listed.tail()
    kinds: dict[str, set[str]] = {}
    for law, kind in re.findall(r"^(tests/laws/\S+::\w+)\[(threads|mpi):", listed.output, re.MULTILINE):
        kinds.setdefault(law, set()).add(kind)
    assert len(kinds) > 200
    assert {law.partition("::")[2] for law, found in kinds.items() if len(found) < 2} == {
        "test_the_world_is_mpi_s",
        "test_any_intracommunicator_can_be_wrapped",
    }


def test_all_worlds_together_have_each_number_of_ranks_in_both_modes() -> None:
    assert {world.ranks for world in EVERY_LAW_ONCE} == {1, 2, 3, 4}
    for kind in ("threads", "mpi"):
        assert {world.mode for world in EVERY_LAW_ONCE if world.kind == kind} == {"fast", "faithful"}
        plain = [world for world in [*EVERY_LAW_ONCE, *THOROUGH] if world.kind == kind and len(world.words) == 1]
        assert sorted((world.ranks, world.mode) for world in plain) == [(n, mode) for n in (1, 2, 3, 4) for mode in ("faithful", "fast")]


@pytest.mark.parametrize("text", ["threads:3", "mpi:4:faithful", "mpi:3:faithful:complex64", "threads:2:1-per-node"])
def test_a_world_s_name_names_it(text: str) -> None:
    world = World.parse(text)
    assert World.parse(str(world)) == world and str(world).startswith(text[:7])


# --- under a launcher, by hand ----------------------------------------------------------------------------------------------------------


def test_a_rank_that_fails_ends_all_ranks_and_says_why() -> None:
    run = by_hand("fails_on_one_rank.py")
    assert run.code not in (0, None), run.tail()
    assert "[rank 1]" in run.output and "rank 1 is wrong on purpose" in run.output, run.tail()


@pytest.mark.thorough
def test_a_rank_that_hangs_ends_all_ranks_and_shows_where() -> None:
    run = by_hand("hangs_on_one_rank.py")
    assert run.code not in (0, None), run.tail()
    assert "Timeout" in run.output and "waits_for_what_never_comes" in run.output, run.tail()


def test_an_uncaught_exception_in_one_rank_ends_the_job() -> None:
    run = launch(2, [str(PROGRAMS / "raises_on_one_rank.py")], timeout_s=60)
    assert run.code not in (0, None), run.tail()
    assert "ForeignWorld: rank 1 on purpose" in run.output, run.tail()


def test_a_launcher_that_hangs_is_killed() -> None:
    run = launch(2, ["-c", "import time; time.sleep(60)"], timeout_s=2)
    assert run.code is None and "killed after 2 s" in run.output
