"""The short examples: what they print on 1 to 4 ranks, their help, and their answers to wrong calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.worlds.launch import REPOSITORY, Run, launch

EXAMPLES = sorted(file.name for file in (REPOSITORY / "examples").glob("*.py") if file.name != "arguments.py")
MODES = ("fast", "faithful")


def run(name: str, ranks: int, *arguments: str, mode: str = "fast") -> Run:
    result = launch(ranks, [f"examples/{name}.py", *arguments], {"QMPI_MODE": mode})
    assert result.code == 0, result.tail()
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [2, 3])
def test_both_halves_of_a_pair_give_the_same_fair_coin(ranks: int, mode: str) -> None:
    result = run("first_pair", ranks, "--pairs", "40", mode=mode)
    rows = re.findall(r"^rank (\d) measured ([01 ]+)$", result.output, re.MULTILINE)
    assert [rank for rank, _ in rows] == ["0", "1"], result.tail()
    assert rows[0][1] == rows[1][1] and len(rows[0][1].split()) == 40
    assert set(rows[0][1].split()) == {"0", "1"}
    assert "equal, as they always are" in result.output


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ranks", "rounds"), [(2, 1), (3, 2), (4, 1)])
def test_a_state_comes_round_the_ring_unchanged(ranks: int, rounds: int, mode: str) -> None:
    result = run("teleport_ring", ranks, "--theta", "0.7", "--rounds", str(rounds), mode=mode)
    assert result.output.count("P(1) = 0.117579") == ranks + 1, result.tail()
    moves = ranks * rounds
    assert f"unchanged after {moves} moves: {moves} EPR pairs, {2 * moves} bits" in result.output, result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_all_ranks_of_a_ghz_state_measure_the_same(ranks: int, mode: str) -> None:
    result = run("ghz", ranks, mode=mode)
    outcomes = re.findall(r"^ranks measured ([01 ]+)$", result.output, re.MULTILINE)[0].split()
    assert len(outcomes) == ranks and len(set(outcomes)) == 1, result.tail()
    assert f"{ranks - 1} EPR pairs, {ranks - 1} bits" in result.output, result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_remote_cnot_makes_a_bell_state_for_one_pair_and_two_bits(ranks: int, mode: str) -> None:
    result = run("remote_cnot", ranks, mode=mode)
    lines = [line for line in result.output.splitlines() if "⟩" in line]
    assert lines == ["+0.7071 |rank 1: 0, rank 0: 0⟩", "+0.7071 |rank 1: 1, rank 0: 1⟩"], result.tail()
    assert "1 EPR pair, 2 bits" in result.output, result.tail()


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_teaches_once(name: str) -> None:
    result = launch(3, [f"examples/{name}", "--help"])
    assert result.code == 0, result.tail()
    assert result.output.count("usage:") == 1, result.tail()
    assert re.search(rf"mpiexec -n \d python examples/{name}", result.output), result.tail()
    opening = (REPOSITORY / "examples" / name).read_text().split('"""')[1].splitlines()[0]
    assert opening in result.output, result.tail()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_unknown_argument_is_refused_in_one_line(name: str) -> None:
    result = launch(2, [f"examples/{name}", "--typo"])
    own = [line for line in result.output.splitlines() if line.startswith(f"{name}:")]
    assert result.code == 2, result.tail()
    assert own == [f"{name}: unrecognized arguments: --typo (--help explains)"], result.tail()


@pytest.mark.parametrize("name", ["first_pair", "teleport_ring", "remote_cnot", "phase_estimation", "ising_annealing_persistent"])
def test_too_few_ranks_are_refused_with_the_right_command(name: str) -> None:
    result = launch(1, [f"examples/{name}.py"])
    assert result.code == 2, result.tail()
    assert f"needs at least 2 ranks: mpiexec -n 2 python examples/{name}.py" in result.output, result.tail()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("first_pair", ["--pairs", "none"]), ("teleport_ring", ["--theta", "nan"]), ("teleport_ring", ["--rounds", "0"])],
)
def test_a_wrong_value_is_refused_in_one_line(name: str, arguments: list[str]) -> None:
    result = launch(2, [f"examples/{name}.py", *arguments])
    own = [line for line in result.output.splitlines() if line.startswith(f"{name}.py: argument {arguments[0]}: expects ")]
    assert result.code == 2 and len(own) == 1, result.tail()
    assert "Traceback" not in result.output


def test_an_example_is_short() -> None:
    for name in EXAMPLES:
        assert len(Path(REPOSITORY / "examples" / name).read_text().splitlines()) < 80, name
