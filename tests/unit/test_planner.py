"""Laws of the planner: whatever the circuit, the tiling, the precision and the instruction set, its programs do what the gates do."""

import numpy as np
import pytest

from qmpi import _core
from qmpi.gates import TABLE
from tests import dense

each_seed = pytest.mark.parametrize("seed", range(24))
PRECISIONS = {False: 1e-12, True: 2e-5}  # largest error of an amplitude
DIAGONAL = [name for name in ("z", "s", "t", "rz", "p", "cz", "cp", "crz", "rzz", "ccz", "mcp")]


@pytest.fixture(params=_core.kernels.available())
def make_vector(request, monkeypatch):
    """`make_vector(state, single_precision)`: a vector that holds the state."""
    monkeypatch.setenv("QMPI_ISA", request.param)
    arena = _core.Arena.create(1, 0, False, False, 1 << 30)
    session = _core.Session(arena, 0)
    session.set_threads(2)

    def make(state, single_precision=False):
        vector = _core.Vector(arena, len(state).bit_length() - 1, single_precision, session.hire())
        vector.amplitudes[:] = state
        return vector

    return make


def circuit_of(qubits, gates):
    circuit = _core.Circuit(qubits, list(range(qubits)))
    circuit.add(_core.parse_gates(qubits, gates))
    return circuit


def require_equal(make_vector, gates, state, tiling=(0, 0, 0, 0)):
    """The programs of a plan against the gates one by one, in both precisions."""
    qubits = len(state).bit_length() - 1
    expected = dense.run(state, gates)
    for single_precision, tolerance in PRECISIONS.items():
        vector = make_vector(state, single_precision)
        circuit = circuit_of(qubits, gates)
        circuit.restore_order()
        vector.run(vector.plan(circuit, *tiling))
        np.testing.assert_allclose(vector.amplitudes, expected, atol=tolerance, rtol=0)


def tiling_of(rng):
    """Small tiles, so that a small state has many; runs and chunks of any size in them, whose bits are neighbours or not."""
    return tuple(int(rng.integers(least, most)) for least, most in ((3, 11), (1, 7), (1, 10), (1, 10)))


@each_seed
def test_any_circuit_in_any_tiling_equals_its_gates_one_by_one(make_vector, seed):
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(1, 13))
    gates = dense.random_gates(rng, qubits, int(rng.integers(1, 60)))
    require_equal(make_vector, gates, dense.random_state(rng, qubits), tiling_of(rng))


@each_seed
def test_factors_on_any_bits_of_a_tile_and_outside_are_applied(make_vector, seed):
    """Diagonal gates between Hadamards: terms below and above the tables, across their border, and on bits that no tile has."""
    rng = np.random.default_rng(seed)
    qubits, gates = int(rng.integers(6, 13)), []
    for _ in range(4):
        gates += dense.random_gates(rng, qubits, 12, names=DIAGONAL)
        gates += [("pauli_rotation", tuple(range(0, qubits, 2)), (rng.normal(), "Z" * len(range(0, qubits, 2))))]
        gates += dense.random_gates(rng, qubits, 4, names=["h", "rx", "ry"])
    require_equal(make_vector, gates, dense.random_state(rng, qubits), tiling_of(rng))


@pytest.mark.parametrize("tiling", [(0, 0, 0, 0), (6, 4, 5, 5), (9, 5, 7, 4), (10, 4, 7, 5), (11, 4, 8, 4)], ids=str)
@pytest.mark.parametrize("kind", ["brickwork", "fourier", "ladder", "pairs", "low turns, high pairs"])
def test_circuits_that_people_run_equal_their_gates_one_by_one(make_vector, kind, tiling):
    rng = np.random.default_rng(4)
    gates = {
        "brickwork": dense.brickwork(rng, 11, 6),
        "fourier": dense.fourier(11),
        "ladder": [("h", (0,), ()), *(("cx", (k, k + 1), ()) for k in range(10)), *(("cx", (k + 1, k), ()) for k in range(10))],
        "pairs": dense.random_gates(rng, 11, 60, names=["unitary", "rxx", "ryy", "rzx", "ecr", "iswap", "cswap"]),
        "low turns, high pairs": [
            gate
            for pairs in [((5, 9), (10, 6)), ((5, 6), (7, 9)), ((8, 10), (9, 4))]
            for gate in [*(("ry", (k,), (0.1 + 0.1 * k,)) for k in range(3)), *(("rxx", pair, (0.7,)) for pair in pairs)]
        ],
    }[kind]
    require_equal(make_vector, gates, dense.random_state(rng, 11), tiling)


