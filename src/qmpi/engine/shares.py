"""The amplitudes of a state vector over nodes and ranks, and how all ranks act on them together.

The first rank of each node holds the node's share in the arena, plans and runs; the others wait inside qmpi, and so help. A bit of the
amplitudes' index is at a place: the lowest places are bits of an index in a share, the others bits of the node's number. Knows no gates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b
from struct import pack, unpack
from threading import get_ident
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .._core import Circuit, Gates, Plan, Vector
from ..comm.communicator import Comm
from ..errors import Closed, InvalidArgument, MismatchedCollective, QMPIError, SecondThread, StateTooLarge
from ..runtime.collective import Group
from ..world.settings import readable_bytes
from .exchange import Amplitudes, Traffic, exchange, half_mean, transfer
from .nodes import Nodes

_BUFFERED = 8192  # actions of a circuit before it runs
_created: WeakKeyDictionary[Group, int] = WeakKeyDictionary()  # number of the latest state vector of each communicator
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
    def digest(self) -> int:
        """What tells it from others, on all ranks alike."""
        return self.gates.digest ^ self.restores_order

    @cached_property
    def widest(self) -> int:
        """How many qubits the widest of them mixes."""
        circuit = Circuit(self.gates.n, list(range(self.gates.n)))
        circuit.add(self.gates)
        return circuit.widest


class Shares:
    """This rank's side of the amplitudes.

    Attributes:
        rank, size: this rank and how many there are.
        nodes: how the ranks make nodes.
        node: number of this rank's node.
        local_bits: log2 of a share's amplitudes.
        traffic: what this node has sent.
        number: of this state vector among those of its communicator.
        draws: how often random numbers have been drawn.
    """

    def __init__(self, comm: Comm, num_qubits: int, dtype: np.dtype[Any]) -> None:
        """Takes the memory. **Collective.**"""
        self.rank, self.size = comm.rank, comm.size
        self._session, self._group = comm._session, comm._group
        self._refuse_closed_comm, self._comm_mpi = comm._refuse_if_closed, comm.mpi
        self._thread = get_ident()
        self.num_qubits = num_qubits
        self.dtype = dtype
        self.nodes = Nodes.of(self.size)
        self.node, self._number_in_node = divmod(self.rank, self.nodes.ranks_each)
        self.local_bits = num_qubits - self.nodes.bits
        if self.local_bits < 1:
            raise InvalidArgument(f"{num_qubits} qubits cannot be spread over {self.nodes.count} nodes: at least one must stay on each")
        self.traffic = Traffic()
        self._vector: Vector | None = None
        self._mpi: Any = None
        self._closed = False
        self.draws = 0
        self._gates = 0  # digest of those so far
        self._call: tuple[Any, ...] = ()  # under way: name and arguments
        self._digest = b""  # of it, once there was need
        self._agreements = 0  # in it so far
        self._circuit = Circuit(num_qubits, list(range(num_qubits)))  # what waits
        self._running: Plan | None = None  # what an interrupt has left undone
        self._place = list(range(num_qubits))  # of each bit
        self._cleared = False
        self._fresh = True  # all bits are alike: all amplitudes but the first are 0
        self._broken = ""
        self.number = _created.get(self._group, -1) + 1
        self.begin("StateVector", num_qubits, dtype.name)
        heads = self.gather(self._head)
        self._refuse_differences([head[:24] for head in heads])
        self.number = _created[self._group] = max(unpack("<Q", head[24:32])[0] for head in heads)
        self.gather(self._check)  # all of them, before any takes
        self.gather(self._take)
        if self.nodes.count > 1:
            self._mpi = self._comm_mpi.Dup()
        self.reset()

    def _check(self) -> bytes:
        arena = self._session.universe.arena
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
        workers = self._session.core.hire() * self.nodes.ranks_each
        if self._number_in_node == 0:
            self._vector = Vector(self._session.universe.arena, self.local_bits, self.dtype == np.complex64, workers)
        return b""

    @property
    def ranks(self) -> tuple[Any, ...]:
        """Which ranks make which nodes, in the universe's numbers."""
        return self.nodes, self._group.members

    def close(self) -> None:
        """Gives the memory back."""
        self._refuse_other_threads()
        self._closed = True
        self._vector = None
        if self._mpi is not None:
            self._mpi.Free()
            self._mpi = None

    @property
    def amplitudes(self) -> Amplitudes | None:
        """This node's share, on its first rank."""
        return None if self._vector is None else self._vector.amplitudes

    # --- gates -----------------------------------------------------------------------------------------------------------------------

    def add(self, compiled: Compiled) -> None:
        """Gates that may wait for others."""
        if self.nodes.count > 1:
            self.refuse_wide(compiled.widest, "a gate")
        self._note(compiled)
        self._circuit.add(compiled.gates)
        if compiled.restores_order:
            self.restore_order()
        elif len(self._circuit) >= _BUFFERED:
            self.flush()

    def run(self, compiled: Compiled) -> None:
        """Gates whose plan is kept, run at once where nothing waits before them and there is one node."""
        if not self._circuit.empty or self._running is not None or self.nodes.count > 1:
            return self.add(compiled)
        self._note(compiled)
        key = (*self._circuit.layout, self.dtype, self.size)
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
        """|0…0⟩; what waits is dropped, and so is all that the ranks did not agree on. **Collective.**"""
        self.begin("reset", lost=True)
        heads = self.gather(self._head)
        self._refuse_differences([bytes(8) + head[8:32] for head in heads])  # whatever gates and draws came before
        self._start_anew()
        self._fresh, self._cleared = True, False
        self.draws = max(unpack("<Q", head[32:])[0] for head in heads)
        self.flush()

    def _start_anew(self) -> None:
        """Forgets gates, places and troubles; the amplitudes are the caller's matter."""
        self._circuit = Circuit(self.num_qubits, list(range(self.num_qubits)))
        self._place = list(range(self.num_qubits))
        self._gates, self._running, self._broken = 0, None, ""

    def restore_order(self) -> None:
        """Brings qubit k to place k; the state may then be written over. **Collective.**"""
        if self._agreements == 0:
            self.agree()
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

    def placed(self, bits: int) -> int:
        """A mask of bits as one of places; on the first rank of a node."""
        return sum(1 << self._place[bit] for bit in range(self.num_qubits) if bits >> bit & 1)

    # --- acting together -------------------------------------------------------------------------------------------------------------

    def begin(self, *call: Any, lost: bool = False) -> None:
        """A collective call begins.

        Args:
            call: its name and its arguments, as numbers, strings, bytes and lists of them; whenever ranks come together in it, they
                compare these, and the gates so far.
            lost: whether it may be called on a state that is lost.

        Raises:
            Closed, Forked, SecondThread, RankLost, PeerFailed: this rank, the communicator or the state vector cannot be used.
            QMPIError: the state is lost: an exchange was interrupted.
        """
        self._refuse_other_threads()
        if self._closed:
            raise Closed("the state vector has been closed")
        self._refuse_closed_comm()
        self._session.core.require_usable()
        if self._broken and not lost:
            raise QMPIError(f"the state is lost: {self._broken}. reset() starts anew")
        self._call, self._digest, self._agreements = call, b"", 0

    def _refuse_other_threads(self) -> None:
        if get_ident() != self._thread:
            raise SecondThread("a rank is one thread: this call comes from another one than that which made the state vector")

    def refuse_wide(self, bits: int, what: str) -> None:
        """Raises InvalidArgument where a node has fewer bits than something mixes."""
        if bits > self.local_bits:
            raise InvalidArgument(
                f"{what} mixes {bits} qubits, but only {self.local_bits} of {self.num_qubits} are on one node: use fewer nodes"
            )

    def gather(self, make: Callable[[], bytes]) -> list[bytes]:
        """Everybody's bytes; whoever has nothing to do waits inside qmpi."""
        return [make()] if self.size == 1 else self._group.gather_or_raise(make)

    def gather_or_refuse(
        self, make: Callable[[], bytes], what: str, refusal: type[QMPIError], causes: tuple[type[Exception], ...]
    ) -> list[bytes]:
        """Everybody's `make()`. Where it fails on one rank for one of these causes, all raise the same refusal."""

        def row() -> bytes:
            try:
                return b"+" + make()
            except causes as error:
                return b"-" + f"{what}: {error}".encode(errors="backslashreplace")

        rows = self.gather(row)
        for row_of_one in rows:
            if row_of_one.startswith(b"-"):
                raise refusal(row_of_one[1:].decode())
        return [row_of_one[1:] for row_of_one in rows]

    def together(self, act: Callable[[Vector], NDArray[Any] | None]) -> list[bytes]:
        """Completes what waits, then acts on each node's vector. What that returned, node by node. **Collective.**

        Raises:
            MismatchedCollective: the ranks have made different calls. Of several nodes none has acted then.
        """
        if self.nodes.count > 1 and self._agreements == 0:
            self.agree()  # or they might exchange amplitudes, each in its own way
        head = self._head() if self.size > 1 else b""

        def work() -> bytes:
            if self._vector is None:
                return head
            self._complete(self._vector)
            result = act(self._vector)
            return head if result is None else head + np.ascontiguousarray(result).tobytes()

        rows = self.gather(work)
        if self._vector is None and not self._circuit.empty:
            self._circuit = Circuit(self.num_qubits, self._circuit.layout)
        self._refuse_differences([row[: len(head)] for row in rows])
        return [rows[leader][len(head) :] for leader in self.nodes.leaders]

    def agree(self) -> None:
        """Nothing but the comparison of calls. **Collective.**"""
        if self.size > 1:
            self._refuse_differences(self.gather(self._head))

    def _note(self, compiled: Compiled) -> None:
        if self.size > 1:
            self._gates = (self._gates * 0x9E3779B97F4A7C15 + compiled.digest + 1) % 2**64

    def _head(self) -> bytes:
        """What all ranks must have alike when they come together: gates, agreements in this call, the call; state vector; draws.

        The last two may differ after a call that some ranks gave up; `StateVector` and `reset` then choose anew.
        """
        self._agreements += 1
        if not self._digest:
            digest = blake2b(digest_size=8)
            for part in self._call:
                digest.update(part if isinstance(part, bytes) else repr(part).encode())
                digest.update(b",")
            self._digest = digest.digest()
        return pack("<QQ8sQQ", self._gates, self._agreements, self._digest, self.number, self.draws)

    def _refuse_differences(self, heads: list[bytes]) -> None:
        """All ranks have these heads in hand, and therefore come to the same end."""
        other = next((rank for rank, head in enumerate(heads) if head != heads[0]), 0)
        if other == 0:
            return
        name, *arguments = self._call
        words = ", ".join("…" if isinstance(argument, bytes) else repr(argument) for argument in arguments)
        calls = [row.decode() for row in self.gather(f"{name}({words:.80})".encode)]
        if heads[other][:8] != heads[0][:8]:
            different = f"rank {other} has applied other gates than rank 0 before {calls[other]}"
        else:
            different = f"rank {other} is in {calls[other]}, rank 0 in {calls[0]}"
            if calls[other] == calls[0]:
                different += ", of another state vector, with other values or after another number of draws"
        raise MismatchedCollective(
            f"all ranks must make the same calls of a state vector with the same arguments, but {different}. reset() starts anew"
        )

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

    def mean(self, x: int, z: int) -> float:
        """⟨P⟩, not normalised, of a product of Pauli operators that flips the bits x, more than a node has. **Collective.**"""

        def mine(vector: Vector) -> NDArray[np.float64]:
            placed = self.placed(x), self.placed(z)
            return np.array([half_mean(self._mpi, self.nodes.leaders, self.node, vector.amplitudes, placed, self.traffic)])

        return float(self.sum(mine, np.float64)[0])

    # --- amplitudes from elsewhere -----------------------------------------------------------------------------------------------------

    def take(self, part: Amplitudes, lengths: list[int]) -> None:
        """Every rank's part of the amplitudes, one after the other, becomes the state. **Collective.**

        Args:
            part: this rank's.
            lengths: all ranks', 2ⁿ together.
        """
        if self.size > 1 and self._mpi is None:
            self._mpi = self._comm_mpi.Dup()
        self._start_anew()
        self._broken = "it was interrupted while its amplitudes were being set"
        transfer(self._mpi, self.nodes.leaders, part, lengths, self.amplitudes)
        self._broken, self._fresh, self._cleared = "", False, True
        self.flush()

    def copy_of(self, other: Shares) -> None:
        """Becomes the state of another vector over the same ranks, in which nothing waits. **Collective.**"""

        def copy(vector: Vector) -> None:
            assert other._vector is not None
            np.copyto(vector.amplitudes, other._vector.amplitudes)

        self.together(copy)
        self._circuit = Circuit(self.num_qubits, other.layout)
        self._place, self._fresh = list(other._place), False

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
            if self._place[bit] >= self.local_bits:  # over a local place, rather of a qubit that will be there in the end
                free = next(b for b in layout if self._place[b] < self.local_bits)
                self._trade(vector, [(bit, free)])
            self._trade(vector, [(self._place.index(place), bit)])
        local = Circuit(self.local_bits, [self._place[layout[qubit]] for qubit in range(self.local_bits)])
        local.restore_order()
        vector.run(vector.plan(local))
        self._place = list(range(self.num_qubits))
