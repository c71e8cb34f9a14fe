"""Laws of the kernels: each one equals its NumPy twin, on every instruction set of this machine and in both precisions.

States are random and not normalised. An error is measured against the norm of the state times that of the matrix; the tolerance
is a small multiple of the precision, as it must be for a single pass over the amplitudes.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmpi import _core
from qmpi.engine import kernels_reference as twins

kernels = _core.kernels

# Hypothesis prints the failing example and the blob that replays it; runs are the same everywhere.
law = settings(derandomize=True)

every_isa = pytest.mark.parametrize("isa", kernels.available())
both_precisions = pytest.mark.parametrize("dtype", [np.complex128, np.complex64])

TOLERANCE = {np.complex128: 2e-15, np.complex64: 5e-7}
TOLERANCE_OF_SUMS = 1e-14  # over all amplitudes, always in double precision
SPECIAL_ENTRIES = [0, 1, -1, 1j, -1j, np.exp(0.3j)]

sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)
angles = st.floats(-10, 10)
scales = st.floats(0.25, 4)
outcomes = st.sampled_from([0, 1])


def random_state(n, dtype, seed):
    rng = np.random.default_rng(seed)
    magnitude = 10 ** rng.uniform(-2, 2)
    return (magnitude * (rng.normal(size=2**n) + 1j * rng.normal(size=2**n))).astype(dtype)


def random_matrix(k, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2**k, 2**k)) + 1j * rng.normal(size=(2**k, 2**k))


def random_unitary(k, seed):
    return np.linalg.qr(random_matrix(k, seed))[0]


def exchange_matrix(diagonal, factors):
    """A diagonal or antidiagonal 2x2 matrix."""
    return np.diag(factors).astype(complex) if diagonal else np.diag(factors).astype(complex)[:, ::-1].copy()


matrices_2x2 = st.one_of(
    st.builds(random_unitary, st.just(1), seeds),
    st.builds(random_matrix, st.just(1), seeds),
    st.builds(exchange_matrix, st.booleans(), st.tuples(*[st.sampled_from(SPECIAL_ENTRIES)] * 2)),
)


@st.composite
def bits_and_controls(draw, count):
    """n, `count` distinct bits (a number or a strategy), and a mask of controls among the others."""
    k = count if isinstance(count, int) else draw(count)
    n = draw(st.integers(max(k, 1), 9))
    order = draw(st.permutations(range(n)))
    controls = draw(st.sampled_from([0, 0, 1, 2, 3])) if n > k else 0
    return n, list(order[:k]), sum(1 << b for b in order[k : k + controls])


@st.composite
def pauli_masks(draw):
    n = draw(sizes)
    masks = st.integers(0, 2**n - 1)
    return n, draw(masks), draw(masks)


def call_both(name, isa, psi, **arguments):
    """Call kernel and twin by the same argument names, each on its own copy of psi; return what each leaves or returns."""
    results = []
    for function, extra in ((getattr(kernels, name), {"isa": isa}), (getattr(twins, name), {})):
        copy = psi.copy()
        returned = function(psi=copy, **arguments, **extra)
        results.append(copy if returned is None else np.array(returned))
    return results


def assert_close(got, expected, scale, tolerance):
    error = np.max(np.abs(got - expected))
    assert error <= tolerance * scale, f"error {error / scale} relative to {scale}"


def assert_equals_twin(name, isa, psi, *, factor=1.0, kept=None, **arguments):
    got, expected = call_both(name, isa, psi, **arguments)
    assert_close(got[:kept], expected[:kept], factor * np.linalg.norm(psi), TOLERANCE[psi.dtype.type])


# --- gates --------------------------------------------------------------------------------------------------------------------


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(1), u=matrices_2x2, seed=seeds)
def test_single_is_its_matrix_on_the_target_where_all_controls_are_1(isa, dtype, where, u, seed):
    n, [target], controls = where
    psi = random_state(n, dtype, seed)
    assert_equals_twin("single", isa, psi, target=target, controls=controls, u=u, factor=max(1, np.linalg.norm(u)))


@every_isa
@both_precisions
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_every_single_on_every_target_with_every_control_mask_equals_its_twin(isa, dtype, n):
    psi = random_state(n, dtype, n)
    matrices = [random_unitary(1, 5), *(exchange_matrix(d, f) for d in (0, 1) for f in ((1, 1j), (1j, 1), (-1, 1j)))]
    for target, controls, u in itertools.product(range(n), range(2**n), matrices):
        if not controls >> target & 1:
            assert_equals_twin("single", isa, psi, target=target, controls=controls, u=u, factor=2)


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(2), seed=seeds)
def test_swap_exchanges_two_bits_exactly(isa, dtype, where, seed):
    n, [a, b], controls = where
    got, expected = call_both("swap", isa, random_state(n, dtype, seed), a=a, b=b, controls=controls)
    assert np.array_equal(got, expected)


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(st.integers(2, 4)), unitary=st.booleans(), seed=seeds)
def test_block_is_its_matrix_with_the_first_target_least_significant(isa, dtype, where, unitary, seed):
    n, targets, controls = where
    u = (random_unitary if unitary else random_matrix)(len(targets), seed)
    psi = random_state(n, dtype, seed)
    assert_equals_twin("block", isa, psi, targets=targets, controls=controls, u=u, factor=max(1, np.linalg.norm(u)))


@every_isa
@both_precisions
@pytest.mark.parametrize("n", [2, 3, 4])
def test_every_block_of_two_bits_with_every_control_mask_equals_its_twin(isa, dtype, n):
    psi, u = random_state(n, dtype, n), random_unitary(2, 5)
    for targets, controls in itertools.product(itertools.permutations(range(n), 2), range(2**n)):
        if not any(controls >> t & 1 for t in targets):
            assert_equals_twin("block", isa, psi, targets=list(targets), controls=controls, u=u, factor=2)


@every_isa
@both_precisions
@pytest.mark.parametrize("k", [5, 6, 7])
def test_blocks_of_many_bits_equal_their_twin(isa, dtype, k):
    rng = np.random.default_rng(k)
    for n in (k, k + 2):
        targets = [int(t) for t in rng.permutation(n)[:k]]
        u = random_unitary(k, k)
        assert_equals_twin("block", isa, random_state(n, dtype, k), targets=targets, controls=0, u=u, factor=2)


@every_isa
@both_precisions
@law
@given(string=pauli_masks(), theta=angles, seed=seeds)
def test_pauli_is_the_rotation_about_the_product_of_paulis(isa, dtype, string, theta, seed):
    n, x, z = string
    assert_equals_twin("pauli", isa, random_state(n, dtype, seed), x=x, z=z, theta=theta)


@every_isa
@both_precisions
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_every_pauli_string_rotates_and_is_measured_as_its_twin(isa, dtype, n):
    psi = random_state(n, dtype, n)
    for x, z in itertools.product(range(2**n), repeat=2):
        assert_equals_twin("pauli", isa, psi, x=x, z=z, theta=0.7)
        got, expected = call_both("expectation", isa, psi, x=x, z=z)
        assert_close(got, expected, np.linalg.norm(psi.astype(complex)) ** 2, TOLERANCE_OF_SUMS)


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(1), seed=seeds)
def test_amplitudes_a_control_or_a_one_on_the_diagonal_masks_out_are_not_visited(isa, dtype, where, seed):
    n, [target], controls = where
    indices = np.arange(2**n)
    controlled = (indices & controls) == controls
    bit = indices >> target & 1
    unitary = random_unitary(1, seed)
    for u, touched in (
        (unitary, controlled),
        (np.diag([1, unitary[0, 0]]), controlled & (bit == 1)),
        (np.diag([unitary[0, 0], 1]), controlled & (bit == 0)),
        (np.diag([1, 1]).astype(complex), np.zeros_like(controlled)),
    ):
        psi = random_state(n, dtype, seed)
        psi[~touched] = np.nan
        kernels.single(psi, target, controls, u, isa=isa)
        assert np.isnan(psi[~touched]).all() and not np.isnan(psi[touched]).any()


# --- reductions ---------------------------------------------------------------------------------------------------------------


@every_isa
@both_precisions
@law
@given(string=pauli_masks(), seed=seeds)
def test_weights_are_the_probabilities_of_the_parity(isa, dtype, string, seed):
    n, mask, _ = string
    psi = random_state(n, dtype, seed)
    got, expected = call_both("weights", isa, psi, mask=mask)
    assert_close(got, expected, np.linalg.norm(psi.astype(complex)) ** 2, TOLERANCE_OF_SUMS)


@every_isa
@both_precisions
@law
@given(string=pauli_masks(), outcome=outcomes, seed=seeds)
def test_a_parity_that_cannot_occur_has_weight_exactly_zero(isa, dtype, string, outcome, seed):
    n, mask, _ = string
    psi = random_state(n, dtype, seed)
    psi[[(i & mask).bit_count() % 2 == outcome for i in range(2**n)]] = 0
    assert kernels.weights(psi, mask, isa=isa)[outcome] == 0


@every_isa
@both_precisions
@law
@given(string=pauli_masks(), seed=seeds)
def test_expectation_is_the_mean_of_the_product_of_paulis(isa, dtype, string, seed):
    n, x, z = string
    psi = random_state(n, dtype, seed)
    got, expected = call_both("expectation", isa, psi, x=x, z=z)
    assert_close(got, expected, np.linalg.norm(psi.astype(complex)) ** 2, TOLERANCE_OF_SUMS)


# --- growing and shrinking ----------------------------------------------------------------------------------------------------


def destination(psi, size):
    """Room for `size` amplitudes that starts with psi; the rest may hold anything."""
    room = np.full(size, np.nan, dtype=psi.dtype)
    room[: psi.size] = psi
    return room


@every_isa
@both_precisions
@law
@given(n=st.integers(0, 6), m=st.integers(0, 4), basis=st.sampled_from([None, 0, -1]), seed=seeds)
def test_join_is_the_tensor_product_with_other_on_top(isa, dtype, n, m, basis, seed):
    psi, other = random_state(n, dtype, seed), random_state(m, dtype, seed + 1)
    if basis is not None:  # a fresh qubit, or one that is known to be 1
        other[:] = 0
        other[basis] = 1
    got, expected = call_both("join", isa, destination(psi, 2 ** (n + m)), other=other)
    assert_close(got, expected, np.linalg.norm(psi) * np.linalg.norm(other), TOLERANCE[dtype])


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(1), value=outcomes, scale=scales, seed=seeds)
def test_project_keeps_one_outcome_and_closes_the_gap(isa, dtype, where, value, scale, seed):
    n, [bit], _ = where
    psi = random_state(n, dtype, seed)
    assert_equals_twin("project", isa, psi, bit=bit, value=value, scale=scale, kept=2 ** (n - 1), factor=scale)


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(2), value=outcomes, scale=scales, seed=seeds)
def test_project_parity_keeps_one_parity_and_drops_the_second_bit(isa, dtype, where, value, scale, seed):
    n, [a, b], _ = where
    psi = random_state(n, dtype, seed)
    assert_equals_twin("project_parity", isa, psi, a=a, b=b, value=value, scale=scale, kept=2 ** (n - 1), factor=scale)


@every_isa
@both_precisions
@law
@given(where=bits_and_controls(2), value=outcomes, scale=scales, seed=seeds)
def test_project_parity_is_cx_then_project(isa, dtype, where, value, scale, seed):
    n, [a, b], _ = where
    at_once, in_steps = (random_state(n, dtype, seed) for _ in range(2))
    kernels.project_parity(at_once, a, b, value, scale, isa=isa)
    kernels.single(in_steps, b, 1 << a, np.array([[0, 1], [1, 0]], dtype=complex), isa=isa)
    kernels.project(in_steps, b, value, scale, isa=isa)
    assert np.array_equal(at_once[: 2 ** (n - 1)], in_steps[: 2 ** (n - 1)])


@every_isa
@both_precisions
@law
@given(n=st.integers(1, 6), m=st.integers(1, 4), value=outcomes, scale=scales, seed=seeds, data=st.data())
def test_join_parity_is_join_then_project_parity(isa, dtype, n, m, value, scale, seed, data):
    a, b = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, m - 1))
    psi, other = random_state(n, dtype, seed), random_state(m, dtype, seed + 1)
    room = destination(psi, 2 ** (n + m - 1))
    got, expected = call_both("join_parity", isa, room, a=a, other=other, b=b, value=value, scale=scale)
    assert_close(got, expected, scale * np.linalg.norm(psi) * np.linalg.norm(other), TOLERANCE[dtype])


# --- reading out --------------------------------------------------------------------------------------------------------------


@every_isa
@both_precisions
@law
@given(n=sizes, factor=st.complex_numbers(max_magnitude=4), seed=seeds, data=st.data())
def test_gather_reads_the_bits_in_the_order_asked_for(isa, dtype, n, factor, seed, data):
    bits = data.draw(st.permutations(range(n)))
    psi, outs = random_state(n, dtype, seed), [np.full(2**n, np.nan, dtype=complex) for _ in range(2)]
    kernels.gather(psi, bits, factor, outs[0], isa=isa)
    twins.gather(psi, bits, factor, outs[1])
    assert_close(outs[0], outs[1], max(1, abs(factor)) * np.linalg.norm(psi), TOLERANCE[np.complex128])


# --- larger states: long runs, and walks that prefetch (from 2^16 amplitudes on) ----------------------------------------------

LARGE = 16


@every_isa
@both_precisions
@pytest.mark.parametrize("bit", [0, 3, 9, 15, *(pytest.param(bit, marks=pytest.mark.thorough) for bit in (1, 2, 14))])
def test_every_kernel_equals_its_twin_on_low_middle_and_top_bits_of_a_large_state(isa, dtype, bit):
    psi = random_state(LARGE, dtype, bit)
    partner = (bit + 5) % LARGE
    mask, controls = 1 << bit | 1 << partner, 1 << (bit + 9) % LARGE
    diagonal, antidiagonal = exchange_matrix(True, (1j, -1)), exchange_matrix(False, (1j, -1))
    phase = exchange_matrix(True, (1, 1j))
    for c, u in itertools.product((0, controls), (random_unitary(1, bit), phase, diagonal, antidiagonal)):
        assert_equals_twin("single", isa, psi, target=bit, controls=c, u=u)
    assert_equals_twin("swap", isa, psi, a=bit, b=partner, controls=controls)
    assert_equals_twin("block", isa, psi, targets=[bit, partner], controls=0, u=random_unitary(2, bit))
    assert_equals_twin("pauli", isa, psi, x=mask, z=1 << bit, theta=0.3)
    assert_equals_twin("pauli", isa, psi, x=0, z=mask, theta=0.3)
    half = psi.size // 2
    for value in (0, 1):
        assert_equals_twin("project", isa, psi, bit=bit, value=value, scale=1.5, kept=half)
        assert_equals_twin("project_parity", isa, psi, a=bit, b=partner, value=value, scale=1.5, kept=half)
    for name, arguments in (
        ("weights", {"mask": 1 << bit}),
        ("weights", {"mask": mask}),
        ("expectation", {"x": mask, "z": 1 << bit}),
        ("expectation", {"x": 0, "z": mask}),
    ):
        got, expected = call_both(name, isa, psi, **arguments)
        assert_close(got, expected, np.linalg.norm(psi.astype(complex)) ** 2, TOLERANCE_OF_SUMS)


@every_isa
@both_precisions
def test_join_parity_and_gather_equal_their_twins_on_a_large_state(isa, dtype):
    psi, other = random_state(LARGE, dtype, 1), random_state(2, dtype, 2)
    for a in (0, 1, 2, 8, LARGE - 1):
        arguments = {"a": a, "other": other, "b": 1, "value": 1, "scale": 1.5}
        got, expected = call_both("join_parity", isa, destination(psi, 2 * psi.size), **arguments)
        assert_close(got, expected, 1.5 * np.linalg.norm(psi) * np.linalg.norm(other), TOLERANCE[dtype])
    outs = np.empty((2, psi.size), dtype=complex)
    for bits in (list(range(LARGE)), list(reversed(range(LARGE)))):
        kernels.gather(psi, bits, 0.5j, outs[0], isa=isa)
        twins.gather(psi, bits, 0.5j, outs[1])
        assert np.array_equal(outs[0], outs[1])


# --- calls that are refused ---------------------------------------------------------------------------------------------------

IDENTITY = np.eye(2, dtype=complex)


def test_the_kernels_and_their_twins_have_the_same_names():
    compiled = {name for name in dir(kernels) if not name.startswith("_")} - {"available"}
    assert compiled == {name for name in compiled if callable(getattr(twins, name, None))}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("single", (3, 0, IDENTITY)),
        ("single", (-1, 0, IDENTITY)),
        ("single", (0, 1, IDENTITY)),
        ("single", (0, 8, IDENTITY)),
        ("single", (0, -1, IDENTITY)),
        ("single", (0, 0, np.eye(4, dtype=complex))),
        ("swap", (1, 1, 0)),
        ("swap", (1, 2, 2)),
        ("block", ([0], 0, IDENTITY)),
        ("block", ([0, 0], 0, np.eye(4, dtype=complex))),
        ("block", ([0, 1], 0, IDENTITY)),
        ("pauli", (8, 0, 0.1)),
        ("weights", (8,)),
        ("expectation", (0, -1)),
        ("join", (np.ones(16, dtype=complex),)),
        ("join", (np.ones(3, dtype=complex),)),
        ("project", (3, 0, 1.0)),
        ("project", (0, 2, 1.0)),
        ("project_parity", (1, 1, 0, 1.0)),
        ("join_parity", (3, np.ones(2, dtype=complex), 0, 0, 1.0)),
        ("join_parity", (0, np.ones(2, dtype=complex), 1, 0, 1.0)),
        ("gather", ([0, 1, 1], 1.0, np.ones(8, dtype=complex))),
        ("gather", ([0, 1], 1.0, np.ones(8, dtype=complex))),
        ("gather", ([0, 1, 2], 1.0, np.ones(4, dtype=complex))),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_touched(name, arguments):
    psi = random_state(3, np.complex128, 1)
    before = psi.copy()
    with pytest.raises(ValueError):
        getattr(kernels, name)(psi, *arguments)
    assert np.array_equal(psi, before)


def test_a_length_that_is_no_power_of_two_is_refused():
    for length in (0, 3, 12):
        with pytest.raises(ValueError, match="power of two"):
            kernels.weights(np.zeros(length, dtype=complex), 0)


def test_arrays_that_cannot_be_changed_in_place_are_refused():
    read_only = np.ones(4, dtype=complex)
    read_only.flags.writeable = False
    for psi in (read_only, np.ones(8, dtype=complex)[::2], np.ones(4), [1, 0]):
        with pytest.raises(TypeError):
            kernels.pauli(psi, 1, 0, 0.1)
    assert kernels.weights(read_only, 1) == (2, 2)


def test_an_instruction_set_is_chosen_by_argument_or_environment_and_refused_if_unknown(monkeypatch):
    psi = np.ones(4, dtype=complex)
    assert "plain" in kernels.available()
    with pytest.raises(ValueError, match="sse9"):
        kernels.weights(psi, 1, isa="sse9")
    monkeypatch.setenv("QMPI_ISA", "plain")
    assert kernels.weights(psi, 1) == (2, 2)
    monkeypatch.setenv("QMPI_ISA", "sse9")
    with pytest.raises(ValueError, match="QMPI_ISA=sse9"):
        kernels.weights(psi, 1)
