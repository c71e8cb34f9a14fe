"""The circuits that are timed: lists of (name, qubits, parameters) as `StateVector.compile` takes them, qubit 0 the least significant bit.

Seeds are fixed, so that all machines and engines do the same. Knows no engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Triple = tuple[str, tuple[int, ...], tuple[Any, ...]]

SHOTS = 100_000
LEAST_QUBITS = 5  # that three neighbours in the middle need


def haar(rng: np.random.Generator, qubits: int) -> NDArray[np.complex128]:
    """A random unitary matrix."""
    side = 2**qubits
    q, r = np.linalg.qr(rng.normal(size=(side, side)) + 1j * rng.normal(size=(side, side)))
    return np.ascontiguousarray(q * (np.diag(r) / np.abs(np.diag(r))))


def brick(qubits: int, depth: int = 20) -> list[Triple]:
    """Layers of a random U(2) on every qubit, then CZ on neighbours: even pairs, odd pairs, …"""
    rng = np.random.default_rng(1)
    gates: list[Triple] = []
    for layer in range(depth):
        gates += [("unitary", (qubit,), (haar(rng, 1),)) for qubit in range(qubits)]
        gates += [("cz", (qubit, qubit + 1), ()) for qubit in range(layer % 2, qubits - 1, 2)]
    return gates


def volume(qubits: int, depth: int = 10) -> list[Triple]:
    """Quantum volume: layers of a random SU(4) on random disjoint pairs."""
    rng = np.random.default_rng(2)
    gates: list[Triple] = []
    for _ in range(depth):
        order = rng.permutation(qubits).tolist()
        gates += [("unitary", (order[k], order[k + 1]), (haar(rng, 2),)) for k in range(0, qubits - 1, 2)]
    return gates


def fourier(qubits: int) -> list[Triple]:
    """H and controlled phases from the top qubit down, then the exchanges."""
    gates: list[Triple] = []
    for target in reversed(range(qubits)):
        gates.append(("h", (target,), ()))
        gates += [("cp", (control, target), (np.pi / 2 ** (target - control),)) for control in reversed(range(target))]
    return gates + [("swap", (k, qubits - 1 - k), ()) for k in range(qubits // 2)]


def pauli_sum(qubits: int, terms: int = 20) -> tuple[list[str], list[float]]:
    """Random strings of weight 2 to 4 (letter k on qubit k) with normal coefficients."""
    rng = np.random.default_rng(3)
    strings = []
    for _ in range(terms):
        letters = ["I"] * qubits
        for qubit in rng.permutation(qubits)[: rng.integers(2, 5)]:
            letters[qubit] = str(rng.choice(list("XYZ")))
        strings.append("".join(letters))
    return strings, rng.normal(size=terms).tolist()


def single_gates(qubits: int) -> dict[str, list[Triple]]:
    """One gate of each kind on low, middle and top qubits."""
    rng = np.random.default_rng(4)
    kinds: dict[str, tuple[int, tuple[Any, ...]]] = {
        "h": (1, ()),
        "x": (1, ()),
        "rx": (1, (0.3,)),
        "rz": (1, (0.3,)),
        "p": (1, (0.3,)),
        "cx": (2, ()),
        "cz": (2, ()),
        "cp": (2, (0.3,)),
        "swap": (2, ()),
        "rxx": (2, (0.3,)),
        "ccx": (3, ()),
        "unitary": (2, (haar(rng, 2),)),
    }
    found: dict[str, list[Triple]] = {}
    for name, (width, parameters) in kinds.items():
        for place, first in (("low", 0), ("middle", qubits // 2), ("top", qubits - width)):
            found[f"{name}, {place}"] = [(name, tuple(range(first, first + width)), parameters)]
    return found
