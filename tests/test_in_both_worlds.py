"""Everything that needs a process of its own, started from a plain `python -m pytest`: tests/laws in both worlds, 1 to 4 ranks, every mode,
and programs that need processes of their own (a universe is founded once per process, with one seed and one mode)."""

from __future__ import annotations

import re
import sys

import pytest

from tests.worlds.launch import DEFAULTS, PROGRAMS, Run, launch, start

PYTEST = ["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
WITH_MPI = [*PYTEST, "--with-mpi"]
JOBS: list[tuple[int, dict[str, str]]] = [(ranks, {"QMPI_MODE": mode}) for ranks in (1, 2, 3, 4) for mode in ("fast", "faithful")]
ON_RANKS = [*JOBS, (3, {"QMPI_MODE": "faithful", "QMPI_DTYPE": "complex64"})]  # neither precision nor instruction set
ON_THREADS = [*JOBS, (3, {"QMPI_MODE": "fast", "QMPI_ISA": "plain"})]  # is a matter of the world


def name(value: object) -> str:
    return "-".join(value.values()) if isinstance(value, dict) else f"{value}-ranks"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("ranks", "settings"), ON_RANKS, ids=name)
def test_the_laws_hold_on_ranks(ranks: int, settings: dict[str, str]) -> None:
    all_pass(launch(ranks, [*WITH_MPI, "tests/laws"], settings, timeout_s=240))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("ranks", "settings"), ON_THREADS, ids=name)
def test_the_laws_hold_on_threads(ranks: int, settings: dict[str, str]) -> None:
    all_pass(start([sys.executable, *PYTEST, "--threads", str(ranks), "tests/laws"], DEFAULTS | settings, timeout_s=240))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ranks", "ranks_per_node"), [(2, 1), (4, 1), (4, 2)], ids=lambda number: str(number))
def test_the_laws_of_state_vectors_hold_over_nodes(ranks: int, ranks_per_node: int) -> None:
    settings = {"QMPI_RANKS_PER_NODE": str(ranks_per_node)}
    all_pass(launch(ranks, [*WITH_MPI, "tests/laws/test_statevector.py"], settings, timeout_s=100))
    threads = [sys.executable, *PYTEST, "--threads", str(ranks), "tests/laws/test_statevector.py"]
    all_pass(start(threads, DEFAULTS | settings, timeout_s=100))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ranks", "mode"), [(5, "fast"), (6, "faithful")])
def test_basis_states_agree_with_mpi_on_more_ranks(ranks: int, mode: str) -> None:
    files = ["tests/laws/test_collectives_are_mpi.py", "tests/laws/test_messages_are_mpi.py"]
    all_pass(launch(ranks, [*WITH_MPI, *files], {"QMPI_MODE": mode}, timeout_s=100))


def all_pass(run: Run) -> None:
    assert run.code == 0, run.tail()
    assert re.search(r"\b[1-9]\d* passed", run.output) and "skipped" not in run.output, run.tail()


# --- all ranks fail together ----------------------------------------------------------------------------------------------------------


def test_a_rank_that_fails_ends_all_ranks_and_says_why() -> None:
    run = launch(2, [*WITH_MPI, str(PROGRAMS / "fails_on_one_rank.py")], timeout_s=60)
    assert run.code not in (0, None), run.tail()
    assert "[rank 1]" in run.output and "rank 1 is wrong on purpose" in run.output, run.tail()


def test_a_rank_that_hangs_ends_all_ranks_and_shows_where() -> None:
    run = launch(2, [*WITH_MPI, str(PROGRAMS / "hangs_on_one_rank.py")], timeout_s=60)
    assert run.code not in (0, None), run.tail()
    assert "Timeout" in run.output and "waits_for_what_never_comes" in run.output, run.tail()


def test_an_uncaught_exception_in_one_rank_ends_the_job() -> None:
    run = launch(2, [str(PROGRAMS / "raises_on_one_rank.py")], timeout_s=60)
    assert run.code not in (0, None), run.tail()
    assert "ForeignWorld: rank 1 on purpose" in run.output, run.tail()


def test_a_launcher_that_hangs_is_killed() -> None:
    run = launch(2, ["-c", "import time; time.sleep(60)"], timeout_s=2)
    assert run.code is None and "killed after 2 s" in run.output


# --- one seed, one outcome ---------------------------------------------------------------------------------------------------------------


PROGRAMS_PER_RUN = 25
SEEDS = range(1, 101)


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


