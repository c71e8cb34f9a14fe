"""Laws of the state vector on any number of ranks: it equals a dense simulation, whatever is called in whatever order."""

from __future__ import annotations

import numpy as np
import pytest

import qmpi
from qmpi import errors
from tests import dense

NODES = ("2:1-per-node", "4:1-per-node", "4:2-per-node")
pytestmark = pytest.mark.also_in(*(f"{kind}:{nodes}" for kind in ("threads", "mpi") for nodes in NODES))

TOLERANCE = {np.complex128: 1e-11, np.complex64: 5e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
QUBITS = 9
EVERYTHING = np.arange(2**QUBITS)


def bits(qubit: int) -> np.ndarray:
    return EVERYTHING >> qubit & 1


@dtypes
def test_gates_reads_and_measurements_in_any_order_equal_a_dense_simulation(
    comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating]
) -> None:
    tolerance = TOLERANCE[dtype]
    state, expected = qmpi.StateVector(comm, QUBITS, dtype), dense.zero_state(QUBITS)
    for _ in range(12):
        gates = dense.random_gates(rng, QUBITS, int(rng.integers(1, 30)), widest=QUBITS - 2)
        state.apply(gates)
        expected = dense.run(expected, gates)
        match rng.integers(6):
            case 0:
                strings = ["".join(rng.choice(list("IXYZ"), QUBITS - 2)) + "ZI" for _ in range(4)] + ["I" * QUBITS]
                factors = rng.normal(size=5)
                mean = sum(factor * dense.expectation(expected, s) for factor, s in zip(factors, strings, strict=True))
                assert abs(state.expectation(strings, factors) - mean) < 10 * tolerance
            case 1:
                chosen = rng.permutation(QUBITS)[:4].tolist()
                values = sum(bits(qubit) << k for k, qubit in enumerate(chosen))
                sums = np.bincount(values, np.abs(expected) ** 2, 16)
                np.testing.assert_allclose(state.probabilities(chosen), sums, atol=tolerance)
            case 2:
                outcomes = state.sample(64)
                assert outcomes.dtype == np.uint64 and (np.abs(expected[outcomes.astype(int)]) > 0.01 * tolerance).all()
            case 3:
                qubit = int(rng.integers(QUBITS))
                kept = expected * (bits(qubit) == state.measure(qubit))
                expected = kept / np.linalg.norm(kept)
                assert state.measure(qubit) == int(bits(qubit)[np.flatnonzero(expected)[0]])
            case 4:
                assert abs(state.norm() - 1) < tolerance
        np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=tolerance, rtol=0)
    state.restore_order()
    np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=tolerance, rtol=0)
    state.close()


@dtypes
def test_compiled_gates_do_the_same_each_time_wherever_the_qubits_are(
    comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating]
) -> None:
    gates = [*dense.random_gates(rng, QUBITS, 20, widest=5), ("swap", (0, 7), ()), ("swap", (7, 3), ())]
    with qmpi.StateVector(comm, QUBITS, dtype) as state:
        compiled, expected = state.compile(gates), dense.zero_state(QUBITS)
        assert len(compiled) == len(gates)
        for _ in range(4):
            state.apply(compiled)
            state.h(2)
            state.apply(compiled)
            expected = dense.run(expected, [*gates, ("h", (2,), ()), *gates])
            np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=TOLERANCE[dtype], rtol=0)
        for _ in range(2):
            state.apply(state.compile(gates, restore_order=True))
            expected = dense.run(expected, gates)
            assert state._shares.layout == list(range(QUBITS))
            np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=TOLERANCE[dtype], rtol=0)


def test_every_gate_is_a_method_in_the_order_of_the_gate_functions(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    with qmpi.StateVector(comm, QUBITS) as state:
        expected = dense.zero_state(QUBITS)
        for name in qmpi.gates.TABLE:
            (gate,) = dense.random_gates(rng, QUBITS, 1, widest=4, names=[name])
            _, qubits, parameters = gate
            method = getattr(state, name)
            if name in ("mcx", "mcp"):
                method(*parameters, list(qubits[:-1]), qubits[-1])
            elif name in ("unitary", "pauli_rotation"):
                method(*parameters, qubits)
            else:
                method(*parameters, *qubits)
            expected = dense.run(expected, [gate])
        np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=1e-11, rtol=0)


def test_fidelity_compares_two_states_of_any_precision(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    ours, theirs = dense.brickwork(rng, QUBITS, 3), dense.brickwork(rng, QUBITS, 3)
    with qmpi.StateVector(comm, QUBITS) as a, qmpi.StateVector(comm, QUBITS, np.complex64) as b:
        a.apply([*ours, ("swap", (0, 5), ())])
        b.apply(theirs)
        first, second = dense.run(dense.zero_state(QUBITS), [*ours, ("swap", (0, 5), ())]), dense.run(dense.zero_state(QUBITS), theirs)
        assert abs(a.fidelity(b) - abs(np.vdot(first, second)) ** 2) < 1e-5
        b.reset()
        b.apply([*ours, ("swap", (0, 5), ())])
        assert abs(a.fidelity(b) - 1) < 1e-5


def test_a_saved_state_can_be_read_again(comm: qmpi.Comm, rng: np.random.Generator, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = comm.mpi.bcast(str(tmp_path_factory.mktemp("states")) if comm.rank == 0 else None)
    gates = [*dense.brickwork(rng, QUBITS, 3), ("swap", (1, 8), ())]
    with qmpi.StateVector(comm, QUBITS) as state:
        state.apply(gates)
        before = state.amplitudes(EVERYTHING)
        state.save(f"{folder}/state.h5")
        state.reset()
        state.load(f"{folder}/state.h5")
        np.testing.assert_array_equal(state.amplitudes(EVERYTHING), before)
        state.x(0)
        np.testing.assert_array_equal(state.amplitudes(EVERYTHING), before[EVERYTHING ^ 1])


@pytest.mark.ranks(min_size=2)
def test_ranks_that_apply_different_gates_are_told(comm: qmpi.Comm) -> None:
    with qmpi.StateVector(comm, 4) as state:
        state.h(0)
        if comm.rank == 0:
            state.x(1)
        with pytest.raises(errors.MismatchedCollective, match="different numbers of gates"):
            state.flush()


def test_memory_comes_back_when_it_is_closed(comm: qmpi.Comm) -> None:
    before = comm.store_report().bytes
    state = qmpi.StateVector(comm, 12)
    assert comm.store_report().bytes == before + 2**16
    state.close()
    assert comm.store_report().bytes == before
    with pytest.raises(errors.Closed):
        state.h(0)
