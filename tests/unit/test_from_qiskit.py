"""Qiskit circuits as lists of gates: whatever Qiskit can make of its gates, the state vector does what Qiskit says it does."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import AnnotatedOperation, ControlModifier, Gate, InverseModifier, Parameter, PowerModifier
from qiskit.circuit.library import (
    GlobalPhaseGate,
    PauliEvolutionGate,
    PauliGate,
    SwapGate,
    UnitaryGate,
    XGate,
    standard_gates,
)
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary

import qmpi
from qmpi import errors

NEEDED = {"num_ctrl_qubits": 3, "num_qubits": 3}  # of constructors; what else they need is an angle


def standard() -> dict[str, Gate]:
    """An instance of each of Qiskit's standard gates."""
    rng, gates = np.random.default_rng(47), {}
    for name, kind in inspect.getmembers(standard_gates, inspect.isclass):
        if not issubclass(kind, Gate) or not kind.__module__.startswith(standard_gates.__name__) or name == "GlobalPhaseGate":
            continue
        parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
        needed = [each for each in parameters if each.default is each.empty and each.kind == each.POSITIONAL_OR_KEYWORD]
        gates[name] = kind(*(NEEDED.get(each.name, rng.normal()) for each in needed))
    return gates


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # some are deprecated
    STANDARD = standard()
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def amplitudes_of(circuits: list[QuantumCircuit]) -> list[np.ndarray]:
    def program() -> list[np.ndarray]:
        found = []
        for circuit in circuits:
            with qmpi.StateVector(qmpi.COMM_WORLD, circuit.num_qubits) as state:
                state.apply(circuit)
                found.append(state.amplitudes(np.arange(2**circuit.num_qubits)))
        return found

    return qmpi.run(program, 1, seed=1)[0]


def prepared(qubits: int) -> QuantumCircuit:
    """A circuit that begins with a state without symmetries."""
    circuit = QuantumCircuit(qubits)
    for k in range(qubits):
        circuit.ry(0.3 + k, k)
        circuit.rz(0.1 + 0.2 * k, k)
    for k in range(qubits - 1):
        circuit.cx(k, k + 1)
        circuit.ry(0.2 + 0.7 * k, k + 1)
    return circuit


def on_some_qubits(operation: Any, seed: int) -> QuantumCircuit:
    qubits = operation.num_qubits + 1
    circuit = prepared(qubits)
    circuit.append(operation, np.random.default_rng(seed).permutation(qubits)[: operation.num_qubits].tolist())
    return circuit


