"""Laws of circuits on more bits than a node holds: segments between exchanges, and what each node does of one. The nodes are arrays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qmpi import _core
from tests import dense

each_seed = pytest.mark.parametrize("seed", range(16))


class Nodes:
    """2ᵍ vectors in one arena; an exchange is a permutation of all amplitudes. Bit b of the index is at place[b]."""

    def __init__(self, state: np.ndarray, places: list[int], local_bits: int) -> None:
        self.n = len(state).bit_length() - 1
        self.local_bits = local_bits
        self.place = places
        arena = _core.Arena.create(1, 0, False, False, 1 << 30)
        self.session = _core.Session(arena, 0)
        self.vectors = [_core.Vector(arena, local_bits, False, 1) for _ in range(1 << (self.n - local_bits))]
        self.write(state)

    def positions(self) -> np.ndarray:
        """Where each index is, all nodes counted through."""
        indices = np.arange(2**self.n)
        return sum((indices >> b & 1) << place for b, place in enumerate(self.place))

    def write(self, state: np.ndarray) -> None:
        whole = np.empty_like(state)
        whole[self.positions()] = state
        for vector, share in zip(self.vectors, np.split(whole, len(self.vectors)), strict=True):
            vector.amplitudes[:] = share

    def read(self) -> np.ndarray:
        return np.concatenate([vector.amplitudes for vector in self.vectors])[self.positions()]

    def move(self, wanted: int, fresh: bool) -> None:
        """Makes these bits, and no others, bits of the node's number. A state |0…0⟩ needs no move for that."""
        state = None if fresh else self.read()
        order = [b for b in range(self.n) if not wanted >> b & 1] + [b for b in range(self.n) if wanted >> b & 1]
        for place, b in enumerate(order):
            self.place[b] = place
        if state is not None:
            self.write(state)

    def run(self, circuit: _core.Circuit, fresh: bool) -> int:
        """Runs a circuit; the number of moves."""
        moves, scalar = 0, circuit.scalar
        now = sum(1 << b for b in range(self.n) if self.place[b] >= self.local_bits)
        for wanted, actions in circuit.segments(now, fresh):
            assert wanted.bit_count() == self.n - self.local_bits
            moves += wanted != now and not fresh
            if wanted != now:
                self.move(wanted, fresh)
            now, fresh = wanted, False
            for node, vector in enumerate(self.vectors):
                vector.run(vector.plan(circuit.localised(actions, self.place, self.local_bits, node, scalar)))
            scalar = 1
        return moves


def circuit_of(qubits: int, layout: list[int], gates: list[dense.Triple]) -> _core.Circuit:
    circuit = _core.Circuit(qubits, layout)
    circuit.add(_core.parse_gates(qubits, gates))
    return circuit


def on_bits(state: np.ndarray, layout: list[int]) -> np.ndarray:
    """The state with qubit k at bit layout[k]."""
    indices = np.arange(len(state))
    moved = np.empty_like(state)
    moved[sum((indices >> qubit & 1) << b for qubit, b in enumerate(layout))] = state
    return moved


@pytest.mark.parametrize("global_bits", [0, 1, 2, 3])
@each_seed
def test_any_circuit_on_any_nodes_equals_its_gates_one_by_one(seed: int, global_bits: int) -> None:
    rng = np.random.default_rng([seed, global_bits])
    qubits = int(rng.integers(global_bits + 4, 11))
    local_bits = qubits - global_bits
    gates = dense.random_gates(rng, qubits, int(rng.integers(1, 50)), widest=local_bits)
    state, layout = dense.random_state(rng, qubits), rng.permutation(qubits).tolist()
    nodes = Nodes(on_bits(state, layout), rng.permutation(qubits).tolist(), local_bits)
    circuit = circuit_of(qubits, layout, gates)
    assert circuit.widest <= local_bits
    nodes.run(circuit, fresh=False)
    np.testing.assert_allclose(nodes.read(), on_bits(dense.run(state, gates), circuit.layout), atol=1e-12, rtol=0)


@pytest.mark.parametrize("global_bits", [1, 2, 3])
@each_seed
def test_a_fresh_state_may_begin_with_any_bits_on_the_nodes(seed: int, global_bits: int) -> None:
    rng = np.random.default_rng([seed, global_bits, 1])
    qubits = int(rng.integers(global_bits + 4, 11))
    gates = dense.random_gates(rng, qubits, 30, widest=qubits - global_bits)
    nodes = Nodes(dense.zero_state(qubits), list(range(qubits)), qubits - global_bits)
    circuit = circuit_of(qubits, list(range(qubits)), gates)
    nodes.run(circuit, fresh=True)
    np.testing.assert_allclose(nodes.read(), on_bits(dense.run(dense.zero_state(qubits), gates), circuit.layout), atol=1e-12, rtol=0)


