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


def half_mean(mpi: Any, ranks: Sequence[int], node: int, amplitudes: Amplitudes, masks: tuple[int, int], traffic: Traffic) -> float:
    """This node's half of ⟨P⟩, P|j⟩ = i^|x & z| (-1)^|j & z| |j ^ x⟩, where x flips bits of the node's number.

    The pairs (j, j ^ x) lie on two nodes, and both orders of a pair add the same to ⟨P⟩ but for conjugation. Of such two nodes each takes
    one half of the pairs, and for that needs half of the other's amplitudes.

    Args:
        mpi: classical communicator.
        ranks: its rank that acts for each node.
        node: this node's number.
        amplitudes: this node's 2ⁿ amplitudes.
        masks: x and z, bits of an index; those of the node's number stand above those in a share.
        traffic: counts what is sent.
    """
    x, z = masks
    traffic.exchanges += 1
    bits = len(amplitudes).bit_length() - 1
    half = len(amplitudes) // 2
    partner = node ^ x >> bits
    top = 0 if node < partner else 1 ^ (x >> (bits - 1) & 1)  # highest bit in the share, of the half that this node takes
    size = 1 << min(half, max(1, CHUNK // 4)).bit_length() - 1
    received, signs, flipped = np.empty(size, amplitudes.dtype), np.ones(1), np.arange(size) ^ x & (size - 1)
    for b in range(size.bit_length() - 1):
        signs = np.concatenate([signs, -signs if z >> b & 1 else signs])
    total = 0j
    for begin in range(0, half, size):
        sent = (1 - top) * half + (begin ^ x & (half - size))
        mpi.Sendrecv(amplitudes[sent : sent + size], ranks[partner], _TAG, received, ranks[partner], _TAG)
        traffic.messages += 1
        traffic.sent_bytes += received.nbytes
        own = top * half + begin
        sign = 1 - 2 * (((node << bits | own) & z & -size).bit_count() & 1)
        total += sign * complex(np.vdot(received[flipped], signs * amplitudes[own : own + size]))
    return 2 * (1j ** (x & z).bit_count() * total).real


def transfer(mpi: Any, leaders: Sequence[int], part: Amplitudes, lengths: Sequence[int], share: Amplitudes | None) -> None:
    """Every rank's part, one after the other, becomes the nodes' shares. All ranks call it.

    Args:
        mpi: classical communicator; None for one rank.
        leaders: its rank that acts for each node.
        part: this rank's.
        lengths: of all ranks' parts.
        share: where this node's amplitudes lie, on its first rank.
    """
    rank = 0 if mpi is None else mpi.rank
    size = sum(lengths) // len(leaders)
    begin = 0
    for source, length in enumerate(lengths):
        end = begin + length
        for node, leader in enumerate(leaders):
            for first in range(max(begin, node * size), min(end, (node + 1) * size), CHUNK):
                last = min(first + CHUNK, end, (node + 1) * size)
                if source == rank == leader and share is not None:
                    share[first - node * size : last - node * size] = part[first - begin : last - begin]
                elif source == rank:
                    mpi.Send(part[first - begin : last - begin], leader, _TAG)
                elif leader == rank and share is not None:
                    mpi.Recv(share[first - node * size : last - node * size], source, _TAG)
        begin = end


def overlap(a: NDArray[Any], b: NDArray[Any]) -> complex:
    """⟨a|b⟩, added up in double precision whatever theirs."""
    total = 0j
    for begin in range(0, len(a), CHUNK):
        pieces = (array[begin : begin + CHUNK].astype(np.complex128, copy=False) for array in (a, b))
        total += complex(np.vdot(*pieces))
    return total


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
