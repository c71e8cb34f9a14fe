"""Every gate of the table as a method of a state vector, in the argument order of `qmpi.gates`, with qubit numbers for qubits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from typing import Any

from .. import gates
from ..gates.table import ANY, Gate

_QUBITS = "number of the qubit"
_DESCRIPTIONS = {
    "controls": "numbers of the controls",
    "qubits": "numbers of the qubits; the first is the least significant bit of the matrix's index",
    "register": "numbers of the qubits, one for each letter",
    "paulis": "letters IXYZ",
    "matrix": "unitary array of shape (2ᵏ, 2ᵏ)",
    **dict.fromkeys(("theta", "phi", "lam", "gamma"), "angle in radians"),
}


class GateMethods(ABC):
    """What has `apply`, and therefore all gates."""

    @abstractmethod
    def apply(self, gates: Any) -> None:
        """Applies a list of (name, qubits, parameters)."""


def _triple(row: Gate, arguments: Sequence[Any]) -> tuple[str, Sequence[Any], Sequence[Any]]:
    if row.targets == ANY:  # unitary(matrix, qubits), pauli_rotation(theta, paulis, register)
        return row.name, arguments[-1], arguments[:-1]
    parameters, qubits = arguments[: row.parameters], arguments[row.parameters :]
    return row.name, [*qubits[0], qubits[1]] if row.controls == ANY else qubits, parameters


def _method(row: Gate) -> Callable[..., None]:
    names = list(signature(getattr(gates, row.name)).parameters)

    def method(self: GateMethods, *arguments: Any) -> None:
        if len(arguments) != len(names):
            raise TypeError(f"{row.name}() takes {len(names)} arguments ({', '.join(names)}), not {len(arguments)}")
        self.apply([_triple(row, arguments)])

    method.__code__ = method.__code__.replace(co_name=row.name)  # as errors name the call
    method.__name__, method.__qualname__, method.__module__ = row.name, f"StateVector.{row.name}", __name__
    method.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in ("self", *names)])  # type: ignore[attr-defined]
    arguments = "\n".join(f"    {name}: {_DESCRIPTIONS.get(name, _QUBITS)}." for name in names)
    method.__doc__ = (
        f"{row.summary}\n\n{row.definition}\n\nArgs:\n{arguments}\n\n**Collective.**\n\n"
        "Raises:\n    InvalidArgument: an argument that cannot be.\n"
    )
    return method


for _row in gates.TABLE.values():
    setattr(GateMethods, _row.name, _method(_row))
