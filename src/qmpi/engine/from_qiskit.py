"""Qiskit's circuits as lists of gates, its sums of Pauli products as strings. The only module of the engine that knows Qiskit, by duck
typing: it imports nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..gates import TABLE
from ..gates.table import ANY

_NOTHING = {"Barrier", "Delay"}
_REFUSED = {"Measure", "Reset", "Initialize", "Store"}
Triple = tuple[str, tuple[int, ...], tuple[Any, ...]]


def is_of_qiskit(gates: Any) -> bool:
    """Whether it is a circuit of Qiskit's, or at least something of Qiskit's."""
    module = _kind(gates).__module__ or ""  # some classes have none
    return module.partition(".")[0] == "qiskit" or _is_circuit(gates)


def triples(circuit: Any, num_qubits: int) -> list[Triple]:
    """The gates of a circuit; what the gate table lacks is taken apart as its definition says.

    Raises:
        InvalidArgument: no circuit, more qubits than the state has, an operation that is no gate or tells nothing of itself, or an angle
            without a value.
    """
    if not _is_circuit(circuit):
        raise InvalidArgument(f"{type(circuit).__name__} is no circuit: append it to a QuantumCircuit, which says on which qubits it acts")
    if circuit.num_qubits > num_qubits:
        raise InvalidArgument(f"the circuit has {circuit.num_qubits} qubits, the state {num_qubits}")
    return list(_gates(circuit, range(circuit.num_qubits)))


def is_pauli_sum(paulis: Any) -> bool:
    """Whether it is a SparsePauliOp of Qiskit's."""
    return hasattr(paulis, "paulis") and hasattr(paulis, "coeffs")


def pauli_sum(operator: Any) -> tuple[list[str], Any]:
    """Its strings, letter k for qubit k, and their coefficients.

    Raises:
        InvalidArgument: a coefficient without a value.
    """
    try:
        coefficients = np.asarray(operator.coeffs, complex)
    except TypeError as error:
        raise InvalidArgument(f"the operator has a coefficient without a value: {list(operator.coeffs)}") from error
    return [label[::-1] for label in operator.paulis.to_labels()], coefficients


def _kind(operation: Any) -> type:
    """What tells an operation: its name is free, a circuit called "cx" is no cx."""
    return getattr(operation, "base_class", type(operation))


def _is_circuit(gates: Any) -> bool:
    return all(hasattr(gates, name) for name in ("data", "qubits", "global_phase"))


def _gates(circuit: Any, numbers: Sequence[int]) -> Iterator[Triple]:
    try:
        phase = float(circuit.global_phase)
    except TypeError as error:
        raise InvalidArgument(f"the circuit's global phase has no value: {circuit.global_phase}") from error
    if phase:  # exp(i phase) = p(2 phase) rz(-2 phase), on whatever qubit
        yield "p", (0,), (2 * phase,)
        yield "rz", (0,), (-2 * phase,)
    for instruction in circuit.data:
        qubits = tuple(numbers[circuit.find_bit(qubit).index] for qubit in instruction.qubits)
        try:
            yield from _gate(instruction.operation, qubits)
        except InvalidArgument:
            raise
        except Exception as error:  # of Qiskit's own code, in a definition that cannot be made
            raise InvalidArgument(f"the circuit's {instruction.operation.name} cannot be taken apart: {error}") from error


def _gate(operation: Any, qubits: tuple[int, ...]) -> Iterator[Triple]:
    kind = _kind(operation)
    if kind.__name__ in _NOTHING:
        return
    if kind.__name__ in _REFUSED or hasattr(operation, "blocks"):
        raise InvalidArgument(
            f"the circuit has {operation.name}: a state vector applies gates only; use measure() and reset() of the state"
        )
    row = TABLE.get(operation.name) if ".standard_gates." in kind.__module__ else None
    plain = getattr(operation, "ctrl_state", None) in (None, 2 ** getattr(operation, "num_ctrl_qubits", 0) - 1)
    if kind.__name__ == "UnitaryGate":
        yield "unitary", qubits, (operation.params[0],)
    elif row is not None and plain and row.targets != ANY and row.parameters == len(operation.params):
        try:
            yield row.name, qubits, tuple(float(angle) for angle in operation.params)
        except TypeError as error:
            raise InvalidArgument(f"the circuit's {row.name} has an angle without a value: {operation.params}") from error
    elif hasattr(operation, "base_op"):
        yield from _gate(_modified(operation), qubits)
    elif (definition := getattr(operation, "definition", None)) is not None:
        yield from _gates(definition, qubits)
    elif hasattr(operation, "to_instruction"):
        yield from _gate(operation.to_instruction(), qubits)
    elif hasattr(operation, "__array__"):
        yield "unitary", qubits, (np.asarray(operation, complex),)
    else:
        raise InvalidArgument(f"the circuit's {operation.name} has neither a definition nor a matrix")


def _modified(annotated: Any) -> Any:
    """The gate that an annotated operation stands for."""
    gate = annotated.base_op
    for modifier in annotated.modifiers:
        if hasattr(modifier, "num_ctrl_qubits"):
            gate = gate.control(modifier.num_ctrl_qubits, ctrl_state=modifier.ctrl_state)
        else:
            gate = gate.power(modifier.power) if hasattr(modifier, "power") else gate.inverse()
    return gate
