"""The examples of the standard's operations: what comes out, and what it costs, on 1 to 4 ranks in both modes."""

from __future__ import annotations

import re

import pytest

from tests.examples.test_small_examples import MODES, run
from tests.worlds.launch import launch


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_a_measured_parity_is_that_of_what_is_left(ranks: int, mode: str) -> None:
    result = run("parity", ranks, mode=mode)
    parity, outcomes = re.findall(r"^parity ([01]); the ranks then measured ([01 ]+) of parity [01], as it must$", result.output, re.M)[0]
    assert len(outcomes.split()) == ranks and sum(map(int, outcomes.split())) % 2 == int(parity), result.tail()
    assert f"{ranks - 1} EPR pairs, {2 * (ranks - 1)} bits" in result.output, result.tail()


def test_both_parities_and_many_strings_come_up() -> None:
    seeds = [launch(3, ["examples/parity.py"], {"QMPI_SEED": str(seed)}) for seed in range(8)]
    lines = {line for result in seeds for line in result.output.splitlines() if line.startswith("parity")}
    assert {line.split(";")[0] for line in lines} == {"parity 0", "parity 1"}
    assert len(lines) > 2, lines


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ranks", "width", "number"), [(1, 3, 5), (2, 2, 0), (2, 2, 11), (3, 2, 5), (3, 1, 12), (4, 1, 7)])
def test_the_transform_equals_its_closed_form(ranks: int, mode: str, width: int, number: int) -> None:
    result = run("qft", ranks, "--qubits-per-rank", str(width), "--input", str(number), mode=mode)
    assert f"|{number % 2 ** (ranks * width)}⟩" in result.output and "equals the closed form" in result.output, result.tail()
    pairs = (ranks - 1) * ranks * width
    assert f"{pairs} EPR pairs, {2 * pairs} bits" in result.output, result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ranks", "bits", "phase"), [(2, 4, 13), (3, 5, 11), (4, 3, 0)])
def test_a_phase_that_the_register_holds_is_found_exactly(ranks: int, bits: int, phase: int, mode: str) -> None:
    result = run("phase_estimation", ranks, "--bits", str(bits), "--phase", str(phase), mode=mode)
    assert f"phase {phase}/{2**bits}, found {phase}/{2**bits}" in result.output, result.tail()
    assert f"{(ranks - 1) * bits} EPR pairs, {2 * (ranks - 1) * bits} bits" in result.output, result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ranks", "theta"), [(1, "0.7"), (2, "0.7"), (3, "-2.5"), (4, "0.7")])
def test_three_ways_give_one_state_and_their_own_bills(ranks: int, theta: str, mode: str) -> None:
    result = run("pauli_rotation", ranks, f"--theta={theta}", mode=mode)
    pairs = ranks - 1
    assert "one state" in result.output, result.tail()
    rows = re.findall(r"^(\S+) +(\d+) EPR pairs, (\d+) bits$", result.output, re.MULTILINE)
    assert rows == [
        ("in-place", f"{2 * pairs}", f"{4 * pairs}"),
        ("out-of-place", f"{pairs}", f"{3 * pairs}"),
        ("constant-depth", f"{pairs}", f"{max(0, 3 * pairs - 1)}"),
    ], result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_start_of_a_persistent_broadcast_is_classical_only(ranks: int, mode: str) -> None:
    result = run("persistent_broadcast", ranks, "--turns", "4", mode=mode)
    copies = 4 * (ranks - 1)
    rows = re.findall(r"^(\w+) +(\d+) EPR pairs, (\d+) bits$", result.output, re.MULTILINE)
    shared = copies + ranks - 1  # the last ones stay unused
    assert rows == [("bcast_init", f"{shared}", "0"), ("start", "0", f"{copies}"), ("unbcast", "0", f"{copies}")], result.tail()
    assert f"4 turns on {ranks} ranks: {shared} EPR pairs, {2 * copies} bits" in result.output, result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ranks", "width"), [(1, 3), (2, 5), (3, 2), (4, 1)])
def test_rotations_on_all_ranks_add_up(ranks: int, width: int, mode: str) -> None:
    result = run("scatter_rotate_gather", ranks, "--qubits-per-rank", str(width), "--theta", "1.2", mode=mode)
    assert "P(1) = 0.318821, and must be 0.318821" in result.output, result.tail()
    moves = 2 * (ranks - 1) * width
    assert f"{moves} EPR pairs, {2 * moves} bits" in result.output, result.tail()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_annealing_over_pairs_that_are_there_already(ranks: int, mode: str) -> None:
    result = run("ising_annealing_persistent", ranks, mode=mode)
    bits = re.findall(r"^spins +([01 ]+) \(a Néel state\)$", result.output, re.M)[0].replace(" ", "")
    assert bits in ("01" * ranks, "10" * ranks), result.tail()
    assert f"EPR pairs {101 * ranks}\nbits      {200 * ranks}" in result.output, result.tail()


@pytest.mark.parametrize(
    ("name", "arguments", "ranks"),
    [
        ("qft", ["--input", "x"], 2),
        ("phase_estimation", ["--bits", "0"], 2),
        ("pauli_rotation", ["--theta", "much"], 1),
        ("persistent_broadcast", ["--turns", "0"], 1),
        ("scatter_rotate_gather", ["--qubits-per-rank", "6"], 1),
        ("ising_annealing_persistent", ["--spins-per-rank", "1"], 2),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(name: str, arguments: list[str], ranks: int) -> None:
    result = launch(ranks, [f"examples/{name}.py", *arguments])
    assert result.code == 2, result.tail()
    assert result.output.startswith(f"{name}.py: argument {arguments[0]}: expects "), result.tail()


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("qft", ["--qubits-per-rank", "8"], "checks at most 14 qubits, not 16"),
        ("ising_annealing_persistent", ["--spins-per-rank", "11"], "a ring has at most 20 spins here, not 2 × 11"),
    ],
)
def test_what_is_too_large_is_refused_before_it_begins(name: str, arguments: list[str], complaint: str) -> None:
    result = launch(2, [f"examples/{name}.py", *arguments])
    own = [line for line in result.output.splitlines() if line.startswith(f"{name}.py:")]
    assert result.code == 2, result.tail()
    assert own == [f"{name}.py: {complaint} (--help explains)"], result.tail()