@pytest.fixture(scope="module")
def on_threads() -> dict[int, str]:
    """What comes out on threads under every seed: one process runs them all."""
    wanted = {seed: f"{ranks}:{mode}:{seed}" for seed in SEEDS for ranks, _, mode in [run_of(seed)]}
    command = [sys.executable, str(PROGRAMS / "many_seeds.py"), str(PROGRAMS_PER_RUN), *wanted.values()]
    run = start(command, DEFAULTS, timeout_s=200)
    assert run.code == 0, run.tail()
    outputs = dict(part.split("\n", 1) for part in re.split(r"^(?=\d:)", run.output, flags=re.MULTILINE) if part)
    return {seed: programs(outputs[words]) for seed, words in wanted.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_both_modes_and_both_worlds_give_the_same_outcomes_under_one_seed(seed: int, on_threads: dict[int, str]) -> None:
    ranks, mode, _ = run_of(seed)
    assert reproducible(ranks, QMPI_MODE=mode, QMPI_SEED=str(seed)) == on_threads[seed]


def test_a_seed_gives_the_same_outcomes_again_and_another_seed_gives_others() -> None:
    first = reproducible(3, QMPI_SEED="11")
    assert first == reproducible(3, QMPI_SEED="11", QMPI_ISA="plain")
    assert first != reproducible(3, QMPI_SEED="12")


def test_without_a_seed_every_run_draws_afresh() -> None:
    assert reproducible(2, QMPI_SEED="") != reproducible(2, QMPI_SEED="")


# --- founding ----------------------------------------------------------------------------------------------------------------------------


def outcomes(run: Run, ranks: int) -> list[str]:
    """What each rank printed."""
    found = dict(re.findall(r"^rank (\d+): (.*)$", run.output, re.MULTILINE))
    assert run.code == 0 and sorted(found) == [str(rank) for rank in range(ranks)], run.tail()
    return [found[str(rank)] for rank in range(ranks)]


@pytest.mark.parametrize("setting", ["QMPI_SEED=7", "QMPI_MODE=faithful", "QMPI_DTYPE=complex64", "QMPI_STRICT=0", "QMPI_MEMORY=67108864"])
def test_settings_that_contradict_rank_0_s_are_refused_on_every_rank(setting: str) -> None:
    run = launch(3, [str(PROGRAMS / "founding.py"), setting], timeout_s=60)
    for outcome in outcomes(run, 3):
        assert outcome.startswith("FoundingError: rank 2: "), run.tail()
        assert setting in outcome and "rank 0" in outcome, run.tail()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("QMPI_SEED=x", "QMPI_SEED must be an integer between 0 and 2^64 - 1, not 'x'"),
        ("QMPI_SEED=-1", "QMPI_SEED must be"),
        ("QMPI_SEED=18446744073709551616", "QMPI_SEED must be"),
        ("QMPI_MODE=slow", "QMPI_MODE must be fast or faithful, not 'slow'"),
        ("QMPI_DTYPE=float", "QMPI_DTYPE must be complex128 or complex64, not 'float'"),
        ("QMPI_STRICT=yes", "QMPI_STRICT must be 0 or 1, not 'yes'"),
        ("QMPI_MEMORY=much", "QMPI_MEMORY must be a size"),
        ("QMPI_MEMORY=-1G", "QMPI_MEMORY must be a size"),
        ("QMPI_MEMORY=1000", "QMPI_MEMORY must be a size"),
        ("QMPI_TIMEOUT_S=0", "QMPI_TIMEOUT_S must be a positive number of seconds, not '0'"),
        ("QMPI_TIMEOUT_S=nan", "QMPI_TIMEOUT_S must be"),
    ],
)
def test_a_bad_setting_is_refused_on_every_rank_and_named(setting: str, message: str) -> None:
    run = launch(2, [str(PROGRAMS / "founding.py"), setting], timeout_s=60)
    for outcome in outcomes(run, 2):
        assert outcome.startswith(f"FoundingError: rank 1: {message}"), run.tail()


@pytest.mark.parametrize("case", ["halves", "one", "inner"])
def test_a_communicator_outside_the_universe_is_refused_on_every_rank(case: str) -> None:
    run = launch(3, [str(PROGRAMS / "founding.py"), case], timeout_s=60)
    for outcome in outcomes(run, 3):
        assert outcome.startswith("OutsideUniverse: ") and "largest" in outcome, run.tail()


def test_a_rank_that_does_not_come_to_the_founding_is_named() -> None:
    run = launch(3, [str(PROGRAMS / "comes_late.py")], timeout_s=60)
    assert run.code == 0 and run.output.count("qmpi: rank 2 of 3 made no qmpi call within 10 s; the others wait") == 1, run.tail()


# --- leaving -----------------------------------------------------------------------------------------------------------------------------


def test_exit_reports_what_was_not_undone_and_not_received_and_waits_for_nobody() -> None:
    run = launch(2, [str(PROGRAMS / "leaving.py"), "leaves"], timeout_s=60)
    assert run.code == 0, run.tail()
    assert re.search(r"rank 0 leaves without undoing copy sent.*tag 3.*leaving\.py:11", run.output), run.tail()
    assert re.search(r"rank 1 leaves without undoing copy received.*leaving\.py:14", run.output), run.tail()
    assert run.output.count("1 message(s) were never received") == 1, run.tail()


def test_close_warns_of_what_was_not_undone_and_strictly_refuses() -> None:
    run = launch(2, [str(PROGRAMS / "leaving.py"), "closes"], {"QMPI_STRICT": "0"}, timeout_s=60)
    assert run.code == 0 and run.output.count("OutstandingWarning") == 2, run.tail()
    run = launch(2, [str(PROGRAMS / "leaving.py"), "closes"], {"QMPI_STRICT": "1"}, timeout_s=60)
    assert run.code not in (0, None) and "ObligationError: 1 operation(s) were never undone" in run.output, run.tail()