def require_as_in_qiskit(*circuits: QuantumCircuit) -> None:
    for found, circuit in zip(amplitudes_of(list(circuits)), circuits, strict=True):
        np.testing.assert_allclose(found, Statevector(circuit).data, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_gate_its_inverse_and_its_controlled_kinds_do_what_they_do_in_qiskit(name: str) -> None:
    gate = STANDARD[name]
    kinds = [gate, gate.inverse(), gate.control(1), gate.control(1, ctrl_state=0), gate.control(2, ctrl_state=2)]
    require_as_in_qiskit(*(on_some_qubits(kind, seed) for seed, kind in enumerate(kinds)))


@pytest.mark.parametrize("seed", range(12))
def test_a_random_circuit_does_what_it_does_in_qiskit(seed: int) -> None:
    require_as_in_qiskit(random_circuit(5, 5, max_operands=4, seed=seed))


@pytest.mark.parametrize("name", ["composite", "h", "cx", "swap", "s", "unitary", "barrier", "delay", "measure", "reset"])
def test_a_composite_gate_is_what_it_is_made_of_whatever_its_name(name: str) -> None:
    part = QuantumCircuit(2, name=name, global_phase=0.4)
    part.h(0)
    part.crz(0.3, 0, 1)
    gate = part.to_gate()
    whole = QuantumCircuit(3, name="whole")
    whole.append(gate, [2, 0])
    whole.barrier()
    whole.append(gate.control(1), [0, 1, 2])
    require_as_in_qiskit(on_some_qubits(gate, 1), on_some_qubits(gate.inverse(), 2), on_some_qubits(whole.to_instruction(), 3))


GATES: dict[str, Any] = {
    "global phase, controlled": GlobalPhaseGate(0.3).control(2, ctrl_state=1),
    "unitary on three": UnitaryGate(random_unitary(8, seed=1)),
    "unitary on two, controlled": UnitaryGate(random_unitary(4, seed=1)).control(2, ctrl_state=1),
    "X under open controls": XGate().control(4, ctrl_state=6),
    "evolution": PauliEvolutionGate(SparsePauliOp(["XX", "ZY", "II"]), time=0.3),
    "Pauli product": PauliGate("XYZI"),
    "annotated": AnnotatedOperation(SwapGate(), [ControlModifier(1, 0), InverseModifier(), PowerModifier(3)]),
}


@pytest.mark.parametrize("kind", GATES)
def test_a_gate_made_of_others_does_what_it_does_in_qiskit(kind: str) -> None:
    require_as_in_qiskit(on_some_qubits(GATES[kind], 5))


def test_global_phases_count_wherever_they_stand() -> None:
    phased = QuantumCircuit(3, global_phase=1.1)
    by_gate = prepared(3)
    by_gate.append(GlobalPhaseGate(0.3), [])
    require_as_in_qiskit(phased, by_gate)


def test_a_bound_angle_is_a_number_and_what_takes_no_effect_is_left_out() -> None:
    angle = Parameter("angle")
    circuit = prepared(3)
    circuit.rx(2 * angle, 0)
    circuit.delay(10, 1)
    circuit.barrier()
    circuit.cp(angle / 3, 0, 2)
    require_as_in_qiskit(circuit.assign_parameters({angle: 0.3}))


def test_a_smaller_circuit_acts_on_the_first_qubits() -> None:
    def program() -> np.ndarray:
        state = qmpi.StateVector(qmpi.COMM_WORLD, 4)
        state.apply(prepared(2))
        state.apply(state.compile(prepared(2)))
        return state.amplitudes(np.arange(16))

    twice = Statevector(prepared(2).compose(prepared(2))).data
    np.testing.assert_allclose(qmpi.run(program, 1)[0], [*twice, *[0] * 12], atol=1e-12)


def conditional() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    with circuit.if_test((0, 1)):
        circuit.x(1)
    return circuit


def with_reset() -> QuantumCircuit:
    circuit = prepared(2)
    circuit.reset(0)
    return circuit


def hidden_measurement() -> QuantumCircuit:
    part = QuantumCircuit(1, 1)
    part.measure(0, 0)
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.append(part.to_instruction(), [1], [0])
    return circuit


@pytest.mark.parametrize("make", [conditional, with_reset, hidden_measurement])
def test_what_is_no_gate_is_refused_and_nothing_of_the_circuit_is_applied(make: Any) -> None:
    def program() -> None:
        state = qmpi.StateVector(qmpi.COMM_WORLD, 2)
        state.x(1)
        with pytest.raises(errors.InvalidArgument, match="a state vector applies gates only"):
            state.apply(make())
        np.testing.assert_allclose(state.amplitudes([0, 1, 2, 3]), [0, 0, 1, 0], atol=1e-15)

    qmpi.run(program, 1)


# --- what cannot be taken apart ---------------------------------------------------------------------------------------------------------


def with_opaque() -> QuantumCircuit:
    circuit = prepared(2)
    circuit.append(Gate("opaque", 1, []), [1])
    return circuit


def with_hidden_opaque() -> QuantumCircuit:
    part = QuantumCircuit(1, name="part")
    part.append(Gate("opaque", 1, []), [0])
    circuit = prepared(2)
    circuit.append(part.to_gate(), [1])
    return circuit


def with_controlled_opaque() -> QuantumCircuit:
    circuit = prepared(2)
    circuit.append(AnnotatedOperation(Gate("opaque", 1, []), [ControlModifier(1)]), [0, 1])
    return circuit


def with_open_power() -> QuantumCircuit:
    circuit = prepared(2)
    circuit.append(AnnotatedOperation(PauliEvolutionGate(SparsePauliOp(["X"]), time=Parameter("time")), [PowerModifier(0.5)]), [1])
    return circuit


def with_open_phase() -> QuantumCircuit:
    return QuantumCircuit(2, global_phase=Parameter("angle"))


UNCLEAR = {
    with_opaque: "opaque",
    with_hidden_opaque: "opaque",
    with_controlled_opaque: "opaque|annotated",
    with_open_power: "PauliEvolution|annotated|without a value",
    with_open_phase: "global phase has no value: angle",
    lambda: XGate(): "XGate is no circuit",
    lambda: prepared(2).data: "is no circuit",
    lambda: SparsePauliOp(["XX"]): "SparsePauliOp is no circuit",
}


@pytest.mark.parametrize("make", UNCLEAR, ids=UNCLEAR.values())
def test_what_tells_nothing_of_itself_is_refused_by_name_and_nothing_is_applied(make: Any) -> None:
    def program() -> None:
        state = qmpi.StateVector(qmpi.COMM_WORLD, 2)
        state.x(1)
        for call in (state.apply, state.compile):
            with pytest.raises(errors.InvalidArgument, match=UNCLEAR[make]):
                call(make())
        np.testing.assert_allclose(state.amplitudes([0, 1, 2, 3]), [0, 0, 1, 0], atol=1e-15)

    qmpi.run(program, 1)


# --- sums of Pauli products ---------------------------------------------------------------------------------------------------------------

SUMS: dict[str, Any] = {
    "some": SparsePauliOp(["XIZ", "YYI", "IIZ"], [0.3, -1.2, 2]),
    "with what rounding left": SparsePauliOp(["XIZ", "ZZX"], [0.3 + 1e-14j, 1 - 1e-13j]),
    "with signs": SparsePauliOp(["-XIZ", "YXI"], [1, 2]),
    "a product of sums": (SparsePauliOp(["XII", "IYI"]) @ SparsePauliOp(["XII", "IYI"])).simplify(),
    "a bound coefficient": SparsePauliOp(["IXY"], [Parameter("a")]).assign_parameters([0.7]),
    "nothing": SparsePauliOp(["III"], [0]),
}


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("ranks_per_node", ["", "1"])
def test_a_sum_of_pauli_products_means_what_it_means_in_qiskit(monkeypatch: pytest.MonkeyPatch, kind: str, ranks_per_node: str) -> None:
    monkeypatch.setenv("QMPI_RANKS_PER_NODE", ranks_per_node)

    def program() -> float:
        state = qmpi.StateVector(qmpi.COMM_WORLD, 3)
        state.apply(prepared(3))
        return state.expectation(SUMS[kind])

    expected = Statevector(prepared(3)).expectation_value(SUMS[kind]).real
    np.testing.assert_allclose(qmpi.run(program, 2), [expected] * 2, atol=1e-12)


NO_MEANS: dict[str, Any] = {
    "imaginary": (SparsePauliOp(["XXX"], [1j]), "real coefficients"),
    "a little imaginary": (SparsePauliOp(["XXX", "ZZZ"], [1 + 1e-8j, 1]), "real coefficients"),
    "open": (SparsePauliOp(["XXX"], [Parameter("a")]), "without a value"),
    "of other qubits": (SparsePauliOp(["XX"]), "strings of 3 letters"),
    "not finite": (SparsePauliOp(["XXX"], [np.inf]), "finite"),
}


@pytest.mark.parametrize("kind", NO_MEANS)
def test_a_sum_without_a_real_mean_is_refused(kind: str) -> None:
    operator, message = NO_MEANS[kind]

    def program() -> None:
        state = qmpi.StateVector(qmpi.COMM_WORLD, 3)
        with pytest.raises(errors.InvalidArgument, match=message):
            state.expectation(operator)
        with pytest.raises(errors.InvalidArgument, match="no coefficients besides"):
            state.expectation(SUMS["some"], [1, 2, 3])
        assert state.expectation(["ZZZ", "IIZ"], np.array([1 + 0j, 2])) == 3
        assert state.expectation(["ZZZ"], [2 + 0j]) == 2

    qmpi.run(program, 1)
