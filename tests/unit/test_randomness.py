"""Draws are what they are documented to be: Philox4x64-10 with NumPy's implementation as the oracle."""

import numpy as np
import pytest
from numpy.random import Philox

from qmpi._core import uniform_draw, vector_draws
from qmpi.errors import InvalidArgument
from qmpi.randomness import choose_seed


@pytest.mark.parametrize("protocol", [False, True])
def test_a_draw_is_philox_of_what_it_is_for(protocol):
    rng = np.random.default_rng(3)
    for _ in range(200):
        seed, number, position = (int(value) for value in rng.integers(2**63, size=3))
        rank = int(rng.integers(2**20))
        key = [seed, (2 if protocol else 1) << 32 | rank]
        counter = (number | position << 64) - 1  # NumPy counts up before it draws
        word = int(Philox(counter=counter, key=np.array(key, np.uint64)).random_raw())
        assert uniform_draw(seed, protocol, rank, number, position) == (word >> 11) * 2.0**-53


def test_the_draws_of_a_state_vector_are_philox_of_its_communicator_its_number_and_theirs():
    rng = np.random.default_rng(3)
    for _ in range(50):
        seed, vector, number = (int(value) for value in rng.integers(2**63, size=3))
        context = int(rng.integers(2**32))
        key, found = [seed, 3 << 32 | context], vector_draws(seed, context, vector, number, 3)
        for position in range(3):
            counter = (number | position << 64 | vector << 128) - 1
            word = int(Philox(counter=counter, key=np.array(key, np.uint64)).random_raw())
            assert found[position] == (word >> 11) * 2.0**-53


def test_draws_are_uniform():
    draws = np.array([uniform_draw(1, False, 0, number, 0) for number in range(20_000)])
    counts, _ = np.histogram(draws, 20, (0, 1))
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi-square with 19 degrees of freedom: P(> 50) = 1e-4, the seed is fixed


def test_seeds_are_numbers_or_fresh():
    assert choose_seed("17") == 17
    assert choose_seed("") != choose_seed(None)
    for text in ("-1", "abc", "1.5", str(2**64)):
        with pytest.raises(InvalidArgument, match="QMPI_SEED"):
            choose_seed(text)
