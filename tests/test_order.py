"""QMPI_ORDER: a race is run again as it was recorded, in both worlds; what cannot be recorded or replayed is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import qmpi
from qmpi import errors
from tests.worlds.launch import DEFAULTS, PROGRAMS, launch, start

RACING = str(PROGRAMS / "racing.py")


def race(world: str, second: int, **settings: str) -> str:
    """What the ranks print if this rank measures second, unless QMPI_ORDER has it otherwise."""
    arguments = [RACING, str(second)]
    if world == "processes":
        run = launch(2, arguments, settings, timeout_s=60)
    else:
        run = start([sys.executable, "-m", "qmpi", "run", "--threads", "-n", "2", *arguments], DEFAULTS | settings, timeout_s=60)
    assert run.code == 0 and run.output.count("rank ") == 2, run.tail()
    return run.output


@pytest.mark.parametrize(
    ("world", "mode"),
    [
        ("processes", "faithful"),
        ("threads", "fast"),
        pytest.param("processes", "fast", marks=pytest.mark.thorough),
        pytest.param("threads", "faithful", marks=pytest.mark.thorough),
    ],
)
def test_a_replay_gives_what_was_recorded_whoever_comes_second(world: str, mode: str, tmp_path: Path) -> None:
    file = tmp_path / "order"
    recorded = race(world, 0, QMPI_SEED="", QMPI_MODE=mode, QMPI_ORDER=f"record:{file}")
    seed = file.read_text().split()[4].rstrip(",")
    assert race(world, 1, QMPI_SEED=seed, QMPI_MODE=mode) != recorded  # the order matters
    assert race(world, 1, QMPI_SEED="", QMPI_MODE="", QMPI_ORDER=f"replay:{file}") == recorded
    other = "threads" if world == "processes" else "processes"
    assert race(other, 1, QMPI_SEED="", QMPI_MODE=mode, QMPI_ORDER=f"replay:{file}") == recorded


def rotated_pair(rank_of_second_gate: int = 1) -> list[int]:
    """Both halves of a pair measured by both ranks, then one more qubit by one of them."""
    comm = qmpi.COMM_WORLD
    q = comm.alloc(2)
    comm.prepare_epr(q[0], 1 - comm.rank)
    outcomes = [qmpi.measure(q[0])]
    if comm.rank == rank_of_second_gate:
        qmpi.h(q[1])
        outcomes.append(qmpi.measure(q[1]))
    return outcomes


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "order"
    monkeypatch.setenv("QMPI_ORDER", f"record:{file}")
    qmpi.run(rotated_pair, 2, seed=3, mode="faithful")
    monkeypatch.setenv("QMPI_ORDER", f"replay:{file}")
    monkeypatch.delenv("QMPI_SEED", raising=False)
    return file


def test_a_recording_names_its_run_and_every_measurement(recording: Path) -> None:
    first, *lines = recording.read_text().splitlines()
    assert first == "# qmpi order: seed 3, mode faithful, 2 rank(s)"
    assert sorted(lines) == ["0 user 1 0", "1 user 1 0", "1 user 2 0"]


def test_what_comes_after_the_recorded_is_free(recording: Path) -> None:
    recording.write_text("".join(recording.read_text().splitlines(keepends=True)[:2]))  # as if the run had been interrupted
    assert [len(row) for row in qmpi.run(rotated_pair, 2)] == [1, 2]


def test_a_program_that_does_something_else_is_told_what_was_next(recording: Path) -> None:
    lines = recording.read_text().splitlines()
    recording.write_text("\n".join([*lines[:1], "0 user 9 0", *lines[1:], ""]))
    with pytest.raises(errors.Deadlock, match=r"next in the recorded order is 0 user 9 0"):
        qmpi.run(rotated_pair, 2)


@pytest.mark.parametrize(
    ("ranks", "settings", "error", "message"),
    [
        (3, {}, errors.OrderError, "recorded on 2 rank"),
        (2, {"mode": "fast"}, errors.InvalidArgument, "QMPI_MODE is fast, but the run to be replayed had faithful"),
        (2, {"seed": 4}, errors.InvalidArgument, "QMPI_SEED is 4, but the run to be replayed had 3"),
    ],
)
def test_a_replay_of_another_run_is_refused(
    recording: Path, ranks: int, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        qmpi.run(rotated_pair, ranks, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ("replay", errors.InvalidArgument, "must be record:FILE or replay:FILE"),
        ("play:x", errors.InvalidArgument, "must be record:FILE or replay:FILE"),
        ("record:", errors.InvalidArgument, "must be record:FILE or replay:FILE"),
        ("replay:/nowhere/at/all", errors.InvalidArgument, "cannot be read"),
        (f"replay:{__file__}", errors.InvalidArgument, "was not written by"),
        ("record:/nowhere/at/all", errors.OrderError, "cannot be recorded"),
    ],
)
def test_a_wrong_setting_is_refused(order: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QMPI_ORDER", order)
    with pytest.raises(error, match=message):
        qmpi.run(rotated_pair, 2)
