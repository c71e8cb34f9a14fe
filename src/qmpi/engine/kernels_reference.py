"""NumPy twins of the kernels in ``csrc/kernels``: the definition the compiled kernels are tested against.

Same names, same arguments as ``qmpi._core.kernels`` (without ``isa``), same in-place behaviour: ``psi`` is a writable contiguous
complex128 or complex64 array of 2**n amplitudes, bit b of an index belongs to qubit b, ``controls`` is a mask of bits that must
all be 1. Everything is computed in complex128 and stored in the type of ``psi``. Written to be checked by reading, not to be
fast; it shares no code with the compiled kernels and checks no arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Amplitudes = npt.NDArray[np.complexfloating]
Indices = npt.NDArray[np.int64]

_PAULIS = {
    (0, 0): np.array([[1, 0], [0, 1]], dtype=complex),
    (1, 0): np.array([[0, 1], [1, 0]], dtype=complex),
    (1, 1): np.array([[0, -1j], [1j, 0]], dtype=complex),
    (0, 1): np.array([[1, 0], [0, -1]], dtype=complex),
}


def _qubits(psi: Amplitudes) -> int:
    """Return n of an array of 2**n amplitudes."""
    return int(psi.size).bit_length() - 1


def _bit(indices: Indices, position: int) -> Indices:
    """Return bit ``position`` of every index."""
    return (indices >> position) & 1


def _axis(n: int, bit: int) -> int:
    """Return the axis of a bit when psi has the shape (2,) * n: the last axis is bit 0."""
    return n - 1 - bit


def _on_targets(psi: Amplitudes, targets: Sequence[int], u: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """Return the matrix ``u`` on ``targets`` (the first one least significant) applied to psi."""
    n, k = _qubits(psi), len(targets)
    axes = [_axis(n, t) for t in reversed(targets)]
    tensor = np.asarray(u, dtype=complex).reshape((2,) * (2 * k))
    moved = np.tensordot(tensor, psi.astype(complex).reshape((2,) * n), axes=(range(k, 2 * k), axes))
    return np.moveaxis(moved, range(k), axes).reshape(-1)


def _where_controlled(psi: Amplitudes, controls: int, changed: npt.NDArray[np.complex128]) -> None:
    """Write ``changed`` to the amplitudes whose control bits are all 1."""
    indices = np.arange(psi.size)
    active = (indices & controls) == controls
    psi[active] = changed[active]


def single(psi: Amplitudes, target: int, controls: int, u: npt.ArrayLike) -> None:
    """Apply the 2x2 matrix ``u`` to ``target``."""
    _where_controlled(psi, controls, _on_targets(psi, [target], u))


def swap(psi: Amplitudes, a: int, b: int, controls: int) -> None:
    """Exchange the bits ``a`` and ``b``."""
    n = _qubits(psi)
    exchanged = np.swapaxes(psi.reshape((2,) * n), _axis(n, a), _axis(n, b)).reshape(-1)
    _where_controlled(psi, controls, exchanged.astype(complex))


def block(psi: Amplitudes, targets: Sequence[int], controls: int, u: npt.ArrayLike) -> None:
    """Apply the 2**k x 2**k matrix ``u`` to k targets, the first one least significant."""
    _where_controlled(psi, controls, _on_targets(psi, targets, u))


def _pauli_times(psi: Amplitudes, x: int, z: int) -> npt.NDArray[np.complex128]:
    """Return P psi: X where only ``x`` is set, Z where only ``z`` is set, Y where both are."""
    out = psi.astype(complex)
    for q in range(_qubits(psi)):
        if (x | z) >> q & 1:
            out = _on_targets(out, [q], _PAULIS[(x >> q) & 1, (z >> q) & 1])
    return out


def pauli(psi: Amplitudes, x: int, z: int, theta: float) -> None:
    """Apply exp(-i theta/2 P) with the Pauli product P of the masks ``x`` and ``z``."""
    psi[:] = np.cos(theta / 2) * psi.astype(complex) - 1j * np.sin(theta / 2) * _pauli_times(psi, x, z)


def weights(psi: Amplitudes, mask: int) -> tuple[float, float]:
    """Return the probabilities (not normalised) of an even and an odd number of ones among the bits in ``mask``."""
    indices = np.arange(psi.size)
    positions = [b for b in range(_qubits(psi)) if (mask >> b) & 1]
    odd = functools.reduce(np.bitwise_xor, [_bit(indices, b) for b in positions], np.zeros_like(indices))
    probabilities = np.abs(psi.astype(complex)) ** 2
    return float(probabilities[odd == 0].sum()), float(probabilities[odd == 1].sum())


def expectation(psi: Amplitudes, x: int, z: int) -> float:
    """Return <psi|P|psi>, P as in ``pauli``; not normalised."""
    return float(np.vdot(psi.astype(complex), _pauli_times(psi, x, z)).real)


def join(psi: Amplitudes, other: Amplitudes) -> None:
    """Fill ``psi`` with its first psi.size / other.size amplitudes tensor ``other``, whose bits land on top."""
    first = psi[: psi.size // other.size].astype(complex)
    psi[:] = np.kron(other.astype(complex), first)


def project(psi: Amplitudes, bit: int, value: int, scale: float) -> None:
    """Keep the amplitudes with ``bit`` = ``value``, times ``scale``, in the first half of psi."""
    kept = psi[_bit(np.arange(psi.size), bit) == value].astype(complex)
    psi[: psi.size // 2] = kept * scale


def project_parity(psi: Amplitudes, a: int, b: int, value: int, scale: float) -> None:
    """Keep the amplitudes where bits ``a`` xor ``b`` = ``value``, times ``scale``, and drop bit b; result in the first half."""
    n = _qubits(psi)
    cube = psi.astype(complex).reshape((2,) * n)
    halves = []
    for bit_a in (0, 1):
        with_a = np.take(cube, [bit_a], axis=_axis(n, a))
        halves.append(np.take(with_a, [bit_a ^ value], axis=_axis(n, b)))
    psi[: psi.size // 2] = np.concatenate(halves, axis=_axis(n, a)).reshape(-1) * scale


def join_parity(psi: Amplitudes, a: int, other: Amplitudes, b: int, value: int, scale: float) -> None:
    """Join, then ``project_parity`` on bit ``a`` of psi and bit ``b`` of other.

    ``psi`` is the destination of 2**(n + m - 1) amplitudes; its first 2**n are the state.
    """
    size = 2 * psi.size // other.size
    both = np.kron(other.astype(complex), psi[:size].astype(complex))
    project_parity(both, a, _qubits(psi[:size]) + b, value, scale)
    psi[:] = both[: psi.size]


def gather(psi: Amplitudes, bits: Sequence[int], factor: complex, out: npt.NDArray[np.complex128]) -> None:
    """Set out[j] = psi[i] * factor, where bit k of j is bit ``bits[k]`` of i."""
    j = np.arange(psi.size)
    i = np.zeros_like(j)
    for k, source in enumerate(bits):
        i |= _bit(j, k) << source
    out[:] = psi[i].astype(complex) * factor
