"""The amplitudes of a state vector over nodes and ranks, and how all ranks act on them together.

The first rank of each node holds the node's share in the arena, plans and runs; the others wait inside qmpi, and so help. A bit of the
amplitudes' index is at a place: the lowest places are bits of an index in a share, the others bits of the node's number. Knows no gates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._core import Circuit, Gates, Plan, Vector
from ..errors import Closed, InvalidArgument, MismatchedCollective, QMPIError, StateTooLarge
from ..world.settings import readable_bytes
from .exchange import Amplitudes, Traffic, exchange
from .nodes import Nodes

_BUFFERED = 8192  # actions of a circuit before it runs
Number = TypeVar("Number", bound=np.generic)


class Compiled:
    """A checked list of gates, and its plans once it has run.

    Attributes:
        gates: the list.
        restores_order: whether it ends with qubit k at bit k.
    """

    def __init__(self, gates: Gates, restores_order: bool = False) -> None:
        """As `StateVector.compile` makes it."""
        self.gates = gates
        self.restores_order = restores_order
        self.plans: dict[tuple[Any, ...], Plan] = {}

    def __len__(self) -> int:
        """The number of gates."""
        return len(self.gates)

    @cached_property
    def widest(self) -> int:
        """How many qubits the widest of them mixes."""
        circuit = Circuit(self.gates.n, list(range(self.gates.n)))
        circuit.add(self.gates)
        return circuit.widest


class Shares:
    """This rank's side of the amplitudes.

    Attributes:
        nodes: how the ranks make nodes.
        node: number of this rank's node.
        local_bits: log2 of a share's amplitudes.
        traffic: what this node has sent.
    """

    def __init__(self, comm: Any, num_qubits: int, dtype: np.dtype[Any]) -> None:
        """Takes the memory. **Collective.**"""
        self.comm = comm
        self.num_qubits = num_qubits
        self.dtype = dtype
        self.nodes = Nodes.of(comm.size)
        self.node, self._number_in_node = divmod(comm.rank, self.nodes.ranks_each)
        self.local_bits = num_qubits - self.nodes.bits
        if self.local_bits < 1:
            raise InvalidArgument(f"{num_qubits} qubits cannot be spread over {self.nodes.count} nodes: at least one must stay on each")
        self.traffic = Traffic()
        self._vector: Vector | None = None
        self._mpi = comm.mpi.Dup() if self.nodes.count > 1 else None
        self._closed = False
        self._calls = 0  # gates and draws so far, which all ranks must agree on
        self._circuit = Circuit(num_qubits, list(range(num_qubits)))  # what waits
        self._running: Plan | None = None  # what an interrupt has left undone
        self._place = list(range(num_qubits))  # of each bit
        self._cleared = False
        self._fresh = True  # all bits are alike: all amplitudes but the first are 0
        self._broken = ""
        self.gather(self._check)  # all of them, before any takes
        self.gather(self._take)
        self.reset()

    def _check(self) -> bytes:
        arena = self.comm._session.universe.arena
        allowed, used, each = arena.memory, arena.statistics()["bytes"], self.dtype.itemsize << self.local_bits
        if each * self.nodes.count > allowed - used:
            left = max(allowed - used, self.dtype.itemsize) // self.dtype.itemsize
            raise StateTooLarge(
                f"{self.num_qubits} qubits of {self.dtype} need {readable_bytes(each)} on each of {self.nodes.count} node(s); "
                f"of the {readable_bytes(allowed)} that are allowed (QMPI_MEMORY), {readable_bytes(used)} are taken: "
                f"{left.bit_length() - 1} qubits would fit"
            )
        return b""

    def _take(self) -> bytes:
        session = self.comm._session
        workers = session.core.hire() * self.nodes.ranks_each
        if self._number_in_node == 0:
            self._vector = Vector(session.universe.arena, self.local_bits, self.dtype == np.complex64, workers)
        return b""

    def close(self) -> None:
        """Gives the memory back."""
        self._closed = True
        self._vector = None

    @property
    def amplitudes(self) -> Amplitudes | None:
        """This node's share, on its first rank."""
        return None if self._vector is None else self._vector.amplitudes

    # --- gates -----------------------------------------------------------------------------------------------------------------------

    def add(self, compiled: Compiled) -> None:
        """Gates that may wait for others."""
        self.refuse_if_unusable()
        if self.nodes.count > 1:
            self.refuse_wide(compiled.widest, "a gate")
        self._calls += len(compiled)
        self._circuit.add(compiled.gates)
        if compiled.restores_order:
            self.restore_order()
        elif len(self._circuit) >= _BUFFERED:
            self.flush()

    def run(self, compiled: Compiled) -> None:
        """Gates whose plan is kept, run at once where nothing waits before them and there is one node."""
        self.refuse_if_unusable()
        if not self._circuit.empty or self._running is not None or self.nodes.count > 1:
            return self.add(compiled)
        self._calls += len(compiled)
        key = (*self._circuit.layout, self.dtype, self.comm.size)
        plan = compiled.plans.get(key)
        if plan is None:
            circuit = Circuit(self.num_qubits, self._circuit.layout)
            circuit.add(compiled.gates)
            if compiled.restores_order:
                circuit.restore_order()
            self._circuit = Circuit(self.num_qubits, circuit.layout)
            if self._vector is not None:
                plan = compiled.plans[key] = self._vector.plan(circuit)
        elif plan.layout != self._circuit.layout:
            self._circuit = Circuit(self.num_qubits, plan.layout)
        self._running = plan
        self._fresh = False
        self.flush()

    def flush(self) -> None:
        """Completes what waits. **Collective.**"""
        self.together(lambda vector: None)

    def reset(self) -> None:
        """|0…0⟩; what waits is dropped. **Collective.**"""
        self._circuit = Circuit(self.num_qubits, list(range(self.num_qubits)))
        self._place = list(range(self.num_qubits))
        self._fresh, self._running, self._broken, self._cleared = True, None, "", False
        self.flush()

    def restore_order(self) -> None:
        """Brings qubit k to place k; the state may then be written over. **Collective.**"""
        self._fresh = False
        if self.nodes.count == 1:
            self._circuit.restore_order()
            return self.flush()
        self.flush()
        self.together(self._restore_places)
        self._circuit = Circuit(self.num_qubits, list(range(self.num_qubits)))

    @property
    def layout(self) -> list[int]:
        """The bit of each qubit."""
        return self._circuit.layout

    def place(self, bit: int) -> int:
        """Where a bit is; on the first rank of a node."""
        return self._place[bit]

    def note_draw(self) -> None:
        """All ranks must draw together."""
        self._calls += 1

    # --- acting together -------------------------------------------------------------------------------------------------------------

    def refuse_if_unusable(self) -> None:
        """Raises Closed, or QMPIError after an exchange was interrupted."""
        if self._closed:
            raise Closed("the state vector has been closed")
        if self._broken:
            raise QMPIError(f"the state is lost: {self._broken}. reset() starts anew")

    def refuse_wide(self, bits: int, what: str) -> None:
        """Raises InvalidArgument where a node has fewer bits than something mixes."""
        if bits > self.local_bits:
            raise InvalidArgument(
                f"{what} mixes {bits} qubits, but only {self.local_bits} of {self.num_qubits} are on one node: use fewer nodes"
            )

    def gather(self, make: Callable[[], bytes]) -> list[bytes]:
        """Everybody's bytes; whoever has nothing to do waits inside qmpi."""
        return [make()] if self.comm.size == 1 else self.comm._group.gather_or_raise(make)

    def together(self, act: Callable[[Vector], NDArray[Any] | None]) -> list[bytes]:
        """Completes what waits, then acts on each node's vector. What that returned, node by node. **Collective.**

        Raises:
            MismatchedCollective: the ranks have made different calls.
        """
        self.refuse_if_unusable()
        calls = self._calls.to_bytes(8, "little")

        def work() -> bytes:
            if self._vector is None:
                return calls
            self._complete(self._vector)
            result = act(self._vector)
            return calls if result is None else calls + np.ascontiguousarray(result).tobytes()

        rows = self.gather(work)
        if self._vector is None and not self._circuit.empty:
            self._circuit = Circuit(self.num_qubits, self._circuit.layout)
        if any(row[:8] != calls for row in rows):
            raise MismatchedCollective(
                "the ranks have applied different numbers of gates to the state vector, or measured it differently often"
            )
        return [rows[leader][8:] for leader in self.nodes.leaders]

    def arrays(self, act: Callable[[Vector], NDArray[Number]], dtype: type[Number]) -> list[NDArray[Number]]:
        """What each node's act returned."""
        return [np.frombuffer(row, dtype) for row in self.together(act)]

    def sum(self, act: Callable[[Vector], NDArray[Number]], dtype: type[Number]) -> NDArray[Number]:
        """The sum over the nodes."""
        total: NDArray[Number] = np.sum(self.arrays(act, dtype), axis=0)
        return total

    def bring_here(self, bits: int) -> int:
        """Makes all of these bits local; which are. **Collective.**"""

        def bring(vector: Vector) -> NDArray[np.int64]:
            coming = [bit for bit in range(self.num_qubits) if self._place[bit] >= self.local_bits and bits >> bit & 1]
            free = [bit for bit in range(self.num_qubits) if self._place[bit] < self.local_bits and not bits >> bit & 1]
            self._trade(vector, list(zip(coming, sorted(free, key=lambda bit: -self._place[bit]), strict=False)))
            return np.array([sum(1 << bit for bit in range(self.num_qubits) if self._place[bit] < self.local_bits)], np.int64)

        if self.nodes.count == 1:
            return (1 << self.num_qubits) - 1
        return int(self.arrays(bring, np.int64)[0][0])

    # --- on one node -----------------------------------------------------------------------------------------------------------------

    def _complete(self, vector: Vector) -> None:
        if not self._cleared:
            vector.clear(self.node == 0)
            self._cleared = True
        if self._running is not None:
            vector.run(self._running)  # goes on where an interrupt ended it
            self._running = None
        if self._circuit.empty:
            return
        circuit = self._circuit
        if self.nodes.count > 1:
            self._run_segments(vector, circuit)
            self._circuit = Circuit(self.num_qubits, circuit.layout)
        else:
            self._running = vector.plan(circuit)
            self._circuit = Circuit(self.num_qubits, circuit.layout)
            vector.run(self._running)
            self._running = None
        self._fresh = False

    def _run_segments(self, vector: Vector, circuit: Circuit) -> None:
        now = sum(1 << bit for bit in range(self.num_qubits) if self._place[bit] >= self.local_bits)
        scalar = circuit.scalar
        self._broken = "its gates were interrupted between two nodes"
        for wanted, actions in circuit.segments(now, self._fresh):
            if self._fresh:
                local = [bit for bit in range(self.num_qubits) if not wanted >> bit & 1]
                for place, bit in enumerate([*local, *(bit for bit in range(self.num_qubits) if wanted >> bit & 1)]):
                    self._place[bit] = place
                self._fresh = False
            leaving = [bit for bit in range(self.num_qubits) if wanted >> bit & 1 and self._place[bit] < self.local_bits]
            coming = [bit for bit in range(self.num_qubits) if not wanted >> bit & 1 and self._place[bit] >= self.local_bits]
            self._trade(vector, list(zip(coming, leaving, strict=True)))
            vector.run(vector.plan(circuit.localised(actions, self._place, self.local_bits, self.node, scalar)))
            scalar = 1
        self._broken = ""

    def _trade(self, vector: Vector, pairs: list[tuple[int, int]]) -> None:
        """For each pair of bits, one of the node's number and a local one, the two change places."""
        if not pairs:
            return
        broken, self._broken = self._broken, "it was interrupted while nodes exchanged amplitudes"
        places = [(self._place[a] - self.local_bits, self._place[b]) for a, b in pairs]
        exchange(self._mpi, self.nodes.leaders, self.node, vector.amplitudes, places, self.traffic)
        for a, b in pairs:
            self._place[a], self._place[b] = self._place[b], self._place[a]
        self._broken = broken

    def _restore_places(self, vector: Vector) -> None:
        layout = self.layout
        for place in range(self.local_bits, self.num_qubits):
            bit = layout[place]
            if self._place[bit] == place:
                continue
            if self._place[bit] >= self.local_bits:  # over a local place that no qubit to go there needs
                free = next(b for b in layout[: self.local_bits] if self._place[b] < self.local_bits)
                self._trade(vector, [(bit, free)])
            self._trade(vector, [(self._place.index(place), bit)])
        local = Circuit(self.local_bits, [self._place[layout[qubit]] for qubit in range(self.local_bits)])
        local.restore_order()
        vector.run(vector.plan(local))
        self._place = list(range(self.num_qubits))
