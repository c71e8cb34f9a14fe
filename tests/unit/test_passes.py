"""Laws of plans on states of more than one chunk: any starting layout, any number of threads, any angle, run again and again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qmpi import _core
from tests import dense

TOLERANCE = {False: 1e-12, True: 2e-5}  # of an amplitude, by single precision
MakeVector = Callable[..., _core.Vector]

each_precision = pytest.mark.parametrize("single_precision", TOLERANCE, ids=["complex128", "complex64"])


@pytest.fixture(params=_core.kernels.available())
def make_vector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeVector:
    """`make_vector(state, single_precision, threads)`: a vector that holds the state."""
    monkeypatch.setenv("QMPI_ISA", request.param)
    sessions: list[_core.Session] = []

    def make(state: np.ndarray, single_precision: bool = False, threads: int = 1) -> _core.Vector:
        arena = _core.Arena.create(1, 0, False, False, 1 << 28)
        session = _core.Session(arena, 0)
        session.set_threads(threads)
        vector = _core.Vector(arena, len(state).bit_length() - 1, single_precision, session.hire())
        vector.amplitudes[:] = state
        sessions.append(session)  # its threads work as long as it lives
        return vector

    return make


def circuit_of(layout: list[int], gates: list[dense.Triple]) -> _core.Circuit:
    circuit = _core.Circuit(len(layout), layout)
    circuit.add(_core.parse_gates(len(layout), gates))
    return circuit


def places(layout: list[int]) -> np.ndarray:
    """Where in memory each index is, when qubit k is at bit layout[k]."""
    indices = np.arange(2 ** len(layout))
    return np.asarray(sum((indices >> qubit & 1) << b for qubit, b in enumerate(layout)))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
@each_precision
def test_any_number_of_threads_does_what_the_gates_do(make_vector: MakeVector, seed: int, threads: int, single_precision: bool) -> None:
    """Tiles of the machine's choice, and small ones, so that there are many chunks to share."""
    rng = np.random.default_rng([seed, threads])
    qubits = 14 if seed % 2 else 13
    gates, state = dense.random_gates(rng, qubits, 40), dense.random_state(rng, qubits)
    vector, circuit = make_vector(state, single_precision, threads), circuit_of(list(range(qubits)), gates)
    circuit.restore_order()
    vector.run(vector.plan(circuit) if seed < 2 else vector.plan(circuit, *(int(rng.integers(5, top)) for top in (11, 7, 9))))
    np.testing.assert_allclose(vector.amplitudes, dense.run(state, gates), atol=TOLERANCE[single_precision], rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_qubits_may_be_anywhere_before_and_after(make_vector: MakeVector, seed: int) -> None:
    """Exchanges at the end of a circuit only move labels; restoring the order moves amplitudes, and changes none."""
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(2, 12))
    gates, state, layout = dense.random_gates(rng, qubits, 30), dense.random_state(rng, qubits), rng.permutation(qubits).tolist()
    exchanges = dense.random_gates(rng, qubits, 3, names=["swap"])
    vector = make_vector(state)
    vector.amplitudes[places(layout)] = state
    circuit = circuit_of(layout, gates)
    after_gates = circuit.layout
    circuit.add(_core.parse_gates(qubits, exchanges))
    plan = vector.plan(circuit, 6, 4, 5)
    vector.run(plan)
    np.testing.assert_allclose(vector.amplitudes[places(after_gates)], dense.run(state, gates), atol=1e-12, rtol=0)
    labelled = vector.amplitudes[places(plan.layout)]
    np.testing.assert_allclose(labelled, dense.run(state, [*gates, *exchanges]), atol=1e-12, rtol=0)
    ordering = _core.Circuit(qubits, plan.layout)
    ordering.restore_order()
    assert ordering.layout == list(range(qubits))
    vector.run(vector.plan(ordering, 6, 4, 5))
    np.testing.assert_array_equal(vector.amplitudes, labelled)


@each_precision
def test_a_plan_can_run_again(make_vector: MakeVector, single_precision: bool) -> None:
    rng = np.random.default_rng(7)
    gates, state = [gate for gate in dense.random_gates(rng, 11, 40) if gate[0] != "swap"], dense.random_state(rng, 11)
    vector = make_vector(state, single_precision)
    plan = vector.plan(circuit_of(list(range(11)), gates), 6, 4, 5)
    assert len(plan) > 3
    for _ in range(3):
        vector.run(plan)
        state = dense.run(state, gates)
        np.testing.assert_allclose(vector.amplitudes, state, atol=TOLERANCE[single_precision], rtol=0)


ANGLES = [0.0, 1e-300, 1e-16, 1e-12, 1e-8, np.pi / 4, np.pi / 2, np.pi, np.nextafter(np.pi, 0), 2 * np.pi, -np.pi, 4 * np.pi, -1e5]
TURNING = ["rx", "ry", "rz", "p", "cp", "crx", "cry", "crz", "rxx", "ryy", "rzz", "mcp"]


@pytest.mark.parametrize("name", TURNING)
def test_angles_near_zero_and_multiples_of_a_quarter_turn_are_exact(make_vector: MakeVector, name: str) -> None:
    """Where entries vanish or nearly do, what merges and cancels must not be more than rounding."""
    rng = np.random.default_rng(11)
    gates: list[dense.Triple] = []
    for angle in ANGLES:
        ((_, qubits, _),) = dense.random_gates(rng, 7, 1, names=[name], widest=4)
        qubits = tuple(sorted(qubits))
        gates += [(name, qubits, (angle,)), ("h", (qubits[0],), ()), (name, qubits, (-angle,)), (name, qubits, (angle,))]
    state = dense.random_state(rng, 7)
    vector = make_vector(state)
    vector.run(vector.plan(circuit_of(list(range(7)), gates), 5, 4, 4))
    np.testing.assert_allclose(vector.amplitudes, dense.run(state, gates), atol=1e-13, rtol=0)


