"""The state vector: one register, the same calls on every rank, for HPC codes and scaling benchmarks.

What the calls mean for qubits; how ranks and nodes act on the amplitudes together is shares.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._core import Vector, parse_gates, vector_draws
from ..errors import InvalidArgument
from . import files, from_qiskit
from .exchange import Traffic
from .gate_methods import GateMethods
from .shares import Compiled, Shares

Triples = Iterable[tuple[str, Sequence[int], Sequence[Any]]]

MOST_QUBITS = 48
_NEGLIGIBLE = {np.dtype(np.complex128): 1e-24, np.dtype(np.complex64): 1e-12}  # weight that only rounding can have left
_created: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # state vectors so far, by group


class StateVector(GateMethods):
    """A register of n qubits whose 2ⁿ amplitudes all ranks of a communicator share. All make the same calls in the same order.

    Gates are collected and run together: before anything is read, at `flush`, and when many have come. Every gate of `qmpi.gates` is a
    method in the same argument order, with qubit numbers: `state.h(0)`, `state.cp(0.3, 0, 5)`, `state.mcx([0, 1], 2)`.

    Attributes:
        num_qubits: n.
        dtype: complex128 or complex64.
    """

    def __init__(self, comm: Any, num_qubits: int, dtype: DTypeLike = np.complex128, device: str = "cpu") -> None:
        """Takes memory for |0…0⟩ and touches it.

        Args:
            comm: the `qmpi.Comm` whose ranks take part.
            num_qubits: n, 1 … 48.
            dtype: complex128 or complex64.
            device: "cpu".

        **Collective.**

        Raises:
            InvalidArgument: a size, type or device that cannot be, or fewer qubits than bits of a node's number.
            StateTooLarge: it would not fit; nothing has been taken.

        Cost: 2ⁿ · 16 bytes over all nodes (complex64: 8), and 32 MiB where nodes exchange.
        """
        if not isinstance(num_qubits, int) or not 1 <= num_qubits <= MOST_QUBITS:
            raise InvalidArgument(f"a state vector has 1 to {MOST_QUBITS} qubits, not {num_qubits!r}")
        self.dtype = np.dtype(dtype)
        if self.dtype not in _NEGLIGIBLE:
            raise InvalidArgument(f"dtype must be complex128 or complex64, not {dtype!r}")
        if device != "cpu":
            raise InvalidArgument(f"device must be 'cpu', not {device!r}: other devices are not supported yet")
        self.num_qubits = num_qubits
        self._shares = Shares(comm, num_qubits, self.dtype)
        self._seed = comm._session.universe.arena.seed
        number = _created[comm._group] = _created.get(comm._group, -1) + 1
        self._key = comm._context, number
        self._draws = 0

    @property
    def traffic(self) -> Traffic:
        """What this rank's node has sent to other nodes."""
        return self._shares.traffic

    # --- gates -----------------------------------------------------------------------------------------------------------------------

    def compile(self, gates: Triples | Any, restore_order: bool = False) -> Compiled:
        """Checks a list of gates once, so that it can be applied often; its plan is kept, too.

        Args:
            gates: `(name, qubits, parameters)` triples, as `("h", (0,), ())`, `("cp", (0, 5), (0.3,))`, `("unitary", (2, 7), (matrix,))`,
                `("pauli_rotation", (0, 1), (0.3, "XZ"))`; names and orders as in `qmpi.gates`, angles in radians, a matrix's first qubit
                the least significant bit of its index. Or a Qiskit circuit without measurements.
            restore_order: whether qubit k is to be at bit k of the index afterwards, as by `restore_order`, but in the same passes.

        Returns:
            What `apply` takes.

        Raises:
            InvalidArgument: a gate that cannot be; the message says what is wrong with it.
            NotUnitary: a matrix that is not unitary.
        """
        if from_qiskit.is_circuit(gates):
            gates = from_qiskit.triples(gates, self.num_qubits)
        return Compiled(parse_gates(self.num_qubits, gates), restore_order)

    def apply(self, gates: Triples | Compiled | Any) -> None:
        """Applies gates in order.

        Args:
            gates: what `compile` takes or has made. All of them are checked before any is applied.

        **Collective.**

        Raises:
            InvalidArgument: a gate that cannot be, or one that mixes more qubits than a node has bits.
            NotUnitary: a matrix that is not unitary.
        """
        if not isinstance(gates, Compiled):
            return self._shares.add(self.compile(gates))
        if gates.gates.n != self.num_qubits:
            raise InvalidArgument(f"the gates were compiled for {gates.gates.n} qubits, the state has {self.num_qubits}")
        self._shares.run(gates)

    def flush(self) -> None:
        """Completes what is pending.

        **Collective.**
        """
        self._shares.flush()

    def restore_order(self) -> None:
        """Brings qubit k to bit k of the index in memory, where exchanges of qubits have only changed labels.

        **Collective.**
        """
        self._shares.restore_order()

    def reset(self) -> None:
        """Makes it |0…0⟩ again; gates that are pending are dropped.

        **Collective.**
        """
        self._shares.reset()

    # --- what is measured ------------------------------------------------------------------------------------------------------------

    def measure(self, qubit: int) -> int:
        """Measures one qubit. The outcome is 1 where the draw is below P(1); draws are functions of seed, state vector and their number.

        Args:
            qubit: its number.

        Returns:
            0 or 1, the same on every rank.

        **Collective.**

        Raises:
            InvalidArgument: no such qubit.
        """
        bit, shares = self._bit(qubit), self._shares
        weights = shares.sum(lambda vector: self._weights(vector, shares.place(bit)), np.float64)
        total = weights.sum()
        value = int(self._draw(1)[0] * total < weights[1])
        if weights[value] <= _NEGLIGIBLE[self.dtype] * total:
            value = 1 - value
        scale = 1 / math.sqrt(weights[value])

        def keep(vector: Vector) -> None:
            place = shares.place(bit)
            if place < shares.local_bits:
                vector.multiply(place, 0 if value else scale, scale if value else 0)
            elif shares.node >> (place - shares.local_bits) & 1 == value:
                vector.multiply(0, scale, scale)
            else:
                vector.clear(False)

        shares.together(keep)
        return value

    def sample(self, shots: int) -> NDArray[np.uint64]:
        """Outcomes of measuring all qubits again and again, without collapse. Draw number s decides shot s, whatever the ranks and threads.

        Args:
            shots: how many, at least 1.

        Returns:
            uint64 array of shape (shots,), yours to write: bit k is qubit k's outcome. The same on every rank.

        **Collective.**

        Raises:
            InvalidArgument: not a positive whole number.
        """
        if not isinstance(shots, int | np.integer) or shots < 1:
            raise InvalidArgument(f"sample takes a positive number of shots, not {shots!r}")
        self.restore_order()
        shares = self._shares
        weights = np.concatenate(shares.arrays(lambda vector: np.array([sum(vector.weights(0))]), np.float64))
        ends = np.cumsum(weights)
        draws = self._draw(int(shots)) * ends[-1]
        owner = np.minimum(np.searchsorted(ends, draws, side="right"), np.flatnonzero(weights)[-1])
        order = np.argsort(draws)  # and therefore by owner

        def drawn(vector: Vector) -> NDArray[np.int64]:
            mine = draws[order[owner[order] == shares.node]] - (ends[shares.node] - weights[shares.node])
            return np.asarray(vector.sample(np.ascontiguousarray(mine)) | shares.node << shares.local_bits, np.int64)

        outcomes = np.empty(int(shots), np.uint64)
        outcomes[order] = np.concatenate(shares.arrays(drawn, np.int64)).astype(np.uint64)
        return outcomes

    def probabilities(self, qubits: Sequence[int]) -> NDArray[np.float64]:
        """Probabilities of the outcomes of some qubits.

        Args:
            qubits: k different numbers.

        Returns:
            float64 array of shape (2ᵏ,), yours to write: bit j of the index is `qubits[j]`'s outcome.

        **Collective.**

        Raises:
            InvalidArgument: a qubit that is not there, or is given twice.
        """
        bits = [self._bit(qubit) for qubit in qubits]
        if len(set(bits)) < len(bits):
            raise InvalidArgument(f"probabilities needs different qubits, not {list(qubits)}")

        shares = self._shares

        def marginal(vector: Vector) -> NDArray[np.float64]:
            places = [shares.place(bit) for bit in bits]
            local = [k for k, place in enumerate(places) if place < shares.local_bits]
            sums = vector.marginal([places[k] for k in local])
            index = np.zeros(len(sums), np.int64)
            for j, k in enumerate(local):
                index |= (np.arange(len(sums)) >> j & 1) << k
            for k, place in enumerate(places):
                if place >= shares.local_bits:
                    index |= (shares.node >> (place - shares.local_bits) & 1) << k
            whole = np.zeros(1 << len(bits))
            whole[index] = sums
            return whole

        sums = shares.sum(marginal, np.float64)
        return np.asarray(sums / sums.sum())

    def amplitudes(self, indices: ArrayLike) -> NDArray[np.complex128]:
        """Some amplitudes. A window: no physical machine has it.

        Args:
            indices: whole numbers in 0 … 2ⁿ-1, any shape; bit k belongs to qubit k.

        Returns:
            complex128 array of that shape, yours to write.

        **Collective.**

        Raises:
            InvalidArgument: an index outside.
        """
        wanted = np.asarray(indices)
        if wanted.dtype.kind not in "iu" or (wanted.size and (wanted.min() < 0 or int(wanted.max()) >> self.num_qubits)):
            raise InvalidArgument(f"amplitudes takes whole numbers from 0 to 2^{self.num_qubits} - 1")
        flat = wanted.reshape(-1).astype(np.int64)
        self.flush()
        shares = self._shares

        def mine(vector: Vector) -> NDArray[np.complex128]:
            index = np.zeros(flat.shape, np.int64)
            for qubit, bit in enumerate(shares.layout):
                index |= (flat >> qubit & 1) << shares.place(bit)
            here = index >> shares.local_bits == shares.node
            found = np.zeros(flat.shape, np.complex128)
            found[here] = vector.amplitudes[index[here] & (1 << shares.local_bits) - 1]
            return found

        return np.array(shares.sum(mine, np.complex128).reshape(wanted.shape))

    def expectation(self, paulis: str | Sequence[str], coefficients: ArrayLike | None = None) -> float:
        """Mean of a sum of products of Pauli operators.

        Args:
            paulis: strings of n letters IXYZ; letter k acts on qubit k.
            coefficients: a real number for each; by default 1.

        Returns:
            Σ cₛ⟨Pₛ⟩, the same on every rank.

        **Collective.**

        Raises:
            InvalidArgument: a string that cannot be, or not one coefficient for each.
        """
        strings = [paulis] if isinstance(paulis, str) else list(paulis)
        for string in strings:
            if not isinstance(string, str) or len(string) != self.num_qubits or string.strip("IXYZ"):
                raise InvalidArgument(f"expectation takes strings of {self.num_qubits} letters IXYZ, not {string!r}")
        factors = np.ones(len(strings)) if coefficients is None else np.asarray(coefficients)
        if (factors.size and factors.dtype.kind not in "iuf") or not np.isfinite(factors).all():
            raise InvalidArgument(f"expectation takes finite real coefficients, not {coefficients!r}")
        if factors.shape != (len(strings),):
            raise InvalidArgument(f"expectation takes one coefficient for each of {len(strings)} strings, not shape {factors.shape}")
        self.flush()
        shares, layout = self._shares, self._shares.layout
        masks = [tuple(sum(1 << layout[k] for k, letter in enumerate(s) if letter in both) for both in ("XY", "YZ")) for s in strings]
        shares.refuse_wide(max((x.bit_count() for x, _ in masks), default=0), "a product of Pauli operators")
        means = np.zeros(len(strings))
        left = list(range(len(strings)))
        while left:
            local = shares.bring_here(masks[left[0]][0])
            now = [masks[k] for k in left if not masks[k][0] & ~local]

            def observed(vector: Vector, now: list[tuple[int, ...]] = now) -> NDArray[np.float64]:
                return self._observe(vector, now)

            means[[k for k in left if not masks[k][0] & ~local]] = shares.sum(observed, np.float64)
            left = [k for k in left if masks[k][0] & ~local]
        return float(factors @ means) / self._squared_norm()

    def norm(self) -> float:
        """The norm √⟨ψ|ψ⟩: 1 but for rounding.

        **Collective.**
        """
        return math.sqrt(self._squared_norm())

    def fidelity(self, other: StateVector) -> float:
        """The fidelity |⟨ψ|φ⟩|², both normalised.

        Args:
            other: a state vector of as many qubits over the same ranks.

        **Collective.**

        Raises:
            InvalidArgument: another number of qubits or of nodes.
        """
        if not isinstance(other, StateVector):
            raise TypeError(f"fidelity compares with a StateVector, not with {type(other).__name__}")
        if other.num_qubits != self.num_qubits or other._shares.nodes != self._shares.nodes:
            raise InvalidArgument("fidelity compares state vectors of equally many qubits over the same nodes")
        self.restore_order()
        other.restore_order()

        def product(vector: Vector) -> NDArray[np.complex128]:
            theirs, total, step = other._shares.amplitudes, 0j, 1 << 20
            assert theirs is not None
            for begin in range(0, len(theirs), step):
                a, b = (share[begin : begin + step].astype(np.complex128, copy=False) for share in (vector.amplitudes, theirs))
                total += complex(np.vdot(a, b))
            return np.array([total])

        return float(abs(self._shares.sum(product, np.complex128)[0]) ** 2 / (self._squared_norm() * other._squared_norm()))

    # --- files -----------------------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Writes the state into an HDF5 file, with checksums. Needs `h5py` (pip install 'qmpi[hdf5]').

        Args:
            path: where to.

        **Collective.**

        Raises:
            QMPIError: the file cannot be written; what stood there before is still there.
        """
        self.restore_order()
        files.save(path, self._shares)

    def load(self, path: str | Path) -> None:
        """Reads a state that `save` wrote, by however many nodes. If it cannot be read, nothing is touched.

        Args:
            path: where from.

        **Collective.**

        Raises:
            QMPIError: not such a file, damaged, or of another number of qubits.
        """
        self.flush()
        files.check(path, self._shares)
        self.restore_order()
        files.load(path, self._shares)

    # --- the end ---------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Gives the memory back.

        **Collective.**
        """
        self._shares.close()

    def __enter__(self) -> StateVector:
        """The state vector itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the memory back."""
        self.close()

    def __repr__(self) -> str:
        """As `<qmpi.StateVector of 24 qubits, complex128, 1 node(s)>`."""
        return f"<qmpi.StateVector of {self.num_qubits} qubits, {self.dtype}, {self._shares.nodes.count} node(s)>"

    # --- inside ----------------------------------------------------------------------------------------------------------------------

    def _bit(self, qubit: int) -> int:
        if not isinstance(qubit, int | np.integer) or not 0 <= qubit < self.num_qubits:
            raise InvalidArgument(f"qubit {qubit!r} is not one of 0 to {self.num_qubits - 1}")
        self.flush()
        return self._shares.layout[qubit]

    def _draw(self, count: int) -> NDArray[np.float64]:
        self._draws += 1
        self._shares.note_draw()
        return np.array(vector_draws(self._seed, *self._key, self._draws, count))

    def _observe(self, vector: Vector, masks: list[tuple[int, ...]]) -> NDArray[np.float64]:
        shares, inside = self._shares, (1 << self._shares.local_bits) - 1
        placed = [[sum(1 << shares.place(bit) for bit in range(self.num_qubits) if mask >> bit & 1) for mask in pair] for pair in masks]
        means = np.array(vector.expectations([(x & inside, z & inside) for x, z in placed]))
        return np.asarray(means * [1 - 2 * ((z >> shares.local_bits & shares.node).bit_count() & 1) for _, z in placed])

    def _weights(self, vector: Vector, place: int) -> NDArray[np.float64]:
        if place < self._shares.local_bits:
            return np.array(vector.weights(1 << place))
        mine = self._shares.node >> (place - self._shares.local_bits) & 1
        total = sum(vector.weights(0))
        return np.array([0.0, total] if mine else [total, 0.0])

    def _squared_norm(self) -> float:
        return float(self._shares.sum(lambda vector: np.array([sum(vector.weights(0))]), np.float64)[0])
