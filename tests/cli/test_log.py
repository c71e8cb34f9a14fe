"""QMPI_LOG=debug: one line for each call of the program, in both worlds, and nothing at all without it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.terminal import qmpi

PROGRAMS = Path(__file__).parent / "programs"
TALKS = PROGRAMS / "talks.py"
LINE = re.compile(r"rank (\d+): (?P<call>[\w.]+)\((?P<arguments>.*?)\) at (?P<where>\w+\.py:\d+)(?P<outcome>.*) \(\d+\.\d ms\)")
WORLDS = pytest.mark.parametrize("world", [[], ["--threads"]], ids=["processes", "threads"])


def line_of(mark: str) -> int:
    """The number of the line of talks.py with this comment."""
    return next(number for number, line in enumerate(TALKS.read_text().splitlines(), 1) if line.endswith(f"  # {mark}"))


def told(world: list[str], program: Path, ranks: int = 2) -> tuple[list[re.Match[str]], str]:
    """The lines of the log, all of which must be whole, and what the program printed."""
    done = qmpi("run", *world, "-n", ranks, "--log", "debug", "--seed", 1, program)
    assert done.returncode == 0, done
    matches = [LINE.fullmatch(line) for line in done.stderr.splitlines()]
    assert all(matches), done.stderr
    return [match for match in matches if match], done.stdout


def call(name: str, arguments: str, mark: str, outcome: str = "") -> tuple[str, ...]:
    return name, arguments, f"talks.py:{line_of(mark)}", outcome


@WORLDS
def test_every_call_is_one_line_with_rank_arguments_source_line_and_result(world: list[str]) -> None:
    lines, _ = told(world, TALKS)
    calls: dict[str, list[tuple[str, ...]]] = {"0": [], "1": []}
    for line in lines:
        calls[line[1]].append(line.group("call", "arguments", "where", "outcome"))
    ending = [
        call("reset", "1 qubit", "reset"),
        call("probability", "1 qubit", "probability", " -> 0.0"),
        call("rx", "0.5, 1 qubit", "rotation"),
    ]
    for rank in ("0", "1"):
        *others, measured, collective = calls[rank]
        assert others[-3:] == ending
        assert measured[:3] == call("measure", "1 qubit", "measure")[:3] and re.fullmatch(r" -> Bits\([01]\)", measured[3])
        assert collective[:3] == call("comm.measure", "1 qubit", "collective")[:3]
        assert re.fullmatch(r" -> \[Bits\([01]\), Bits\([01]\)\]", collective[3])
    assert calls["0"][:-5] == [
        call("comm.alloc", "", "alloc", " -> 1 qubit"),
        call("h", "1 qubit", "gate"),
        call("comm.send", "1 qubit, dest=1, tag=5", "send", " -> copy sent, rank 1"),
        call("comm.unsend", "1 qubit", "unsend"),
        call("comm.send_move", "1 qubit, 1", "move", " -> move sent, rank 1"),
        call("leave", "move sent, rank 1", "move"),
        call("cx", "1 qubit, 1 qubit", "refused", " raised DuplicateQubit"),
    ]
    assert calls["1"][:-5] == [
        call("comm.alloc", "", "alloc", " -> 1 qubit"),
        call("comm.recv", "source=0, tag=qmpi.ANY_TAG", "recv", " -> 1 qubit"),
        call("comm.unrecv", "1 qubit", "unrecv"),
        call("comm.recv_move", "source=0", "moved", " -> 1 qubit"),
        call("leave", "1 qubit", "moved"),
        call("comm.irecv", "source=0", "irecv", " -> request"),
        call("request.test", "", "test", " -> False"),
        call("request.cancel", "", "cancel", " -> True"),
    ]


@WORLDS
def test_errors_read_the_same_with_the_log(world: list[str]) -> None:
    _, output = told(world, TALKS)
    plain = qmpi("run", *world, "-n", 2, "--seed", 1, TALKS)
    assert plain.returncode == 0 and plain.stdout == output and f"cx at {TALKS}:{line_of('refused')}]" in output


@WORLDS
def test_lines_of_ranks_that_all_talk_at_once_stay_whole(world: list[str]) -> None:
    lines, _ = told(world, PROGRAMS / "chatters.py", ranks=4)
    assert Counter((line[1], line["call"]) for line in lines) == {
        (str(rank), name): times for rank in range(4) for name, times in (("comm.alloc", 1), ("h", 200), ("measure", 200))
    }


# --- what is wrapped --------------------------------------------------------------------------------------------------------------------

WRAPPED = """
import qmpi
owners = {"Comm": qmpi.Comm, "Request": qmpi.Request, "gates": qmpi.gates, "qmpi": qmpi, "api": qmpi.api}
for owner, names in owners.items():
    for name in dir(names):
        if not name.startswith("_") and hasattr(getattr(names, name), "__wrapped__"):
            print(f"{owner}.{name}")
"""
SIGNS = """
import inspect, qmpi
for owner in (qmpi.Comm, qmpi.Request):
    for name, member in inspect.getmembers(owner, inspect.isfunction):
        if not name.startswith("_"):
            print(f"{owner.__name__}.{name}")
for name in (*qmpi.gates.TABLE, "measure", "reset", "probability", "expectation"):
    print(f"gates.{name}" if name in qmpi.gates.TABLE else f"api.{name}")
    if hasattr(qmpi, name):
        print(f"qmpi.{name}")
"""


def printed(code: str, tmp_path: Path, **settings: str) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(code)
    done = qmpi("run", "-n", 1, program, **settings)
    assert done.returncode == 0 and not done.stderr, done
    return sorted(done.stdout.split())


def test_nothing_is_wrapped_without_it(tmp_path: Path) -> None:
    assert printed(WRAPPED, tmp_path) == printed(WRAPPED, tmp_path, QMPI_LOG="") == []


def test_everything_public_is_wrapped_with_it(tmp_path: Path) -> None:
    wrapped = printed(WRAPPED, tmp_path, QMPI_LOG="debug")
    assert wrapped == printed(SIGNS, tmp_path) and len(wrapped) > 100
