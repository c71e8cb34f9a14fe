"""The gate table: what a row holds, and the matrix of a row.

A row's numbers (parameters, controls, targets, kind) come from the compiled table, `csrc/gates/gates.cc`. Its
words, inverse and decomposition are added in `qmpi.gates`. It applies no gate and knows no qubits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qmpi._core import gate_matrix, gate_rows
from qmpi.errors import InvalidArgument

ANY = -1  # in place of a number of controls or targets: as many as the call gives

Angles: TypeAlias = Callable[..., tuple[float, ...]]  # from the parameters of one gate to those of another


class Step(NamedTuple):
    """One gate of a decomposition; `qubits` are positions among the decomposed gate's, controls first."""

    name: str
    qubits: tuple[int, ...]
    angles: Angles


@dataclass(frozen=True, slots=True)
class Gate:
    """One row: controls, then targets, and what happens to the targets when all controls are 1.

    Attributes:
        name: Qiskit's name.
        code: Number of the row in the compiled table.
        parameters: How many angles, in radians, precede the qubits in a call.
        controls: How many controls; -1: as many as the call gives.
        targets: How many targets; -1: as many as the call gives.
        kind: "single" (a 2x2 matrix), "swap", "block" (a larger matrix) or "pauli".
        paulis: The string of a fixed Pauli rotation, character k for target k; else empty.
        summary: One sentence.
        definition: The formula.
        inverse: The row that undoes this one; None where no row does (undo the decomposition backwards).
        inverse_angles: From this row's parameters to the inverse's.
        decomposition: Other rows that do the same in turn, global phase included; None for a primitive.
    """

    name: str
    code: int
    parameters: int
    controls: int
    targets: int
    kind: str
    paulis: str
    summary: str
    definition: str
    inverse: str | None
    inverse_angles: Angles
    decomposition: tuple[Step, ...] | None


TABLE: dict[str, Gate] = {}
CORE_ROWS = {row[0]: (code, row[1:]) for code, row in enumerate(gate_rows())}


def same(*angles: float) -> tuple[float, ...]:
    """The angles as they are."""
    return angles


def negated(*angles: float) -> tuple[float, ...]:
    """Every angle negated."""
    return tuple(-angle for angle in angles)


def half(theta: float) -> tuple[float, ...]:
    """Half the angle."""
    return (theta / 2,)


def minus_half(theta: float) -> tuple[float, ...]:
    """Half the angle, negated."""
    return (-theta / 2,)


def fixed(*angles: float) -> Angles:
    """These angles, whatever the gate's parameters."""
    return lambda *_: angles


def at(name: str, *qubits: int, angles: Angles | None = None) -> Step:
    """A step of a decomposition, by default one without angles."""
    return Step(name, qubits, angles or fixed())


def gate(
    name: str,
    summary: str,
    definition: str,
    inverse: str | None = None,
    inverse_angles: Angles = same,
    decomposition: Sequence[Step] | None = None,
) -> Gate:
    """Enter a row, with the compiled table's numbers.

    Raises:
        ImportError: The compiled table has no such row.
    """
    if name not in CORE_ROWS:
        raise ImportError(f"qmpi.gates: the compiled table has no gate {name}; build the package again")
    steps = None if decomposition is None else tuple(decomposition)
    code, numbers = CORE_ROWS[name]
    row = Gate(name, code, *numbers, summary, definition, inverse, inverse_angles, steps)
    TABLE[name] = row
    return row


def matrix(name: str, *parameters: float, controls: int | None = None) -> NDArray[np.complex128]:
    """Matrix of a gate, controls included.

    The gate's first qubit is the least significant bit of an index; controls come first, as in a call.

    Args:
        name: Name of the gate.
        *parameters: Its angles in radians.
        controls: Number of controls, for `mcx` and `mcp` only.

    Returns:
        A new complex128 array of shape (2^n, 2^n) for n qubits.

    Raises:
        InvalidArgument: There is no such gate, or `controls` is missing, negative or out of place.
        ValueError: A wrong number of parameters, one that is not finite, or a gate without a fixed matrix
            (`unitary`, `pauli_rotation`).

    Example:
        >>> matrix("cx").real.astype(int).tolist()
        [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]
    """
    row = TABLE.get(name)
    if row is None:
        raise InvalidArgument(f"matrix: no gate is called {name!r}; qmpi.gates.TABLE has them all")
    if (controls is not None) != (row.controls == ANY):
        raise InvalidArgument(f"matrix: controls= goes with mcx and mcp and with no other gate, here {name}")
    count = row.controls if controls is None else controls
    if count < 0:
        raise InvalidArgument(f"matrix: {name} with {count} controls; give 0 or more")
    on_targets = gate_matrix(row.code, parameters)
    whole = np.eye(len(on_targets) << count, dtype=np.complex128)
    all_ones = slice((1 << count) - 1, None, 1 << count)  # indices whose lowest bits, the controls, are all 1
    whole[all_ones, all_ones] = on_targets
    return whole
