"""Founding and leaving, by programs under a launcher: a universe is founded once per process, with one seed and one mode."""

from __future__ import annotations

import re

import pytest

from tests.worlds.launch import PROGRAMS, Run, launch


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
