"""The state vector: one register, the same calls on every rank, for HPC codes and scaling benchmarks.

What the calls mean for qubits; how ranks and nodes act on the amplitudes together is shares.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._core import Vector, parse_gates, vector_draws
from ..api import Bits
from ..comm.communicator import Comm
from ..errors import InvalidArgument, RankOutOfRange
from ..gates.shapes import tolerance
from ..whole import whole
from . import files, from_qiskit
from .exchange import Traffic, overlap
from .gate_methods import GateMethods
from .shares import Compiled, Shares

Triples = Iterable[tuple[str, Sequence[int], Sequence[Any]]]

MOST_QUBITS = 48
_NEGLIGIBLE = {np.dtype(np.complex128): 1e-24, np.dtype(np.complex64): 1e-12}  # weight that only rounding can have left
_REAL = 1e-10  # how much of a coefficient may be imaginary: what rounding has left


class StateVector(GateMethods):
    """A register of n qubits whose 2ⁿ amplitudes all ranks of a communicator share. All make the same calls in the same order.

    What the ranks call is compared whenever they come together: other gates, calls or arguments on one of them are `MismatchedCollective`
    on all, and `reset()` starts anew.

    Gates are collected and run together: before anything is read, at `flush`, and when many have come. Every gate of `qmpi.gates` is a
    method in the same argument order, with qubit numbers: `state.h(0)`, `state.cp(0.3, 0, 5)`, `state.mcx([0, 1], 2)`.

    Attributes:
        num_qubits: n.
        dtype: complex128 or complex64.
    """

    def __init__(self, comm: Comm | Any, num_qubits: int, dtype: DTypeLike = np.complex128, device: str = "cpu") -> None:
        """Takes memory for |0…0⟩ and touches it.

        Args:
            comm: the `qmpi.Comm` whose ranks take part, or a classical communicator (mpi4py's, the thread world's), which is wrapped.
            num_qubits: n, 1 … 48.
            dtype: complex128 or complex64.
            device: "cpu".

        **Collective.**

        Raises:
            InvalidArgument: a size, type or device that cannot be, or fewer qubits than bits of a node's number.
            Closed: the communicator has been closed.
            StateTooLarge: it would not fit; nothing has been taken.

        Cost: 2ⁿ · 16 bytes over all nodes (complex64: 8), and 32 MiB where nodes exchange.
        """
        number = whole(num_qubits)
        if not 1 <= number <= MOST_QUBITS:
            raise InvalidArgument(f"a state vector has 1 to {MOST_QUBITS} qubits, not {num_qubits!r}")
        self.num_qubits = number
        self.dtype = np.dtype(dtype)
        if self.dtype not in _NEGLIGIBLE:
            raise InvalidArgument(f"dtype must be complex128 or complex64, not {dtype!r}")
        if device != "cpu":
            raise InvalidArgument(f"device must be 'cpu', not {device!r}: other devices are not supported yet")
        self._wrapped = None if isinstance(comm, Comm) else Comm(comm)
        self._comm = comm if self._wrapped is None else self._wrapped
        try:
            self._shares = Shares(self._comm, self.num_qubits, self.dtype)
        except BaseException:
            self._unwrap()
            raise
        self._seed = self._comm._session.universe.arena.seed
        self._key = self._comm._context, self._shares.number

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
                the least significant bit of its index. Or a Qiskit circuit without measurements; not a bare gate of Qiskit's, which does
                not say on which qubits it acts.
            restore_order: whether qubit k is to be at bit k of the index afterwards, as by `restore_order`, but in the same passes.

        Returns:
            What `apply` takes.

        Raises:
            InvalidArgument: a gate that cannot be; the message says what is wrong with it.
            NotUnitary: a matrix that is not unitary.
        """
        if from_qiskit.is_of_qiskit(gates):
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
        compiled = gates if isinstance(gates, Compiled) else self.compile(gates)
        if compiled.gates.n != self.num_qubits:
            raise InvalidArgument(f"the gates were compiled for {compiled.gates.n} qubits, the state has {self.num_qubits}")
        self._shares.begin("apply")
        if compiled is gates:
            self._shares.run(compiled)
        else:
            self._shares.add(compiled)

    def flush(self) -> None:
        """Completes what is pending.

        **Collective.**
        """
        self._shares.begin("flush")
        self._shares.flush()

    def restore_order(self) -> None:
        """Brings qubit k to bit k of the index in memory, where exchanges of qubits have only changed labels.

        **Collective.**
        """
        self._shares.begin("restore_order")
        self._shares.restore_order()

    def reset(self, qubits: int | Sequence[int] | None = None) -> None:
        """Makes qubits |0⟩ again: measures them, in order, and flips what was 1. Without an argument the whole state starts anew.

        Args:
            qubits: a number or several different ones; None for |0…0⟩, whatever the state was. Gates that are pending are dropped then,
                and a state that was lost, or whose ranks had made different calls, can be used again.

        **Collective.**

        Raises:
            InvalidArgument: a qubit that is not there, or is given twice.
        """
        if qubits is None:
            return self._shares.reset()
        numbers = self._several("reset", qubits)
        self._shares.begin("reset", numbers)
        for number in numbers:
            if self._measured(number):
                self._shares.add(self.compile([("x", (number,), ())]))

    def set_amplitudes(self, amplitudes: ArrayLike | None, root: int | None = None) -> None:
        """Makes it a given state. Gates that are pending are dropped. If the amplitudes cannot be a state, nothing is touched.

        Args:
            amplitudes: one-dimensional array of numbers, bit k of the index for qubit k. The ranks' arrays one after the other are the 2ⁿ
                amplitudes; they may be of any length, also 0.
            root: the rank that gives all of them; what the others give counts for nothing.

        **Collective.**

        Raises:
            RankOutOfRange: there is no such root.
            InvalidArgument: not 2ⁿ finite numbers, or their squares do not add up to 1, within 10⁻⁹ (single precision: 10⁻⁵).

        Example:
            >>> state.set_amplitudes([0.6, 0, 0, 0.8j], root=0)
        """
        shares = self._shares
        source = None if root is None else whole(root)
        if source is not None and not 0 <= source < shares.size:
            raise RankOutOfRange(f"root {root!r} is not one of 0 to {shares.size - 1}")
        shares.begin("set_amplitudes", source)
        shares.agree()
        part: NDArray[Any] = np.zeros(0)

        def check() -> bytes:
            nonlocal part
            if source in (None, shares.rank):
                part = np.asarray(amplitudes)
                if part.ndim != 1 or part.dtype.kind not in "iufc":
                    raise ValueError(f"it takes a one-dimensional array of numbers, not {part.dtype} of shape {part.shape}")
            return np.array([len(part), overlap(part, part).real, tolerance(part)]).tobytes()

        rows = [np.frombuffer(row) for row in shares.gather_or_refuse(check, "set_amplitudes", InvalidArgument, (ValueError, TypeError))]
        lengths, weights, tolerances = ([float(row[k]) for row in rows] for k in range(3))
        if sum(lengths) != 1 << self.num_qubits:
            raise InvalidArgument(f"set_amplitudes takes 2^{self.num_qubits} amplitudes of all ranks together, not {sum(lengths):.0f}")
        if not abs(sum(weights) - 1) <= max(tolerances):
            raise InvalidArgument(f"set_amplitudes takes finite amplitudes of norm 1, not {sum(weights) ** 0.5:.12g}")
        shares.take(np.ascontiguousarray(part, self.dtype), [int(length) for length in lengths])

    def copy(self) -> StateVector:
        """Another state vector in the same state, over the same ranks. Its outcomes are drawn independently.

        Returns:
            The copy, to be closed on its own.

        **Collective.**

        Raises:
            StateTooLarge: it would not fit; nothing has been taken.

        Cost: as of a new one.
        """
        self._shares.begin("copy")
        self._shares.flush()
        twin = StateVector(self._comm if self._wrapped is None else self._comm.mpi, self.num_qubits, self.dtype)
        twin._shares.copy_of(self._shares)
        return twin

    # --- what is measured ------------------------------------------------------------------------------------------------------------

    @overload
    def measure(self, qubits: int) -> int: ...

    @overload
    def measure(self, qubits: Sequence[int]) -> Bits: ...

    def measure(self, qubits: int | Sequence[int]) -> int | Bits:
        """Measures one qubit, or several one after the other.

        An outcome is 1 where the draw is below P(1); draws are functions of seed, state vector and their number.

        Args:
            qubits: a number, or several different ones.

        Returns:
            0 or 1 for a number, `Bits` for several; the same on every rank.

        **Collective.**

        Raises:
            InvalidArgument: a qubit that is not there, or is given twice.
        """
        numbers = self._several("measure", qubits)
        self._shares.begin("measure", numbers)
        outcomes = Bits(self._measured(number) for number in numbers)
        return outcomes[0] if _is_one(qubits) else outcomes

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
        number = self._shots(shots)
        self._shares.begin("sample", number)
        return self._sampled(number)

    def counts(self, shots: int, qubits: Sequence[int] | None = None) -> dict[str, int]:
        """`sample`, counted, as Qiskit has it.

        Args:
            shots: how many, at least 1.
            qubits: whose outcomes, the first one rightmost; by default all.

        Returns:
            How often each outcome came, by its bits as a string, qubit 0 rightmost. The same on every rank.

        **Collective.**

        Raises:
            InvalidArgument: not a positive whole number of shots, a qubit that is not there, or is given twice.

        Example:
            >>> state.counts(100)
            {'00': 48, '11': 52}
        """
        number = self._shots(shots)
        numbers = list(range(self.num_qubits)) if qubits is None else self._several("counts", list(qubits))
        self._shares.begin("counts", number, numbers)
        outcomes = self._sampled(number)
        chosen = np.zeros_like(outcomes)
        for k, qubit in enumerate(numbers):
            chosen |= (outcomes >> np.uint64(qubit) & np.uint64(1)) << np.uint64(k)
        values, times = np.unique(chosen, return_counts=True)
        return {f"{1 << len(numbers) | value:b}"[1:]: times for value, times in zip(values.tolist(), times.tolist(), strict=True)}

    def _sampled(self, shots: int) -> NDArray[np.uint64]:
        shares = self._shares
        shares.restore_order()
        weights = np.concatenate(shares.arrays(lambda vector: np.array([sum(vector.weights(0))]), np.float64))
        ends = np.cumsum(weights)
        draws = self._draw(shots) * ends[-1]
        owner = np.minimum(np.searchsorted(ends, draws, side="right"), np.flatnonzero(weights)[-1])
        order = np.argsort(draws)  # and therefore by owner

        def drawn(vector: Vector) -> NDArray[np.int64]:
            mine = draws[order[owner[order] == shares.node]] - (ends[shares.node] - weights[shares.node])
            return np.asarray(vector.sample(np.ascontiguousarray(mine)) | shares.node << shares.local_bits, np.int64)

        outcomes = np.empty(shots, np.uint64)
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
        numbers, shares = self._several("probabilities", list(qubits)), self._shares
        shares.begin("probabilities", numbers)
        bits = [shares.layout[number] for number in numbers]

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
        flat, shares = wanted.reshape(-1).astype(np.int64), self._shares
        shares.begin("amplitudes", flat.tobytes())

        def mine(vector: Vector) -> NDArray[np.complex128]:
            index = np.zeros(flat.shape, np.int64)
            for qubit, bit in enumerate(shares.layout):
                index |= (flat >> qubit & 1) << shares.place(bit)
            here = index >> shares.local_bits == shares.node
            found = np.zeros(flat.shape, np.complex128)
            found[here] = vector.amplitudes[index[here] & (1 << shares.local_bits) - 1]
            return found

        return np.array(shares.sum(mine, np.complex128).reshape(wanted.shape))

    def expectation(self, paulis: str | Sequence[str] | Any, coefficients: ArrayLike | None = None) -> float:
        """Mean of a sum of products of Pauli operators.

        Args:
            paulis: strings of n letters IXYZ; letter k acts on qubit k. Or a `SparsePauliOp` of Qiskit's on n qubits with its coefficients;
                its letters stand in the other order.
            coefficients: a real number for each (complex ones may have imaginary parts that rounding has left); by default 1.

        Returns:
            Σ cₛ⟨Pₛ⟩, the same on every rank.

        **Collective.**

        Raises:
            InvalidArgument: a string that cannot be, or not one real coefficient for each.

        Cost: products that flip more qubits than are on a node send half of each node's amplitudes to one other node.
        """
        if from_qiskit.is_pauli_sum(paulis):
            if coefficients is not None:
                raise InvalidArgument("expectation takes no coefficients besides those of a SparsePauliOp")
            paulis, coefficients = from_qiskit.pauli_sum(paulis)
        strings = [paulis] if isinstance(paulis, str) else list(paulis)
        for string in strings:
            if not isinstance(string, str) or len(string) != self.num_qubits or string.strip("IXYZ"):
                raise InvalidArgument(f"expectation takes strings of {self.num_qubits} letters IXYZ, not {string!r}")
        factors = np.ones(len(strings)) if coefficients is None else np.asarray(coefficients)
        if (factors.size and factors.dtype.kind not in "iufc") or not np.isfinite(factors).all():
            raise InvalidArgument(f"expectation takes finite real coefficients, not {coefficients!r}")
        if factors.shape != (len(strings),):
            raise InvalidArgument(f"expectation takes one coefficient for each of {len(strings)} strings, not shape {factors.shape}")
        if np.abs(factors.imag).max(initial=0) > _REAL * np.abs(factors).max(initial=0):
            raise InvalidArgument(f"expectation takes real coefficients, not {coefficients!r}")
        factors = factors.real.astype(np.float64)
        shares, layout = self._shares, self._shares.layout
        shares.begin("expectation", strings, factors.tobytes())
        masks = [tuple(sum(1 << layout[k] for k, letter in enumerate(s) if letter in both) for both in ("XY", "YZ")) for s in strings]
        means = np.zeros(len(strings))
        wide = [k for k, (x, _) in enumerate(masks) if x.bit_count() > shares.local_bits]
        for k in wide:
            means[k] = shares.mean(*masks[k])
        left = [k for k in range(len(strings)) if k not in wide]
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
        self._shares.begin("norm")
        return math.sqrt(self._squared_norm())

    def fidelity(self, other: StateVector) -> float:
        """The fidelity |⟨ψ|φ⟩|², both normalised.

        Args:
            other: a state vector of as many qubits over the same ranks.

        **Collective.**

        Raises:
            InvalidArgument: another number of qubits, or other ranks.
        """
        if not isinstance(other, StateVector):
            raise TypeError(f"fidelity compares with a StateVector, not with {type(other).__name__}")
        if other.num_qubits != self.num_qubits or other._shares.ranks != self._shares.ranks:
            raise InvalidArgument("fidelity compares state vectors of equally many qubits over the same ranks and nodes")
        for shares in (self._shares, other._shares):
            shares.begin("fidelity", self._key, other._key)
        for shares in (self._shares, other._shares):
            shares.restore_order()

        def product(vector: Vector) -> NDArray[np.complex128]:
            theirs = other._shares.amplitudes
            assert theirs is not None
            return np.array([overlap(vector.amplitudes, theirs)])

        return float(abs(self._shares.sum(product, np.complex128)[0]) ** 2 / (self._squared_norm() * other._squared_norm()))

    # --- files -----------------------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Writes the state into an HDF5 file, with checksums. Needs `h5py` (pip install 'qmpi[hdf5]').

        Args:
            path: where to.

        **Collective.**

        Raises:
            QMPIError: the file cannot be written, or what stands there is no file that could be replaced; it is still there.
        """
        self._shares.begin("save", str(path))
        self._shares.restore_order()
        files.save(path, self._shares)

    def load(self, path: str | Path) -> None:
        """Reads a state that `save` wrote, by however many nodes. If it cannot be read, nothing is touched.

        Args:
            path: where from.

        **Collective.**

        Raises:
            QMPIError: not such a file, damaged, or of another number of qubits.
        """
        self._shares.begin("load", str(path))
        self._shares.flush()
        files.check(path, self._shares)
        self._shares.restore_order()
        files.load(path, self._shares)

    # --- the end ---------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Gives the memory back.

        **Collective.**
        """
        self._shares.close()
        self._unwrap()

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

    def _unwrap(self) -> None:
        if self._wrapped is not None:
            self._wrapped.close()

    def _several(self, call: str, qubits: int | Sequence[int]) -> list[int]:
        """Numbers of different qubits, of one or of several."""
        numbers = []
        for qubit in [qubits] if _is_one(qubits) else qubits:  # type: ignore[union-attr]
            number = whole(qubit)
            if not 0 <= number < self.num_qubits:
                raise InvalidArgument(f"{call}: qubit {qubit!r} is not one of 0 to {self.num_qubits - 1}")
            numbers.append(number)
        if len(set(numbers)) < len(numbers):
            raise InvalidArgument(f"{call} needs different qubits, not {numbers}")
        return numbers

    def _shots(self, shots: int) -> int:
        number = whole(shots)
        if number < 1:
            raise InvalidArgument(f"sample takes a positive number of shots, not {shots!r}")
        return number

    def _measured(self, qubit: int) -> int:
        shares = self._shares
        bit = shares.layout[qubit]
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

    def _draw(self, count: int) -> NDArray[np.float64]:
        self._shares.draws += 1
        return np.array(vector_draws(self._seed, *self._key, self._shares.draws, count))

    def _observe(self, vector: Vector, masks: list[tuple[int, ...]]) -> NDArray[np.float64]:
        shares, inside = self._shares, (1 << self._shares.local_bits) - 1
        placed = [[shares.placed(mask) for mask in pair] for pair in masks]
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


def _is_one(qubits: int | Sequence[int]) -> bool:
    """One number, not several."""
    return whole(qubits) >= 0 or not isinstance(qubits, Iterable)
