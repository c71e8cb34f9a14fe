"""State vectors the dull way, and circuits at random: what the planner's programs are compared with. Shares no code with the engine.

Matrices of gates come from the gate table, whose rows tests/unit/test_gates.py proves one by one against Qiskit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qmpi.gates import TABLE, matrix
from tests.oracle import random_unitary

Triple = tuple[str, tuple[int, ...], tuple[Any, ...]]
PAULIS = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}


def multiply(state: np.ndarray, u: np.ndarray, qubits: Sequence[int]) -> np.ndarray:
    """u on some qubits; the first is the least significant bit of u's index, qubit k that of value 2^k in the state's."""
    n = len(state).bit_length() - 1
    axes = [n - 1 - qubit for qubit in reversed(qubits)]
    tensor = np.moveaxis(state.reshape((2,) * n), axes, range(len(qubits)))
    product = (u @ tensor.reshape(len(u), -1)).reshape(tensor.shape)
    return np.moveaxis(product, range(len(qubits)), axes).reshape(-1)


def pauli_matrix(letters: str) -> np.ndarray:
    """The first letter acts on the least significant bit."""
    product = np.eye(1)
    for letter in letters:
        product = np.kron(PAULIS[letter], product)
    return product


def gate_matrix(gate: Triple) -> np.ndarray:
    name, qubits, parameters = gate
    if name == "unitary":
        return np.asarray(parameters[0])
    if name == "pauli_rotation":
        theta, letters = parameters
        return np.cos(theta / 2) * np.eye(2 ** len(qubits)) - 1j * np.sin(theta / 2) * pauli_matrix(letters)
    return matrix(name, *parameters, controls=len(qubits) - 1 if TABLE[name].controls < 0 else None)


def run(state: np.ndarray, gates: Iterable[Triple]) -> np.ndarray:
    for gate in gates:
        state = multiply(state, gate_matrix(gate), gate[1])
    return state


def expectation(state: np.ndarray, letters: str) -> float:
    return float(np.vdot(state, run(state, [(letter.lower(), (k,), ()) for k, letter in enumerate(letters) if letter != "I"])).real)


def random_state(rng: np.random.Generator, qubits: int) -> np.ndarray:
    state = rng.normal(size=2**qubits) + 1j * rng.normal(size=2**qubits)
    return state / np.linalg.norm(state)


def zero_state(qubits: int) -> np.ndarray:
    return np.eye(1, 2**qubits, dtype=complex)[0]


def random_gates(rng: np.random.Generator, qubits: int, count: int, widest: int = 8, names: Sequence[str] = tuple(TABLE)) -> list[Triple]:
    """Rows of the table, each as likely, on random qubits; at most `widest` at once."""
    gates: list[Triple] = []
    while len(gates) < count:
        row = TABLE[names[rng.integers(len(names))]]
        brings = row.name in ("unitary", "pauli_rotation")
        free = brings or row.controls < 0
        width = int(rng.integers(1, (4 if row.name == "unitary" else 8) + 1)) if free else row.controls + row.targets
        if width > min(widest, qubits):
            continue
        parameters: tuple[Any, ...] = tuple(rng.normal(size=row.parameters).tolist())
        if row.name == "unitary":
            parameters = (random_unitary(rng, width),)
        elif row.name == "pauli_rotation":
            parameters = (*parameters, "".join(rng.choice(list("IXYZ"), width)))
        gates.append((row.name, tuple(rng.permutation(qubits)[:width].tolist()), parameters))
    return gates


def brickwork(rng: np.random.Generator, qubits: int, layers: int) -> list[Triple]:
    gates: list[Triple] = []
    for layer in range(layers):
        gates += [("unitary", (qubit,), (random_unitary(rng, 1),)) for qubit in range(qubits)]
        gates += [("cz", (qubit, qubit + 1), ()) for qubit in range(layer % 2, qubits - 1, 2)]
    return gates


def fourier(qubits: int) -> list[Triple]:
    """The quantum Fourier transform: the top qubit first, the exchanges last."""
    gates: list[Triple] = []
    for target in reversed(range(qubits)):
        gates.append(("h", (target,), ()))
        gates += [("cp", (control, target), (np.pi / 2 ** (target - control),)) for control in reversed(range(target))]
    return gates + [("swap", (k, qubits - 1 - k), ()) for k in range(qubits // 2)]
