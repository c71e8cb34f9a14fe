"""Amplitudes change nodes: bits of the node's number trade places with bits of the index. Knows messages and arrays only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**20  # amplitudes in one message; two buffers of this size are all that an exchange takes
_TAG = 7

Amplitudes = NDArray[np.complex128] | NDArray[np.complex64]


@dataclass(slots=True)
class Traffic:
    """What this node has sent so far.

    Attributes:
        exchanges: how often bits changed places across nodes.
        messages: how many messages that took.
        sent_bytes: what they carried.
    """

    exchanges: int = 0
    messages: int = 0
    sent_bytes: int = 0


def exchange(mpi: Any, ranks: Sequence[int], node: int, amplitudes: Amplitudes, pairs: Sequence[tuple[int, int]], traffic: Traffic) -> None:
    """Bit j of the node's number and bit b of the index trade places, for every (j, b) of `pairs`, on all nodes.

    With k pairs, a node keeps 1/2ᵏ of its amplitudes and sends every other part to the node where it belongs.

    Args:
        mpi: classical communicator.
        ranks: its rank that acts for each node.
        node: this node's number.
        amplitudes: this node's 2ⁿ amplitudes, changed in place.
        pairs: each bit at most once.
        traffic: counts what is sent.
    """
    traffic.exchanges += 1
    size = min(CHUNK, max(1, len(amplitudes) >> len(pairs)))
    outgoing, incoming = np.empty(size, amplitudes.dtype), np.empty(size, amplitudes.dtype)
    for flip in range(1, 1 << len(pairs)):
        partner = node
        for k, (j, _) in enumerate(pairs):
            partner ^= (flip >> k & 1) << j
        # What leaves has the partner's bits in the index; what comes takes its place.
        fixed = {b: partner >> j & 1 for j, b in pairs}
        for piece in _pieces(_part(amplitudes, fixed), size):
            sent, received = outgoing[: piece.size], incoming[: piece.size]
            np.copyto(sent.reshape(piece.shape), piece)
            mpi.Sendrecv(sent, ranks[partner], _TAG, received, ranks[partner], _TAG)
            np.copyto(piece, received.reshape(piece.shape))
            traffic.messages += 1
            traffic.sent_bytes += sent.nbytes


def _part(amplitudes: Amplitudes, fixed: dict[int, int]) -> Amplitudes:
    """A view of the amplitudes whose index has these values at these bits."""
    shape: list[int] = []
    choice: list[slice | int] = []
    above = len(amplitudes).bit_length() - 1
    for b in sorted(fixed, reverse=True):
        shape += [1 << (above - b - 1), 2]
        choice += [slice(None), fixed[b]]
        above = b
    return amplitudes.reshape([*shape, 1 << above])[tuple(choice)]


def _pieces(part: Amplitudes, size: int) -> Iterator[Amplitudes]:
    """The part in pieces of at most `size` entries, in the same order on every node."""
    if part.size <= size:
        yield part
        return
    axis = next(k for k, length in enumerate(part.shape) if length > 1)
    middle = part.shape[axis] // 2
    for half in (slice(0, middle), slice(middle, None)):
        yield from _pieces(part[(slice(None),) * axis + (half,)], size)