def test_small_angles_add_up(make_vector: MakeVector) -> None:
    """10^4 turns by 1e-9: what is small is not nothing, and its errors are a few roundings."""
    for name in ("rx", "rz"):
        vector = make_vector(dense.run(dense.zero_state(5), [("h", (3,), ())] if name == "rz" else []))
        vector.run(vector.plan(circuit_of(list(range(5)), [(name, (3,), (1e-9,))] * 10_000)))
        odd = vector.amplitudes[8] if name == "rx" else vector.amplitudes[8] / vector.amplitudes[0]
        assert abs(odd - (-1j * np.sin(5e-6) if name == "rx" else np.exp(1e-5j))) < 3e-14


def test_long_circuits_keep_the_norm(make_vector: MakeVector) -> None:
    """4000 roundings of 2.2e-16 could add up to 9e-13; as a random walk they stay far below."""
    rng = np.random.default_rng(13)
    gates = dense.random_gates(rng, 8, 4000, widest=4)
    vector = make_vector(dense.zero_state(8))
    vector.run(vector.plan(circuit_of(list(range(8)), gates)))
    assert abs(sum(vector.weights(0)) - 1) < 2e-13


@each_precision
def test_weights_marginals_and_samples_of_many_chunks_equal_their_definition(make_vector: MakeVector, single_precision: bool) -> None:
    """17 qubits are two chunks."""
    rng = np.random.default_rng(17)
    state = dense.random_state(rng, 17)
    vector = make_vector(state, single_precision, 2)
    stored = vector.amplitudes.astype(complex)
    probabilities, indices = np.abs(stored) ** 2, np.arange(2**17)
    for mask in (0, 1, 1 << 16, 1 << 16 | 1 << 3, 0x1FFFF, 0x0F0F0):
        odd = sum(indices >> b & 1 for b in range(17) if mask >> b & 1) % 2 + 0 * indices
        np.testing.assert_allclose(vector.weights(mask), np.bincount(odd, probabilities, 2), rtol=1e-12)
    for chosen in ([16, 2, 9], [], [16], [0], [3, 0, 15, 1], rng.permutation(17)[:13].tolist(), rng.permutation(17).tolist()):
        values = sum(((indices >> b & 1) << k for k, b in enumerate(chosen)), 0 * indices)
        np.testing.assert_allclose(vector.marginal(chosen), np.bincount(values, probabilities, 1 << len(chosen)), rtol=1e-12)
    ends = np.cumsum(probabilities)
    targets = np.sort(rng.uniform(0, ends[-1], 3000))
    np.testing.assert_array_equal(vector.sample(targets), np.searchsorted(ends, targets, side="right"))


@each_precision
def test_draws_at_the_borders_never_give_an_outcome_of_weight_0(make_vector: MakeVector, single_precision: bool) -> None:
    """The first and the last amplitudes, whole runs of them, and single ones between are 0; targets are exactly where weights end."""
    rng = np.random.default_rng(19)
    for _ in range(40):
        qubits = int(rng.integers(1, 18))
        state = np.zeros(2**qubits, complex)
        occupied = np.unique(rng.integers(0, 2**qubits, int(rng.integers(1, 6))))
        state[occupied] = rng.normal(size=len(occupied)) + 0.1
        state /= np.linalg.norm(state)
        vector = make_vector(state, single_precision)
        ends = np.cumsum(np.abs(vector.amplitudes[occupied].astype(complex)) ** 2)
        targets = np.sort(np.concatenate([[0.0], ends, np.nextafter(ends, 0), np.nextafter(ends, 2)]))
        assert set(vector.sample(targets).tolist()) <= set(occupied.tolist())
        assert vector.sample(np.array([ends[-1], 2.0])).tolist() == [occupied[-1]] * 2


@pytest.mark.parametrize("free", [(33,), (31, 32, 33), (0, 30, 33), (29, 30, 31, 32, 33)], ids=str)
def test_gates_on_few_of_2_to_the_34_amplitudes_change_those_only(free: tuple[int, ...]) -> None:
    """128 GiB of which a few pages exist: controls leave those amplitudes whose index is 1 in all bits but the free ones and the target."""
    arena = _core.Arena.create(1, 0, False, False, 1 << 38)
    vector = _core.Vector(arena, 34, True, 1)
    amplitudes = vector.amplitudes
    rng = np.random.default_rng(23)
    for targets in ((3,), (28,), (28, 7)):
        looked_at = (*targets, *free)
        others = tuple(qubit for qubit in range(34) if qubit not in looked_at)
        numbers = np.arange(2 ** len(looked_at))
        indices = sum((numbers >> k & 1) << qubit for k, qubit in enumerate(looked_at)) + sum(1 << qubit for qubit in others)
        before = dense.random_state(rng, len(looked_at))
        amplitudes[indices] = before
        gates: list[dense.Triple] = [("mcx", (*others, *targets), ()), ("mcp", (*others, *targets), (0.7,))]
        inside = tuple(range(len(targets)))
        expected = dense.run(before, [("mcx", inside, ()), ("mcp", inside, (0.7,))])
        vector.run(vector.plan(circuit_of(list(range(34)), gates)))
        np.testing.assert_allclose(amplitudes[indices], expected, atol=1e-6, rtol=0)
        amplitudes[indices] = 0
