"""Every program that the site shows runs as its page says, and prints what its page says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qmpi.cli.launcher import find
from tests.docs.pages import DOCS, PAGES, REPOSITORY, Run, differences, programs, runs
from tests.worlds.launch import start

TIMEOUT_S = 60
SHOWING = [page for page in PAGES if programs(page) or runs(page)]


def name(page: Path) -> str:
    return str(page.relative_to(DOCS))


def command(words: tuple[str, ...]) -> list[str]:
    """What the words of a page mean here: this Python, and the launcher that belongs to it."""
    meant = {"python": [sys.executable], "qmpi": [sys.executable, "-m", "qmpi"]}
    begin, rest = (find().command(int(words[2])), words[3:]) if words[0] == "mpiexec" else ([], words)
    return begin + [part for word in rest for part in meant.get(word, [word])]


def run_in(folder: Path, run: Run) -> tuple[int | None, str]:
    """Runs a page's command in `folder`; gives its exit status and what it printed."""
    # A line that Python writes in parts mixes with other ranks' lines.
    done = start(command(run.words), find().environment() | run.settings | {"PYTHONUNBUFFERED": ""}, TIMEOUT_S, folder)
    return done.code, done.output


@pytest.mark.parametrize("page", SHOWING, ids=name)
def test_a_page_runs_each_of_its_programs(page: Path) -> None:
    assert set(programs(page)) == {run.words[-1] for run in runs(page)}


def test_the_tutorial_shows_programs() -> None:
    assert sum(len(runs(page)) for page in SHOWING if name(page).startswith("tutorial/")) >= 12


def into(folder: Path, page: Path) -> Path:
    """The folder, with the page's programs in it."""
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    for program, text in programs(page).items():
        if not program.startswith("examples/"):
            (folder / program).write_text(text)
    return folder


@pytest.mark.parametrize("page", SHOWING, ids=name)
def test_a_program_prints_what_its_page_says(page: Path, tmp_path: Path) -> None:
    folder = into(tmp_path, page)
    for run in runs(page):
        code, output = run_in(folder, run)
        shown = f"{run.settings} {run.words}, exit status {code}:\n{output}"
        assert not differences(run.printed, output), shown
        assert (code != 0) == run.fails, shown


def test_a_replayed_race_has_the_outcomes_of_the_recorded_one(tmp_path: Path) -> None:
    page = DOCS / "howto" / "reproduce.md"
    folder = into(tmp_path, page)
    record, replay, *_ = runs(page)
    assert record.settings["QMPI_ORDER"].startswith("record:") and replay.settings["QMPI_ORDER"].startswith("replay:")
    first, *again = [sorted(run_in(folder, run)[1].splitlines()) for run in (record, replay, replay)]
    assert again == [first, first]


# --- the comparison itself -----------------------------------------------------------------------------------------------------------


def test_a_line_that_did_not_come_and_one_too_many_are_both_found() -> None:
    assert differences(("a", "b …"), "b 3\na") == []
    assert differences(("a", "b …"), "a\nc") == ["- b …", "+ c"]
    assert differences(("a", "a"), "a") == ["- a"]
    assert differences(("a", "…"), "x\na\ny") == []
    assert differences(("a", "…"), "x") == ["- a"]
