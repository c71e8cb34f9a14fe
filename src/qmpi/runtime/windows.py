"""Joint states for people who debug: arithmetic on copied amplitudes. Nothing here is physical, and nothing here touches the store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import EntangledQubit

Snapshot = tuple[list[int], NDArray[np.complex128]]


def _split(snapshot: Snapshot, wanted: frozenset[int]) -> tuple[list[int], NDArray[np.complex128]]:
    """The wanted ids of a component, and its amplitudes as a matrix (wanted, rest); the first id is the least significant bit."""
    ids, amplitudes = snapshot
    kept = [bit for bit, name in enumerate(ids) if name in wanted]
    rest = [bit for bit, name in enumerate(ids) if name not in wanted]
    n = len(ids)
    axes = [n - 1 - bit for bit in reversed(kept)] + [n - 1 - bit for bit in reversed(rest)]
    tensor = amplitudes.reshape((2,) * n).transpose(axes)
    return [ids[bit] for bit in kept], tensor.reshape(2 ** len(kept), 2 ** len(rest))


def _arrange(array: NDArray[np.complex128], order: list[int], wanted: Sequence[int]) -> NDArray[np.complex128]:
    """Reorders each index of `array` from the qubit order `order` to `wanted`; both list the least significant qubit first."""
    n = len(order)
    place = {name: n - 1 - bit for bit, name in enumerate(order)}
    axes = [place[name] for name in reversed(wanted)]
    indices = array.ndim
    tensor = array.reshape((2,) * (n * indices))
    tensor = tensor.transpose([axis + n * k for k in range(indices) for axis in axes])
    return np.ascontiguousarray(tensor.reshape((2**n,) * indices))


def joint_state(snapshots: Sequence[Snapshot], ids: Sequence[int], tolerance: float) -> NDArray[np.complex128]:
    """The pure state of `ids`, ids[0] least significant.

    Raises:
        EntangledQubit: they are entangled with qubits that are not among them.
    """
    wanted = frozenset(ids)
    order: list[int] = []
    state: NDArray[np.complex128] = np.ones(1, np.complex128)
    for snapshot in snapshots:
        kept, matrix = _split(snapshot, wanted)
        column = matrix[:, np.argmax(np.linalg.norm(matrix, axis=0))]
        vector = column / np.linalg.norm(column) if matrix.shape[1] > 1 else column
        lost = np.linalg.norm(matrix) ** 2 - np.linalg.norm(vector.conj() @ matrix) ** 2
        if matrix.shape[1] > 1 and lost > tolerance:
            raise EntangledQubit(
                "the registers are entangled with qubits that are not among them, so they have no state vector: "
                "include those, or ask for the density matrix"
            )
        state = np.kron(vector, state).astype(np.complex128, copy=False)
        order += kept
    return _arrange(state, order, ids)


def joint_density(snapshots: Sequence[Snapshot], ids: Sequence[int]) -> NDArray[np.complex128]:
    """The density matrix of `ids`, ids[0] least significant; everything else is traced out."""
    wanted = frozenset(ids)
    order: list[int] = []
    density = np.ones((1, 1), np.complex128)
    for snapshot in snapshots:
        kept, matrix = _split(snapshot, wanted)
        density = np.kron(matrix @ matrix.conj().T, density)
        order += kept
    return _arrange(density, order, ids)
