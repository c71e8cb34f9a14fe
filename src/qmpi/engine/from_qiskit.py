"""Qiskit circuits as lists of gates. The only module of the engine that knows Qiskit, by duck typing: it imports nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import InvalidArgument
from ..gates import TABLE
from ..gates.table import ANY

_NOTHING = {"barrier", "delay"}
_REFUSED = {"measure", "reset", "initialize", "if_else", "while_loop", "for_loop", "switch_case", "store"}
Triple = tuple[str, tuple[int, ...], tuple[Any, ...]]


def is_circuit(gates: Any) -> bool:
    """Whether it is a circuit of Qiskit's."""
    return type(gates).__module__.partition(".")[0] == "qiskit" or all(hasattr(gates, name) for name in ("data", "qubits", "global_phase"))


def triples(circuit: Any, num_qubits: int) -> list[Triple]:
    """The gates of a circuit; what the gate table lacks is taken apart as its definition says.

    Raises:
        InvalidArgument: more qubits than the state has, an operation that is no gate, or an angle without a value.
    """
    if circuit.num_qubits > num_qubits:
        raise InvalidArgument(f"the circuit has {circuit.num_qubits} qubits, the state {num_qubits}")
    return [*_global_phase(circuit, 0), *_gates(circuit, range(circuit.num_qubits))]


def _gates(circuit: Any, numbers: Sequence[int]) -> Iterator[Triple]:
    for instruction in circuit.data:
        qubits = tuple(numbers[circuit.find_bit(qubit).index] for qubit in instruction.qubits)
        yield from _gate(instruction.operation, qubits)


def _gate(operation: Any, qubits: tuple[int, ...]) -> Iterator[Triple]:
    name = operation.name
    if name in _NOTHING:
        return
    if name in _REFUSED or getattr(operation, "condition", None) is not None:
        raise InvalidArgument(f"the circuit has {name}: a state vector applies gates only; use measure() and reset() of the state")
    row = TABLE.get(name)
    plain = getattr(operation, "ctrl_state", None) in (None, 2 ** getattr(operation, "num_ctrl_qubits", 0) - 1)
    if name == "unitary":
        yield name, qubits, (operation.params[0],)
    elif row is not None and plain and row.targets != ANY and row.parameters == len(operation.params):
        try:
            yield name, qubits, tuple(float(angle) for angle in operation.params)
        except TypeError as error:
            raise InvalidArgument(f"the circuit's {name} has an angle without a value: {operation.params}") from error
    elif operation.definition is not None:
        yield from _global_phase(operation.definition, qubits[0])
        yield from _gates(operation.definition, qubits)
    else:
        yield "unitary", qubits, (operation.to_matrix(),)


def _global_phase(circuit: Any, qubit: int) -> Iterator[Triple]:
    phase = float(circuit.global_phase)
    if phase:  # exp(i phase) = p(2 phase) rz(-2 phase)
        yield "p", (qubit,), (2 * phase,)
        yield "rz", (qubit,), (-2 * phase,)