@pytest.mark.parametrize("global_bits", [1, 2, 3])
@each_seed
def test_what_is_diagonal_or_controlled_on_bits_of_the_node_s_number_needs_no_exchange(seed: int, global_bits: int) -> None:
    """Factors of any bits, and gates whose targets are local and whose controls are not."""
    rng = np.random.default_rng([seed, global_bits, 2])
    qubits, top = 9, list(range(9 - global_bits, 9))
    gates: list[dense.Triple] = dense.random_gates(rng, qubits, 12, names=["z", "t", "rz", "cz", "cp", "crz", "rzz", "ccz", "mcp"])
    for control in top:
        target, other = rng.permutation(qubits - global_bits)[:2].tolist()
        gates += [("cx", (control, target), ()), ("crx", (control, other), (0.4,)), ("ccx", (other, control, target), ())]
        gates += [("cswap", (control, target, other), ()), ("mcx", (*top, target), ()), ("cu", (control, other), (0.1, 0.2, 0.3, 0.4))]
        gates += [("pauli_rotation", (target, control, other), (0.7, "XZY"))]
    gates += [("pauli_rotation", tuple(range(qubits)), (0.3, "Z" * qubits))]
    order = rng.permutation(len(gates))
    gates = [gates[k] for k in order]
    state = dense.random_state(rng, qubits)
    nodes = Nodes(state, list(range(qubits)), qubits - global_bits)
    assert nodes.run(circuit_of(qubits, list(range(qubits)), gates), fresh=False) == 0
    np.testing.assert_allclose(nodes.read(), dense.run(state, gates), atol=1e-12, rtol=0)


def test_qubits_whose_gates_are_all_done_become_global() -> None:
    """From a fresh state one move is enough for the Fourier transform and for brick-work, on any number of nodes."""
    rng = np.random.default_rng(5)
    for global_bits in (1, 2, 3):
        for gates in (dense.fourier(12), dense.brickwork(rng, 12, 4)):
            nodes = Nodes(dense.zero_state(12), list(range(12)), 12 - global_bits)
            assert nodes.run(circuit_of(12, list(range(12)), gates), fresh=True) == 1


def test_every_action_of_a_circuit_on_48_qubits_is_in_one_segment() -> None:
    """Masks of bits beyond 2^31 are exact: the circuit is one gate per qubit, so which bits each segment leaves out is known."""
    gates: list[dense.Triple] = [("h", (qubit,), ()) for qubit in range(48)]
    circuit = circuit_of(48, list(range(48)), gates)
    top = 0xE << 44
    segments = circuit.segments(top, False)
    assert segments[0] == (top, [qubit for qubit in range(48) if not top >> qubit & 1])
    assert sorted(action for _, actions in segments for action in actions) == list(range(48))
    for mask, actions in segments:
        assert mask.bit_count() == 3 and not any(mask >> action & 1 for action in actions)
    # A control on bit 47 of the index is bit 2 of the node's number here.
    controlled = circuit_of(48, list(range(48)), [("cx", (47, 3), ())])
    assert len(controlled.localised([0], list(range(48)), 45, 0b011, 1)) == 0
    assert len(controlled.localised([0], list(range(48)), 45, 0b100, 1)) == 1


@pytest.mark.parametrize(("global_bits", "most_mib"), [(1, 64), (2, 96)])
@pytest.mark.parametrize("kind", ["fourier", "brickwork"])
def test_a_node_of_24_qubits_sends_no_more_than_was_promised(kind: str, global_bits: int, most_mib: int) -> None:
    """From |0…0⟩ in complex128: each exchange of k bits sends 1 - 1/2ᵏ of a share. No amplitudes are needed to know."""
    gates = dense.fourier(24) if kind == "fourier" else dense.brickwork(np.random.default_rng(1), 24, 20)
    segments = circuit_of(24, list(range(24)), gates).segments((1 << global_bits) - 1, True)
    share_mib = 2 ** (24 - global_bits) * 16 / 2**20
    changes = [(after & ~before).bit_count() for (before, _), (after, _) in pairwise(segments)]
    assert sum(share_mib * (1 - 0.5**bits) for bits in changes) <= most_mib, changes
