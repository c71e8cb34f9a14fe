"""The main job: what it prints, what it costs, and its state against a dense calculation that shares nothing with qmpi."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.worlds.launch import Run, launch

PROGRAM = "examples/ising_annealing.py"
STATE = str(Path(__file__).with_name("annealing_state.py"))
MODES = ("fast", "faithful")


def run(ranks: int, *arguments: str, mode: str = "fast") -> Run:
    result = launch(ranks, [PROGRAM, *arguments], {"QMPI_MODE": mode})
    assert result.code == 0, result.tail()
    return result


def printed(label: str, result: Run) -> str:
    return re.findall(rf"^{label} +(.*)$", result.output, re.MULTILINE)[0]


def spins(result: Run) -> str:
    return re.sub("[^01]", "", printed("spins", result))


def is_neel(bits: str) -> bool:
    return bits in ("01" * (len(bits) // 2), "10" * (len(bits) // 2))


def dense_annealing(spins: int, steps: int) -> np.ndarray:
    """The same evolution on the whole ring at once: bonds are one diagonal, fields a product of 2 × 2 matrices."""
    index = np.arange(2**spins)
    z = 1 - 2 * (index[:, None] >> np.arange(spins) & 1)
    bonds = np.sum(z * np.roll(z, -1, axis=1), axis=1)
    psi = np.full(2**spins, 2 ** (-spins / 2), complex)
    for i in range(steps):
        coupling = i / steps
        psi = psi * np.exp(-1j * coupling * bonds)
        cosine, sine = np.cos(1 - coupling), 1j * np.sin(1 - coupling)
        for k in range(spins):
            psi = cosine * psi + sine * psi[index ^ 1 << k]
    return psi


def state(ranks: int, spins_per_rank: int, steps: int, mode: str, folder: Path, example: str = "ising_annealing") -> np.ndarray:
    file = folder / "state.npy"
    result = launch(ranks, [STATE, example, str(spins_per_rank), str(steps), str(file)], {"QMPI_MODE": mode})
    assert result.code == 0, result.tail()
    return np.load(file)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [2, 3, 4, 5])
def test_it_costs_100_pairs_and_200_bits_per_rank_and_ends_in_a_neel_state(ranks: int, mode: str) -> None:
    result = run(ranks, "--seed", "1", mode=mode)
    assert printed("EPR pairs", result) == str(100 * ranks), result.tail()
    assert printed("bits", result) == str(200 * ranks), result.tail()
    assert is_neel(spins(result)) and "(a Néel state)" in result.output, result.tail()
    assert len(spins(result)) == 2 * ranks
    assert re.fullmatch(r"\d+\.\d\d s", printed("time", result))


@pytest.mark.parametrize("mode", MODES)
def test_one_rank_closes_its_ring_locally(mode: str) -> None:
    result = run(1, "--spins-per-rank", "6", "--seed", "1", mode=mode)
    assert is_neel(spins(result)) and len(spins(result)) == 6, result.tail()
    assert (printed("EPR pairs", result), printed("bits", result)) == ("0", "0")


@pytest.mark.parametrize(("ranks", "spins_per_rank", "steps"), [(4, 1, 100), (2, 5, 100), (3, 4, 10), (5, 1, 7)])
def test_pairs_and_bits_depend_on_ranks_and_steps_alone(ranks: int, spins_per_rank: int, steps: int) -> None:
    result = run(ranks, "--spins-per-rank", str(spins_per_rank), "--steps", str(steps))
    assert len(spins(result)) == ranks * spins_per_rank
    assert printed("EPR pairs", result) == str(steps * ranks), result.tail()
    assert printed("bits", result) == str(2 * steps * ranks), result.tail()


@pytest.mark.parametrize("times", [6, pytest.param(20, marks=pytest.mark.thorough)])
def test_one_seed_gives_the_same_spins_each_time_in_both_modes(times: int) -> None:
    # 5 steps stop half way, where every outcome is likely: equal ones are no accident.
    arguments = ("--steps", "5", "--spins-per-rank", "3", "--seed", "11")
    seen = {spins(run(4, *arguments, mode=MODES[k % 2])) for k in range(times)}
    assert len(seen) == 1, seen


def test_seeds_differ_and_both_neel_states_come_up() -> None:
    assert {spins(run(2, "--seed", str(seed))) for seed in range(8)} == {"0101", "1010"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("ranks", "spins_per_rank", "steps"),
    [(1, 2, 100), (1, 7, 30), (2, 1, 100), (3, 1, 100), (2, 3, 100), (5, 1, 20), (4, 3, 100), (3, 4, 100), (2, 6, 7)],
)
def test_the_state_equals_a_dense_calculation(ranks: int, spins_per_rank: int, steps: int, mode: str, tmp_path: Path) -> None:
    psi = state(ranks, spins_per_rank, steps, mode, tmp_path)
    expected = dense_annealing(ranks * spins_per_rank, steps)
    assert abs(np.linalg.norm(psi) - 1) < 1e-12
    assert abs(np.vdot(expected, psi)) ** 2 > 1 - 1e-12


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ranks", "spins_per_rank", "steps"), [(2, 3, 100), (3, 2, 30), (4, 2, 7)])
def test_over_pairs_shared_beforehand_the_state_is_the_same(ranks: int, spins_per_rank: int, steps: int, mode: str, tmp_path: Path) -> None:
    psi = state(ranks, spins_per_rank, steps, mode, tmp_path, "ising_annealing_persistent")
    assert abs(np.linalg.norm(psi) - 1) < 1e-12
    assert abs(np.vdot(dense_annealing(ranks * spins_per_rank, steps), psi)) ** 2 > 1 - 1e-12


@pytest.mark.parametrize(("ranks", "probability"), [(2, 0.499989), (3, 0.499968), (4, 0.499784), (5, 0.498177)])
def test_each_neel_state_has_the_known_probability(ranks: int, probability: float, tmp_path: Path) -> None:
    weights = np.abs(state(ranks, 2, 100, "fast", tmp_path)) ** 2
    dense = np.abs(dense_annealing(2 * ranks, 100)) ** 2
    for neel in (int("01" * ranks, 2), int("10" * ranks, 2)):
        assert abs(weights[neel] - probability) < 5e-7
        assert abs(dense[neel] - probability) < 5e-7


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--spins-per-rank", "two"], "expects a whole number of at least 1, not 'two'"),
        (["--spins-per-rank", "0"], "expects a whole number of at least 1, not 0"),
        (["--spins-per-rank", "13"], "a ring has 2 to 24 spins here, not 2 × 13"),
        (["--steps", "-1"], "expects a whole number of at least 1, not -1"),
        (["--steps", "1.5"], "expects a whole number of at least 1, not '1.5'"),
        (["--seed", "-1"], "expects a whole number from 0 to 18446744073709551615, not -1"),
        (["--seed", "18446744073709551616"], "expects a whole number from 0 to 18446744073709551615"),
        (["--sed", "5"], "unrecognized arguments: --sed 5"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments: list[str], complaint: str) -> None:
    result = launch(2, [PROGRAM, *arguments])
    own = [line for line in result.output.splitlines() if line.startswith("ising_annealing.py:")]
    assert result.code == 2, result.tail()
    assert len(own) == 1 and complaint in own[0] and "--help" in own[0], result.tail()
    assert "Traceback" not in result.output


def test_a_ring_of_one_spin_is_refused() -> None:
    result = launch(1, [PROGRAM, "--spins-per-rank", "1"])
    assert result.code == 2 and "a ring has 2 to 24 spins here, not 1 × 1" in result.output, result.tail()
