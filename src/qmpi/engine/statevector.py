"""The state vector: one register, the same calls on every rank, for HPC codes and scaling benchmarks.

The ranks of a node share one array and the work on it: the first of them plans and runs, the others wait inside qmpi and so help. Nodes
hold a share each and exchange amplitudes only where a gate mixes a bit of the node's number. Knows neither kernels nor tiles.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._core import Circuit, Gates, Plan, Vector, parse_gates, vector_draws
from ..errors import Closed, InvalidArgument, MismatchedCollective, QMPIError, StateTooLarge
from .exchange import Amplitudes, Traffic, exchange
from .gate_methods import GateMethods
from .nodes import Nodes

Triples = Iterable[tuple[str, Sequence[int], Sequence[Any]]]

MOST_QUBITS = 48
_NEGLIGIBLE = {np.dtype(np.complex128): 1e-24, np.dtype(np.complex64): 1e-12}  # weight that only rounding can have left
_created: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # state vectors so far, by group


class Compiled:
    """A checked list of gates, and its plan once it has run.

    Attributes:
        gates: the list.
    """

    def __init__(self, gates: Gates) -> None:
        """As `StateVector.compile` makes it."""
        self.gates = gates
        self.plans: dict[tuple[Any, ...], Plan] = {}

    def __len__(self) -> int:
        """The number of gates."""
        return len(self.gates)


class StateVector(GateMethods):
    """2ⁿ amplitudes, shared by all ranks of a communicator. Every method is collective: all ranks make the same calls in the same order.

    Gates are collected and run together: before anything is read, at `flush`, and when many have come. Every gate of `qmpi.gates` is a
    method in the same argument order, with qubit numbers: `state.h(0)`, `state.cp(0.3, 0, 5)`, `state.mcx([0, 1], 2)`.

    Attributes:
        num_qubits: n.
        dtype: complex128 or complex64.
        traffic: what this rank's node has sent to others: `exchanges`, `messages`, `bytes`.
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
        universe = comm._session.universe
        self.num_qubits = num_qubits
        self.traffic = Traffic()
        self._comm = comm
        self._nodes = Nodes.of(comm.size)
        self._node, place = divmod(comm.rank, self._nodes.ranks_each)
        self._local_bits = num_qubits - self._nodes.bits
        if self._local_bits < 1:
            raise InvalidArgument(f"{num_qubits} qubits cannot be spread over {self._nodes.count} nodes: at least one must stay on each")
        self._seed = universe.arena.seed
        number = _created[comm._group] = _created.get(comm._group, -1) + 1
        self._key = comm._context << 16 | number
        self._draws = 0
        self._vector: Vector | None = None
        self._mpi = comm.mpi.Dup() if self._nodes.count > 1 else None
        self._running: Plan | None = None
        self._broken = ""
        self._count = 0  # gates so far, which all ranks must agree on
        self._closed = False

        workers = comm._session.core.hire() * self._nodes.ranks_each

        def take() -> bytes:
            self._refuse_what_does_not_fit(universe.arena)
            if place == 0:
                self._vector = Vector(universe.arena, self._local_bits, self.dtype == np.complex64, workers)
            return b""

        self._gather(take)
        self.reset()

    def _refuse_what_does_not_fit(self, arena: Any) -> None:
        """All nodes of one machine take their shares from one budget."""
        allowed, used = arena.memory, arena.statistics()["bytes"]
        each = self.dtype.itemsize << self._local_bits
        if each * self._nodes.count <= allowed - used:
            return
        most = int(math.log2(max(allowed - used, 1) // self.dtype.itemsize)) if allowed - used >= self.dtype.itemsize else 0
        raise StateTooLarge(
            f"{self.num_qubits} qubits of {self.dtype} need {_size(each)} on each of {self._nodes.count} node(s), {_size(each * self._nodes.count)} in "
            f"all; {_size(allowed)} are allowed (QMPI_MEMORY) and {_size(used)} of them taken: {most} qubits would fit"
        )

    # --- gates -----------------------------------------------------------------------------------------------------------------------

    def compile(self, gates: Triples | Any) -> Compiled:
        """Checks a list of gates once, so that it can be applied often; its plan is kept, too.

        Args:
            gates: `(name, qubits, parameters)` triples, as `("h", (0,), ())`, `("cp", (0, 5), (0.3,))`, `("unitary", (2, 7), (matrix,))`,
                `("pauli_rotation", (0, 1), (0.3, "XZ"))`; names and orders as in `qmpi.gates`, angles in radians, a matrix's first qubit
                the least significant bit of its index. Or a Qiskit circuit without measurements.

        Returns:
            What `apply` takes.

        Raises:
            InvalidArgument: a gate that cannot be; the message says what is wrong with it.
            NotUnitary: a matrix that is not unitary.
        """
        if hasattr(gates, "data") and hasattr(gates, "qubits"):
            from .from_qiskit import triples

            gates = triples(gates, self.num_qubits)
        return Compiled(parse_gates(self.num_qubits, gates))

    def apply(self, gates: Triples | Compiled | Any) -> None:
        """Applies gates in order.

        Args:
            gates: what `compile` takes or has made. All of them are checked before any is applied.

        **Collective.**

        Raises:
            InvalidArgument: a gate that cannot be, or one that mixes more qubits than a node has bits.
            NotUnitary: a matrix that is not unitary.
        """
        self._refuse_if_unusable()
        compiled = gates if isinstance(gates, Compiled) else self.compile(gates)
        if compiled.gates.n != self.num_qubits:
            raise InvalidArgument(f"the gates were compiled for {compiled.gates.n} qubits, the state has {self.num_qubits}")
        self._count += len(compiled)
        if compiled is gates and self._circuit.empty and self._nodes.count == 1 and self._running is None:
            return self._run_compiled(compiled)
        self._circuit.add(compiled.gates)
        if len(self._circuit) >= _BUFFERED:
            self.flush()

    def _run_compiled(self, compiled: Compiled) -> None:
        layout = tuple(self._circuit.layout)
        circuit = Circuit(self.num_qubits, list(layout))
        key = (layout, self.dtype, self._comm.size)
        plan = compiled.plans.get(key)
        if plan is None or self._vector is None:
            circuit.add(compiled.gates)
        if self._vector is not None and plan is None:
            plan = compiled.plans[key] = self._vector.plan(circuit)
        self._running = plan
        self._circuit = Circuit(self.num_qubits, plan.layout if plan is not None else circuit.layout)
        self._together(lambda vector: None)

    def flush(self) -> None:
        """Completes what is pending.

        **Collective.**
        """
        self._refuse_if_unusable()
        self._together(lambda vector: None)

    def restore_order(self) -> None:
        """Brings qubit k to bit k of the index in memory, where exchanges of qubits have only changed labels.

        **Collective.**
        """
        self._refuse_if_unusable()
        if self._nodes.count == 1:
            self._circuit.restore_order()
            return self.flush()
        self.flush()
        self._together(lambda vector: self._restore_places(vector))
        self._circuit = Circuit(self.num_qubits, list(range(self.num_qubits)))

    def reset(self) -> None:
        """Makes it |0…0⟩ again; gates that are pending are dropped.

        **Collective.**
        """
        if self._closed:
            self._refuse_if_unusable()
        self._circuit = Circuit(self.num_qubits, list(range(self.num_qubits)))
        self._place = list(range(self.num_qubits))  # of each bit; from _local_bits on: bits of the node's number
        self._fresh = True
        self._running = None
        self._broken = ""
        self._together(lambda vector: vector.clear(self._node == 0))

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
        bit = self._bit(qubit)
        weights = self._sum(lambda vector: self._weights(vector, self._place[bit]), 2)
        draw = float(vector_draws(self._seed, self._key, self._next_draw(), 1)[0])
        total = weights.sum()
        value = int(draw * total < weights[1])
        if weights[value] <= _NEGLIGIBLE[self.dtype] * total:
            value = 1 - value
        scale = 1 / math.sqrt(weights[value])

        def keep(vector: Vector) -> None:
            place = self._place[bit]
            if place < self._local_bits:
                vector.multiply(place, 0 if value else scale, scale if value else 0)
            elif self._node >> (place - self._local_bits) & 1 == value:
                vector.multiply(0, scale, scale)
            else:
                vector.clear(False)

        self._together(keep)
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
        node_weights = self._rows(lambda vector: np.array(vector.weights(0)).sum())
        ends = np.cumsum(node_weights)
        draws = vector_draws(self._seed, self._key, self._next_draw(), int(shots)) * ends[-1]
        owner = np.minimum(np.searchsorted(ends, draws, side="right"), np.flatnonzero(node_weights)[-1])
        order = np.argsort(draws, kind="stable")
        order = order[np.argsort(owner[order], kind="stable")]

        def drawn(vector: Vector) -> NDArray[np.int64]:
            mine = draws[order[owner[order] == self._node]] - (ends[self._node] - node_weights[self._node])
            return vector.sample(np.ascontiguousarray(mine)) | self._node << self._local_bits

        outcomes = np.empty(int(shots), np.uint64)
        outcomes[order] = np.concatenate(self._leaders(drawn, np.int64)).astype(np.uint64)
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

        def marginal(vector: Vector) -> NDArray[np.float64]:
            places = [self._place[bit] for bit in bits]
            local = [k for k, place in enumerate(places) if place < self._local_bits]
            sums = vector.marginal([places[k] for k in local])
            index = np.zeros(len(sums), np.int64)
            for j, k in enumerate(local):
                index |= (np.arange(len(sums)) >> j & 1) << k
            for k, place in enumerate(places):
                if place >= self._local_bits:
                    index |= (self._node >> (place - self._local_bits) & 1) << k
            whole = np.zeros(1 << len(bits))
            whole[index] = sums
            return whole

        sums = self._sum(marginal, 1 << len(bits))
        return sums / sums.sum()

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
        layout = self._circuit.layout

        def mine(vector: Vector) -> NDArray[np.complex128]:
            place = np.zeros(flat.shape, np.int64)
            for qubit in range(self.num_qubits):
                place |= (flat >> qubit & 1) << self._place[layout[qubit]]
            here = place >> self._local_bits == self._node
            found = np.zeros(flat.shape, np.complex128)
            found[here] = vector.amplitudes[place[here] & (1 << self._local_bits) - 1]
            return found

        return self._sum(mine, flat.size, np.complex128).reshape(wanted.shape)

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
        factors = np.ones(len(strings)) if coefficients is None else np.asarray(coefficients, np.float64)
        if factors.shape != (len(strings),):
            raise InvalidArgument(f"expectation takes one coefficient for each of {len(strings)} strings, not shape {factors.shape}")
        self.flush()
        layout = self._circuit.layout
        masks = [[sum(1 << layout[k] for k, letter in enumerate(s) if letter in both) for both in ("XY", "YZ")] for s in strings]
        self._refuse_wide(max((x.bit_count() for x, _ in masks), default=0), "a product of Pauli operators")
        means = np.zeros(len(strings))
        left = list(range(len(strings)))
        while left:
            first = masks[left[0]][0]
            self._together(lambda vector, first=first: self._bring_here(vector, first))
            places = self._rows(lambda vector: np.array([self._place[bit] for bit in range(self.num_qubits)], np.int64), np.int64)[
                : self.num_qubits
            ]
            local = sum(1 << bit for bit in range(self.num_qubits) if places[bit] < self._local_bits)
            now = [k for k in left if masks[k][0] & ~local == 0]
            left = [k for k in left if masks[k][0] & ~local]
            means[now] = self._sum(lambda vector, now=now: self._observe(vector, [masks[k] for k in now]), len(now))
        return float(factors @ means) / float(self._squared_norm())

    def norm(self) -> float:
        """√⟨ψ|ψ⟩: 1 but for rounding.

        **Collective.**
        """
        return math.sqrt(self._squared_norm())

    def fidelity(self, other: StateVector) -> float:
        """|⟨ψ|φ⟩|², both normalised.

        Args:
            other: a state vector of as many qubits over the same ranks.

        **Collective.**

        Raises:
            InvalidArgument: another number of qubits or of nodes.
        """
        if other.num_qubits != self.num_qubits or other._nodes != self._nodes:
            raise InvalidArgument("fidelity compares state vectors of equally many qubits over the same nodes")
        self.restore_order()
        other.restore_order()

        def product(vector: Vector) -> NDArray[np.complex128]:
            assert other._vector is not None
            total, step = 0j, 1 << 20
            for begin in range(0, 1 << self._local_bits, step):
                a, b = (v.amplitudes[begin : begin + step] for v in (vector, other._vector))
                total += np.vdot(a, b) if a.dtype == b.dtype == np.complex128 else np.vdot(a.astype(np.complex128), b.astype(np.complex128))
            return np.array([total])

        return float(abs(self._sum(product, 1, np.complex128)[0]) ** 2 / (self._squared_norm() * other._squared_norm()))

    # --- files -----------------------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Writes the state into an HDF5 file, with checksums. Needs `h5py` (pip install 'qmpi[hdf5]').

        Args:
            path: where to.

        **Collective.**

        Raises:
            QMPIError: the file cannot be written; what stood there before is still there.
        """
        from . import files

        self.restore_order()
        files.save(path, self)

    def load(self, path: str | Path) -> None:
        """Reads a state that `save` wrote, by however many nodes. If it cannot be read, nothing is touched.

        Args:
            path: where from.

        **Collective.**

        Raises:
            QMPIError: not such a file, damaged, or of another number of qubits.
        """
        from . import files

        self.flush()
        files.check(path, self)
        self.reset()
        self._fresh = False
        files.load(path, self)

    # --- the end ---------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Gives the memory back.

        **Collective.**
        """
        if self._closed:
            return
        self._closed = True
        self._vector = None

    def __enter__(self) -> StateVector:
        """The state vector itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the memory back."""
        self.close()

    def __repr__(self) -> str:
        """As `<qmpi.StateVector of 24 qubits, complex128, 1 node(s)>`."""
        return f"<qmpi.StateVector of {self.num_qubits} qubits, {self.dtype}, {self._nodes.count} node(s)>"

    # --- inside ----------------------------------------------------------------------------------------------------------------------

    def _refuse_if_unusable(self) -> None:
        if self._closed:
            raise Closed("the state vector has been closed")
        if self._broken:
            raise QMPIError(f"the state was lost: {self._broken}; reset() starts anew")

    def _refuse_wide(self, bits: int, what: str) -> None:
        if bits > self._local_bits:
            raise InvalidArgument(
                f"{what} mixes {bits} qubits, but a node has only {self._local_bits} of the {self.num_qubits}: use fewer nodes"
            )

    def _bit(self, qubit: int) -> int:
        self._refuse_if_unusable()
        if not isinstance(qubit, int | np.integer) or not 0 <= qubit < self.num_qubits:
            raise InvalidArgument(f"qubit {qubit!r} is not one of 0 … {self.num_qubits - 1}")
        self.flush()
        return self._circuit.layout[qubit]

    def _next_draw(self) -> int:
        self._draws += 1
        return self._draws

    def _gather(self, make: Callable[[], bytes]) -> list[bytes]:
        """Everybody's bytes; whoever has nothing to do waits inside qmpi, and helps."""
        return [make()] if self._comm.size == 1 else self._comm._group.gather_or_raise(make)

    def _together(self, act: Callable[[Vector], Any]) -> list[bytes]:
        """Completes what is pending, then acts on each node's vector; what that returns, of the leaders."""
        self._refuse_if_unusable()
        checked = zlib.crc32(repr((self._count, self._draws)).encode()).to_bytes(4, "little")

        def work() -> bytes:
            if self._vector is None:
                return checked
            self._complete(self._vector)
            result = act(self._vector)
            return checked + (b"" if result is None else np.ascontiguousarray(result).tobytes())

        wide = self._circuit.widest if self._nodes.count > 1 else 0
        if wide > self._local_bits:
            self._circuit = Circuit(self.num_qubits, list(range(self.num_qubits)))
            self._broken = "a gate was too wide"
            self._refuse_wide(wide, "a gate")
        rows = self._gather(work)
        self._circuit = Circuit(self.num_qubits, self._circuit.layout) if not self._circuit.empty else self._circuit
        if any(row[:4] != checked for row in rows):
            raise MismatchedCollective("the ranks have applied different numbers of gates to the state vector")
        return [rows[leader][4:] for leader in self._nodes.leaders]

    def _complete(self, vector: Vector) -> None:
        if self._running is not None:
            vector.run(self._running)
            self._running = None
        if self._circuit.empty:
            return
        if self._nodes.count == 1:
            self._running = vector.plan(self._circuit)
            self._circuit = Circuit(self.num_qubits, self._circuit.layout)
            vector.run(self._running)
            self._running = None
        else:
            self._run_segments(vector, self._circuit)
        self._fresh = False

    def _run_segments(self, vector: Vector, circuit: Circuit) -> None:
        now = sum(1 << bit for bit in range(self.num_qubits) if self._place[bit] >= self._local_bits)
        self._broken = "it was interrupted between two nodes"
        scalar = circuit.scalar
        for wanted, actions in circuit.segments(now, self._fresh):
            if self._fresh:  # all amplitudes but the first are 0: wherever the bits are
                others = iter(bit for bit in range(self.num_qubits) if not wanted >> bit & 1)
                there = iter(bit for bit in range(self.num_qubits) if wanted >> bit & 1)
                for place in range(self.num_qubits):
                    self._place[next(others if place < self._local_bits else there)] = place
                self._fresh = False
            self._exchange(vector, wanted)
            local = circuit.localised(actions, self._place, self._local_bits, self._node, scalar)
            vector.run(vector.plan(local))
            scalar = 1
        self._broken = ""

    def _exchange(self, vector: Vector, wanted: int) -> None:
        """Makes these bits global, and the others local."""
        leaving = [bit for bit in range(self.num_qubits) if wanted >> bit & 1 and self._place[bit] < self._local_bits]
        coming = [bit for bit in range(self.num_qubits) if not wanted >> bit & 1 and self._place[bit] >= self._local_bits]
        self._trade(vector, list(zip(coming, leaving, strict=True)))

    def _trade(self, vector: Vector, pairs: list[tuple[int, int]]) -> None:
        """For each pair of bits, a global and a local one, the two change places."""
        if not pairs:
            return
        places = [(self._place[a] - self._local_bits, self._place[b]) for a, b in pairs]
        exchange(self._mpi, self._nodes.leaders, self._node, vector.amplitudes, places, self.traffic)
        for a, b in pairs:
            self._place[a], self._place[b] = self._place[b], self._place[a]

    def _bring_here(self, vector: Vector, bits: int) -> None:
        """Makes these bits local."""
        now = [bit for bit in range(self.num_qubits) if self._place[bit] >= self._local_bits]
        coming = [bit for bit in now if bits >> bit & 1]
        free = [bit for bit in range(self.num_qubits) if self._place[bit] < self._local_bits and not bits >> bit & 1]
        self._trade(vector, list(zip(coming, sorted(free, key=lambda bit: -self._place[bit]), strict=False)))

    def _restore_places(self, vector: Vector) -> None:
        """Qubit k to place k."""
        layout = self._circuit.layout
        for place in range(self._local_bits, self.num_qubits):
            bit = layout[place]
            if self._place[bit] == place:
                continue
            if self._place[bit] >= self._local_bits:  # over a local place that no global qubit wants
                free = next(b for b in range(self.num_qubits) if self._place[b] < self._local_bits and b not in layout[self._local_bits :])
                self._trade(vector, [(bit, free)])
            there = self._place.index(place)
            self._trade(vector, [(there, bit)])
        local = Circuit(self._local_bits, [self._place[layout[qubit]] for qubit in range(self._local_bits)])
        local.restore_order()
        vector.run(vector.plan(local))
        self._place = list(range(self.num_qubits))

    def _observe(self, vector: Vector, masks: list[list[int]]) -> NDArray[np.float64]:
        placed = [[sum(1 << self._place[bit] for bit in range(self.num_qubits) if mask >> bit & 1) for mask in pair] for pair in masks]
        inside = (1 << self._local_bits) - 1
        means = np.array(vector.expectations([(x & inside, z & inside) for x, z in placed]))
        return means * [1 - 2 * ((z >> self._local_bits & self._node).bit_count() & 1) for _, z in placed]

    def _weights(self, vector: Vector, place: int) -> NDArray[np.float64]:
        if place < self._local_bits:
            return np.array(vector.weights(1 << place))
        total = sum(vector.weights(0))
        return np.array([total, 0.0][:: -1 if self._node >> (place - self._local_bits) & 1 else 1])

    def _squared_norm(self) -> float:
        return float(self._sum(lambda vector: np.array([sum(vector.weights(0))]), 1)[0])

    def _leaders(self, act: Callable[[Vector], Any], dtype: DTypeLike = np.float64) -> list[NDArray[Any]]:
        return [np.frombuffer(row, dtype) for row in self._together(act)]

    def _rows(self, act: Callable[[Vector], Any], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        return np.concatenate(self._leaders(act, dtype))

    def _sum(self, act: Callable[[Vector], Any], count: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        return np.sum(self._rows(act, dtype).reshape(-1, count), axis=0) if count else np.zeros(0, dtype)

    @property
    def _share(self) -> Amplitudes | None:
        """This node's amplitudes, on its leader."""
        return None if self._vector is None else self._vector.amplitudes


_BUFFERED = 8192  # gates, or what they were merged to


def _size(bytes_: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if bytes_ < 1024:
            return f"{bytes_:.4g} {unit}"
        bytes_ /= 1024
    return f"{bytes_:.4g} TiB"
