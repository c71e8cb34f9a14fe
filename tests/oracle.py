"""What the right answer is: a dull dense simulator in NumPy, and the textbook protocols on it with prescribed outcomes.

It shares no code with qmpi: own gate matrices, own order of axes, no components, no fusing, no shortcuts. Qubits are labels (any
hashable value); the state is a tensor with one axis per label. It knows nothing of ranks, messages or handles.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

SQRT_HALF = 1 / np.sqrt(2)

FIXED = {
    "id": np.eye(2),
    "x": np.array([[0, 1], [1, 0]]),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.diag([1, -1]),
    "h": np.array([[1, 1], [1, -1]]) * SQRT_HALF,
    "s": np.diag([1, 1j]),
    "sdg": np.diag([1, -1j]),
    "t": np.diag([1, (1 + 1j) * SQRT_HALF]),
    "tdg": np.diag([1, (1 - 1j) * SQRT_HALF]),
    "sx": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
    # Two and three qubits: the first one is the least significant bit of row and column.
    "cx": np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]),
    "cz": np.diag([1, 1, 1, -1]),
    "swap": np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
    "ccx": np.eye(8)[[0, 1, 2, 7, 4, 5, 6, 3]],
}


def matrix(name: str, *angles: float) -> np.ndarray:
    """A gate's matrix, first qubit least significant."""
    if name in FIXED:
        return np.asarray(FIXED[name], complex)
    (theta,) = angles
    if name == "p":
        return np.diag([1, np.exp(1j * theta)])
    if name == "cp":
        return np.diag([1, 1, 1, np.exp(1j * theta)])
    if name == "rzz":
        even, odd = np.exp(-0.5j * theta), np.exp(0.5j * theta)
        return np.diag([even, odd, odd, even])
    generator = FIXED[{"rx": "x", "ry": "y", "rz": "z"}[name]]
    return np.cos(theta / 2) * np.eye(2) - 1j * np.sin(theta / 2) * generator


def random_unitary(rng: np.random.Generator, qubits: int) -> np.ndarray:
    """Haar-random: QR of a Gaussian matrix with the phases of R divided out."""
    side = 2**qubits
    q, r = np.linalg.qr(rng.normal(size=(side, side)) + 1j * rng.normal(size=(side, side)))
    return q * (np.diag(r) / np.abs(np.diag(r)))


def fidelity(a: np.ndarray, b: np.ndarray) -> float:
    """|<a|b>|²: 1 for equal states, whatever their global phases."""
    return float(abs(np.vdot(a, b)) ** 2)


class Oracle:
    """A pure state of labelled qubits."""

    def __init__(self) -> None:
        self.labels: list[Hashable] = []
        self.tensor = np.ones((), complex)

    def copy(self) -> Oracle:
        twin = Oracle()
        twin.labels, twin.tensor = list(self.labels), self.tensor.copy()
        return twin

    # --- elementary steps ---------------------------------------------------------------------------------------------------------

    def add(self, label: Hashable) -> None:
        """A new qubit in |0⟩."""
        assert label not in self.labels
        self.labels.append(label)
        self.tensor = np.multiply.outer(self.tensor, np.array([1, 0], complex))

    def apply(self, operator: np.ndarray, labels: Sequence[Hashable]) -> None:
        """Any operator on these qubits, the first least significant."""
        count = len(labels)
        axes = [self.labels.index(label) for label in reversed(labels)]  # most significant first, as a C-ordered reshape has them
        operator = np.asarray(operator, complex).reshape((2,) * (2 * count))
        moved = np.tensordot(operator, self.tensor, axes=(range(count, 2 * count), axes))
        self.tensor = np.moveaxis(moved, range(count), axes)

    def gate(self, name: str, *labels: Hashable, angles: Sequence[float] = ()) -> None:
        self.apply(matrix(name, *angles), labels)

    def where(self, label: Hashable, value: int) -> tuple[int | slice, ...]:
        """The part of the tensor in which the qubit has this value."""
        return (slice(None),) * self.labels.index(label) + (value,)

    def weight(self, label: Hashable, outcome: int) -> float:
        """Probability of an outcome."""
        part = self.tensor[self.where(label, outcome)]
        return float(np.vdot(part, part).real)

    def measure(self, label: Hashable, outcome: int) -> float:
        """Projects on a prescribed outcome and renormalises; returns what its probability was."""
        weight = self.weight(label, outcome)
        assert weight > 1e-9, f"outcome {outcome} of {label} is impossible"
        projected = np.zeros_like(self.tensor)
        projected[self.where(label, outcome)] = self.tensor[self.where(label, outcome)] / np.sqrt(weight)
        self.tensor = projected
        return weight

    def reset(self, label: Hashable, outcome: int) -> None:
        """Measures with a prescribed outcome and returns the qubit to |0⟩."""
        self.measure(label, outcome)
        if outcome:
            self.gate("x", label)

    def remove(self, label: Hashable) -> None:
        """Drops a qubit that is in |0⟩."""
        assert self.weight(label, 0) > 1 - 1e-9
        self.tensor = self.tensor[self.where(label, 0)]
        self.labels.remove(label)

    def rename(self, old: Hashable, new: Hashable) -> None:
        self.labels[self.labels.index(old)] = new

    # --- what is compared -----------------------------------------------------------------------------------------------------------

    def vector(self, labels: Sequence[Hashable]) -> np.ndarray:
        """Amplitudes of all qubits, labels[0] least significant."""
        assert sorted(map(repr, labels)) == sorted(map(repr, self.labels))
        return self.tensor.transpose([self.labels.index(label) for label in reversed(labels)]).reshape(-1)

    def density(self, labels: Sequence[Hashable]) -> np.ndarray:
        """Reduced density matrix of some qubits, labels[0] least significant; the partial trace over all others."""
        kept = [self.labels.index(label) for label in reversed(labels)]
        rest = [axis for axis in range(len(self.labels)) if axis not in kept]
        columns = self.tensor.transpose(kept + rest).reshape(2 ** len(kept), 2 ** len(rest))
        return columns @ columns.conj().T

    # --- protocols, as in the textbook ------------------------------------------------------------------------------------------------

    def epr(self, near: Hashable, far: Hashable) -> None:
        """(|00⟩+|11⟩)/√2 on two qubits in |0⟩."""
        self.gate("h", near)
        self.gate("cx", near, far)

    def fan_out(self, original: Hashable, copy: Hashable, bit: int) -> None:
        """Copy over an EPR pair; `bit` is the sender's outcome. `copy` is a new label."""
        half = ("half", copy)
        self.add(half)
        self.add(copy)
        self.epr(half, copy)
        self.gate("cx", original, half)
        self.reset(half, bit)
        self.remove(half)
        if bit:
            self.gate("x", copy)

    def undo_fan_out(self, original: Hashable, copy: Hashable, bit: int) -> None:
        """The holder of the copy applies H and measures `bit`; the owner of the original applies Z^bit. The copy is left in |0⟩."""
        self.gate("h", copy)
        self.reset(copy, bit)
        if bit:
            self.gate("z", original)

    def teleport(self, source: Hashable, target: Hashable, parity_bit: int, phase_bit: int) -> None:
        """A copy one way, undone the other way. `target` is a new label; the source is left in |0⟩."""
        self.fan_out(source, target, parity_bit)
        self.undo_fan_out(target, source, phase_bit)
