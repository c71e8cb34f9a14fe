"""What the state vector promises on one rank: exact distributions, refusals that touch nothing, files, Qiskit circuits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import XGate, quantum_volume
from qiskit.quantum_info import Statevector

import qmpi
from qmpi import errors
from tests import dense


def on_one_rank(program: Callable[[qmpi.Comm], Any], **settings: Any) -> Any:
    return qmpi.run(lambda: program(qmpi.COMM_WORLD), 1, **({"seed": 11} | settings))[0]


# --- distributions --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_samples_are_distributed_as_the_amplitudes_say(dtype: Any) -> None:
    """Chi-square over 64 outcomes, 63 degrees of freedom: above 120 once in 10^5 seeds; and the seed is fixed."""
    rng, shots = np.random.default_rng(3), 20_000
    gates = [*dense.brickwork(rng, 6, 3), ("swap", (0, 5), ())]

    def program(comm: qmpi.Comm) -> np.ndarray:
        state = qmpi.StateVector(comm, 6, dtype)
        state.apply(gates)
        return state.sample(shots)

    expected = shots * np.abs(dense.run(dense.zero_state(6), gates)) ** 2
    counts = np.bincount(on_one_rank(program).astype(int), minlength=64)
    assert counts.sum() == shots
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 20 < chi_square < 120, chi_square


def test_measurements_are_distributed_as_the_amplitudes_say() -> None:
    def program(comm: qmpi.Comm) -> int:
        state, ones = qmpi.StateVector(comm, 2), 0
        for _ in range(2000):
            state.reset()
            state.ry(2 * np.arcsin(np.sqrt(0.3)), 0)
            state.cx(0, 1)
            ones += state.measure(1)
            assert state.measure(0) == state.measure(1)
        return ones

    assert abs(on_one_rank(program) - 600) < 4.5 * np.sqrt(2000 * 0.3 * 0.7)


def test_an_outcome_of_probability_0_never_comes() -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 14)
        state.h(3)
        state.cx(3, 9)
        assert set(state.sample(500).tolist()) == {0, 1 << 3 | 1 << 9}
        for qubit in (0, 13):
            state.x(qubit)
            assert state.measure(qubit) == 1
        assert set((state.sample(100) & 1).tolist()) == {1}

    for seed in range(10):
        on_one_rank(program, seed=seed)


def prepared(comm: qmpi.Comm) -> qmpi.StateVector:
    state = qmpi.StateVector(comm, 6)
    state.apply([("ry", (k,), (0.4 + k,)) for k in range(6)] + [("cx", (k, (k + 2) % 6), ()) for k in range(6)])
    return state


def flipped(state: qmpi.StateVector, qubits: list[int]) -> None:
    for qubit in qubits:
        if state.measure(qubit):
            state.x(qubit)


ALIKE: dict[str, tuple[Callable[[qmpi.StateVector], Any], Callable[[qmpi.StateVector], Any]]] = {
    "several qubits": (lambda state: list(state.measure([4, 0, 3])), lambda state: [state.measure(k) for k in (4, 0, 3)]),
    "counts": (lambda state: state.counts(90), lambda state: dict(sorted(Counter(f"{n:06b}" for n in state.sample(90).tolist()).items()))),
    "resets": (
        lambda state: [state.reset([1, 5]), state.sample(40).tolist()],
        lambda state: [flipped(state, [1, 5]), state.sample(40).tolist()],
    ),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ALIKE)
def test_calls_made_of_others_draw_as_those_do(kind: str, seed: int) -> None:
    first, second = (on_one_rank(lambda comm, call=call: call(prepared(comm)), seed=seed) for call in ALIKE[kind])
    assert first == second


# --- refusals -------------------------------------------------------------------------------------------------------------------------

GATES: list[tuple[Any, str]] = [
    ([("hadamard", (0,), ())], "no gate is called 'hadamard'"),
    ([("h", (4,), ())], "qubit 4 is outside 0 to 3"),
    ([("h", (-1,), ())], "qubit -1 is outside"),
    ([("h", ("a",), ())], "qubits are whole numbers, not 'a'"),
    ([("h", (0, 1), ())], "h acts on 1 qubits, not 2"),
    ([("cx", (2, 2), ())], "2 is given twice"),
    ([("rx", (0,), ())], "rx takes 1 parameters, not 0"),
    ([("rx", (0,), (np.nan,))], "finite number"),
    ([("rx", (0,), ("x",))], "finite number"),
    ([("mcx", (), ())], "at least 1 qubit"),
    ([("unitary", (0,), (np.ones((2, 2)),))], r"U\^dagger U differs"),
    ([("unitary", (0, 1), (np.eye(2),))], "shape"),
    ([("pauli_rotation", (0, 1), (0.1, "XQ"))], "one letter of IXYZ per qubit"),
    ([("h", (0,))], "a gate is \\(name, qubits, parameters\\)"),
    ([5], "a gate is \\(name, qubits, parameters\\)"),
]


@pytest.mark.parametrize(("gates", "message"), GATES, ids=[message for _, message in GATES])
def test_a_list_with_one_wrong_gate_is_refused_whole(gates: Any, message: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        with pytest.raises(errors.InvalidArgument, match=message):
            state.apply([("x", (0,), ()), *gates])
        assert state.amplitudes(0) == 1

    on_one_rank(program)


CALLS: list[tuple[Callable[[qmpi.StateVector], Any], str]] = [
    (lambda state: state.measure(4), "qubit 4 is not one of 0 to 3"),
    (lambda state: state.measure("a"), "qubit 'a'"),
    (lambda state: state.sample(0), "positive number of shots"),
    (lambda state: state.sample(1.5), "positive number of shots"),
    (lambda state: state.probabilities([1, 1]), "different qubits"),
    (lambda state: state.amplitudes([16]), "from 0 to 2\\^4 - 1"),
    (lambda state: state.amplitudes([0.5]), "whole numbers"),
    (lambda state: state.expectation("ZZZ"), "strings of 4 letters"),
    (lambda state: state.expectation(["ZZZQ"]), "strings of 4 letters"),
    (lambda state: state.expectation(["ZZZZ"], [1, 2]), "one coefficient for each"),
    (lambda state: state.fidelity(qmpi.StateVector(qmpi.COMM_WORLD, 3)), "equally many qubits"),
    (lambda state: state.apply(qmpi.StateVector(qmpi.COMM_WORLD, 3).compile([("h", (0,), ())])), "compiled for 3 qubits"),
    (lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 0), "1 to 48 qubits"),
    (lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 4, np.float64), "complex128 or complex64"),
    (lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 4, device="tpu"), "device must be 'cpu'"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_a_wrong_argument_is_refused_and_nothing_is_touched(call: Callable[[qmpi.StateVector], Any], message: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        state.h(0)
        with pytest.raises(errors.InvalidArgument, match=message):
            call(state)
        np.testing.assert_allclose(state.probabilities([0]), [0.5, 0.5])

    on_one_rank(program)


def test_a_method_with_too_many_arguments_is_a_type_error() -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(TypeError, match=r"h\(\) takes 1 arguments \(qubit\), not 2"):
            qmpi.StateVector(comm, 4).h(0, 1)

    on_one_rank(program)


def test_what_does_not_fit_is_refused_with_what_would_and_nothing_is_taken() -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(errors.StateTooLarge, match=r"30 qubits of complex128 need 16 GiB .* 22 qubits would fit"):
            qmpi.StateVector(comm, 30)
        with pytest.raises(errors.StateTooLarge, match="23 qubits would fit"):
            qmpi.StateVector(comm, 30, np.complex64)
        largest = qmpi.StateVector(comm, 22)
        assert comm.store_report().bytes == 2**26
        largest.close()

    on_one_rank(program, memory="64M")


@pytest.mark.parametrize("threads", ["0", "two", "-1"])
def test_a_wrong_number_of_threads_is_refused(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("QMPI_NUM_THREADS", threads)
    with pytest.raises(errors.InvalidArgument, match="QMPI_NUM_THREADS"):
        on_one_rank(lambda comm: qmpi.StateVector(comm, 4))


# --- files ----------------------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_damaged_or_of_another_state_is_refused_and_the_state_stays(tmp_path: Path) -> None:
    good, other, text, damaged = (tmp_path / name for name in ("good.h5", "other.h5", "text.h5", "damaged.h5"))
    text.write_text("no state vector")

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 10)
        state.h(4)
        state.save(good)
        qmpi.StateVector(comm, 11).save(other)
        with h5py.File(good) as file:
            offset = file["amplitudes"].id.get_chunk_info(0).byte_offset
        content = bytearray(good.read_bytes())
        content[offset + 8] ^= 1
        damaged.write_bytes(content)
        state.x(0)
        for path, message in [
            (text, "cannot read"),
            (tmp_path / "missing.h5", "cannot read"),
            (other, "holds 11 qubits, the state has 10"),
            (damaged, "cannot read"),
        ]:
            with pytest.raises(qmpi.QMPIError, match=message):
                state.load(path)
        np.testing.assert_allclose(state.amplitudes([1, 17]), [np.sqrt(0.5)] * 2)
        state.load(good)
        np.testing.assert_allclose(state.amplitudes([0, 16]), [np.sqrt(0.5)] * 2)

    on_one_rank(program)


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(qmpi.QMPIError, match="cannot write"):
            qmpi.StateVector(comm, 3).save(tmp_path / "no" / "such" / "folder.h5")

    on_one_rank(program)


# --- Qiskit ---------------------------------------------------------------------------------------------------------------------------


def amplitudes_of(circuit: QuantumCircuit) -> np.ndarray:
    def program(comm: qmpi.Comm) -> np.ndarray:
        state = qmpi.StateVector(comm, circuit.num_qubits)
        state.apply(circuit)
        return state.amplitudes(np.arange(2**circuit.num_qubits))

    return np.asarray(on_one_rank(program))


def test_a_qiskit_circuit_does_what_it_does_in_qiskit() -> None:
    circuit = QuantumCircuit(5, global_phase=0.7)
    circuit.h(range(5))
    circuit.append(XGate().control(3, ctrl_state=5), [0, 1, 2, 4])
    circuit.barrier()
    circuit.append(quantum_volume(4, 2, seed=1).to_gate(), [3, 0, 4, 1])
    circuit.rzz(0.3, 0, 4)
    circuit.mcp(0.4, [0, 1, 2], 3)
    circuit.rccx(0, 1, 2)
    circuit.cu(0.1, 0.2, 0.3, 0.4, 2, 0)
    np.testing.assert_allclose(amplitudes_of(circuit), Statevector(circuit).data, atol=1e-12)


def test_a_qiskit_circuit_that_measures_or_lacks_a_value_is_refused() -> None:
    measures = QuantumCircuit(2, 1)
    measures.measure(0, 0)
    open_angle = QuantumCircuit(2)
    open_angle.rx(Parameter("a"), 0)
    wide = QuantumCircuit(3)
    for circuit, message in ((measures, "has measure"), (open_angle, "without a value"), (wide, "has 3 qubits, the state 2")):

        def program(comm: qmpi.Comm, circuit: QuantumCircuit = circuit, message: str = message) -> None:
            with pytest.raises(errors.InvalidArgument, match=message):
                qmpi.StateVector(comm, 2).apply(circuit)

        on_one_rank(program)