@pytest.mark.parametrize("tiling", [(0, 0, 0, 0), (6, 4, 5, 4)], ids=str)
def test_a_lone_matrix_on_any_two_bits_is_applied(make_vector, tiling):
    rng = np.random.default_rng(5)
    state = dense.random_state(rng, 12)
    for a, b in [(0, 1), (1, 0), (2, 3), (3, 1), (0, 6), (7, 2), (5, 4), (4, 11), (10, 11), (11, 9)]:
        require_equal(make_vector, [("unitary", (a, b), (dense.random_unitary(rng, 2),))], state, tiling)


@each_seed
def test_a_circuit_and_its_inverse_are_the_identity(make_vector, seed):
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(1, 13))
    state = dense.random_state(rng, qubits)
    gates = dense.random_gates(rng, qubits, 25, widest=5)
    undone = [("unitary", gate[1], (dense.gate_matrix(gate).conj().T,)) for gate in reversed(gates)]
    vector, circuit = make_vector(state), circuit_of(qubits, gates + undone)
    circuit.restore_order()
    vector.run(vector.plan(circuit))
    np.testing.assert_allclose(vector.amplitudes, state, atol=1e-12, rtol=0)


@each_seed
def test_means_of_pauli_products_equal_their_definition(make_vector, seed):
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(1, 13))
    state = dense.random_state(rng, qubits)
    strings = ["".join(rng.choice(list("IXYZ"), qubits)) for _ in range(6)] + ["X" * qubits, "Y" * qubits, "Z" * qubits, "I" * qubits]
    masks = [tuple(sum(1 << k for k, letter in enumerate(s) if letter in both) for both in ("XY", "YZ")) for s in strings]
    for single_precision, tolerance in PRECISIONS.items():
        means = make_vector(state, single_precision).expectations(masks)
        np.testing.assert_allclose(means, [dense.expectation(state, s) for s in strings], atol=tolerance, rtol=0)


def test_what_cancels_needs_no_pass(make_vector):
    vector = make_vector(dense.zero_state(8))
    for gates in (
        [("cx", (0, 5), ()), ("cx", (0, 5), ())],
        [("h", (3,), ()), ("h", (3,), ())],
        [("swap", (0, 7), ()), ("swap", (7, 0), ())],
        [("id", (2,), ()), ("rz", (1,), (0.0,)), ("cp", (1, 2), (0.0,))],
    ):
        circuit = circuit_of(8, gates)
        circuit.restore_order()
        assert len(vector.plan(circuit)) == 0, gates


def test_a_layer_of_gates_is_one_pass_over_a_state_that_fits_a_tile(make_vector):
    rng = np.random.default_rng(0)
    vector = make_vector(dense.random_state(rng, 9))
    assert len(vector.plan(circuit_of(9, dense.brickwork(rng, 9, 20)))) == 1


def test_exchanges_of_qubits_are_labels_until_order_is_restored(make_vector):
    rng = np.random.default_rng(1)
    state = dense.random_state(rng, 7)
    gates = dense.random_gates(rng, 7, 9, names=["swap"])
    vector, circuit = make_vector(state), circuit_of(7, gates)
    assert circuit.empty and circuit.layout != list(range(7))
    circuit.restore_order()
    assert circuit.layout == list(range(7))
    vector.run(vector.plan(circuit))
    np.testing.assert_array_equal(vector.amplitudes, dense.run(state, gates))


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_gate_alone_equals_its_matrix_on_low_middle_and_top_qubits(make_vector, name):
    rng = np.random.default_rng(2)
    (gate,) = dense.random_gates(rng, 9, 1, widest=4, names=[name])
    width = len(gate[1])
    for first in (0, 3, 9 - width):
        require_equal(make_vector, [(name, tuple(range(first, first + width)), gate[2])], dense.random_state(rng, 9), (5, 4, 4))


def test_indices_beyond_two_to_the_31_are_exact():
    """A state of 2^32 amplitudes of which only the pages that are touched exist."""
    arena = _core.Arena.create(1, 0, False, False, 1 << 36)
    owner = _core.Session(arena, 0)
    vector = _core.Vector(arena, 32, True, 1)
    amplitudes = vector.amplitudes
    high, low = 2**32 - 2, 2**31 + 12345
    amplitudes[high], amplitudes[low] = 0.6, 0.8j
    controls = [qubit for qubit in range(32) if high >> qubit & 1]  # all but qubit 0
    vector.run(vector.plan(circuit_of(32, [("mcx", (*controls, 0), ()), ("mcp", tuple(controls), (np.pi,))])))
    np.testing.assert_allclose(amplitudes[[high, high + 1, low]], [0, -0.6, 0.8j], atol=1e-6)
    vector.run(vector.plan(circuit_of(32, [("mcp", (*(qubit for qubit in range(32) if low >> qubit & 1), 30, 29), (np.pi,))])))
    assert amplitudes[low] == np.complex64(0.8j)  # bits 30 and 29 are 0 there
    del owner
