"""On basis states messages do what MPI's do: every way to send and to receive, with tags and wildcards, on random bits.

Which message a receive gets follows from how both were drawn; where ranks are processes, mpi4py performs the same calls and must agree.
The inverses, in any order, then restore what was there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import ANY_SOURCE, ANY_TAG, PROC_NULL
from tests.laws.forms.case import definite, over_mpi4py, some

pytestmark = pytest.mark.also_in("mpi:5:fast", "mpi:6:faithful")

Heard = tuple[int, int, list[int]]  # source, tag, bits

ROUNDS = 8
MOST = 3  # qubits of a message
EACH = 3  # messages of a rank
COSTS = {"": (1, 1, 0, 1), "_move": (1, 2, 1, 2)}  # pairs and bits of a qubit, and of its way back
SENDS_BEFORE = ["isend", "send", "bsend", "ibsend", "issend"]  # those that may come before their receives
SENDS_AFTER = [*SENDS_BEFORE, "ssend", "rsend", "irsend"]
RECEIVES = ["recv", "irecv", "mprobe", "improbe"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, by which call."""

    source: int
    dest: int
    tag: int
    bits: list[int]
    call: str


@dataclass(frozen=True, slots=True)
class Receive:
    """A call that receives: what it asks for, and the message it must get. A target has qubits; None is given if there is no target."""

    message: Message
    source: Any
    tag: Any
    call: str
    target: int | None


@dataclass(slots=True)
class Round:
    """Messages in the order in which each rank sends them, and each rank's receives in their order."""

    receives_first: bool
    messages: list[Message]
    receives: list[list[Receive]] = field(default_factory=list)


def draw(rng: np.random.Generator, size: int) -> Round:
    receives_first = bool(rng.integers(2))
    calls = SENDS_AFTER if receives_first else SENDS_BEFORE
    found = Round(receives_first, [])
    for source in list(range(size)) * EACH:
        bits = rng.integers(0, 2, rng.integers(0, MOST + 1)).tolist()
        found.messages.append(Message(source, int(rng.integers(size)), int(rng.integers(3)), bits, str(rng.choice(calls))))
    for rank in range(size):
        left = [message for message in found.messages if message.dest == rank]
        found.receives.append([])
        while left:
            message = min(left, key=lambda _: rng.random())
            from_there = [other for other in left if other.source == message.source]
            tag: Any = message.tag
            if rng.integers(2):
                message, tag = from_there[0], ANY_TAG
            message = next(other for other in from_there if tag is ANY_TAG or other.tag == tag)
            fitting = {other.source for other in left if tag is ANY_TAG or other.tag == tag}
            source: Any = ANY_SOURCE if len(fitting) == 1 and rng.integers(2) else message.source
            target = len(message.bits) + int(rng.integers(3)) if rng.integers(2) else None
            call = "irecv" if receives_first else str(rng.choice(RECEIVES))
            found.receives[rank].append(Receive(message, source, tag, call, target))
            left.remove(message)
    return found


class Quantum:
    """Messages as qubits; remembers what went where, for the way back."""

    def __init__(self, comm: qmpi.Comm, moves: str) -> None:
        self.comm, self.moves = comm, moves
        self.sent: list[tuple[qmpi.Register, Message]] = []
        self.received: list[qmpi.Register] = []
        self.targets = qmpi.Register()

    def send(self, message: Message) -> Callable[[], object]:
        q = holding(self.comm, message.bits)
        self.sent.append((q, message))
        result: Any = getattr(self.comm, message.call + self.moves)(q, message.dest, message.tag)
        return result.wait if message.call.startswith("i") else lambda: None  # type: ignore[no-any-return]

    def receive(self, receive: Receive) -> Callable[[], Heard]:
        target = None if receive.target is None else some(self.comm, receive.target)
        status = qmpi.Status()
        if receive.call.endswith("probe"):
            message = getattr(self.comm, receive.call)(receive.source, receive.tag)
            assert message is not None
            result: Any = getattr(self.comm, "mrecv" + self.moves)(message, target, status)
        else:
            result = getattr(self.comm, receive.call + self.moves)(target, receive.source, receive.tag, status)

        def hear() -> Heard:
            came = result.wait() if receive.call == "irecv" else result
            self.received.append(came)
            self.targets += came if target is None else target
            assert status.count == len(came)
            return status.source, status.tag, bits(came)

        return hear

    def take_back(self, rng: np.random.Generator) -> None:
        """All inverses, each list in any order; those that others wait for do not wait themselves."""
        received = [register for register in self.received if register]
        waiting = [getattr(self.comm, "iunrecv" + self.moves)(received[k]) for k in rng.permutation(len(received))]
        for k in rng.permutation(len(self.sent)):
            q, message = self.sent[k]
            if q and rng.integers(2):
                getattr(self.comm, "unsend" + self.moves)(q, message.dest, message.tag)
            elif q:
                waiting.append(getattr(self.comm, f"i{message.call.removeprefix('i').replace('send', 'unsend')}{self.moves}")(q))
        qmpi.waitall(waiting)
        assert all(bits(q) == message.bits for q, message in self.sent)
        assert not any(bits(self.targets))

    def free(self) -> None:
        everything = sum((q for q, _ in self.sent), self.targets)
        qmpi.reset(everything)
        self.comm.free(everything)


class Classical:
    """The same calls of mpi4py on arrays of a byte per bit."""

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI

        self.comm, self.mpi = comm, MPI

    def send(self, message: Message) -> Callable[[], object]:
        buffer = np.array(message.bits, np.uint8)
        call = "I" + message.call.removeprefix("i")  # a send of MPI may wait for its receive where ours does not
        return getattr(self.comm, call)(buffer, message.dest, message.tag).Wait  # type: ignore[no-any-return]

    def receive(self, receive: Receive) -> Callable[[], Heard]:
        source = self.mpi.ANY_SOURCE if receive.source is ANY_SOURCE else receive.source
        tag = self.mpi.ANY_TAG if receive.tag is ANY_TAG else receive.tag
        buffer = np.zeros(MOST if receive.target is None else receive.target, np.uint8)
        status = self.mpi.Status()
        request = None
        if receive.call.endswith("probe"):
            self.comm.Mprobe(source, tag).Recv(buffer, status)  # MPICH's Improbe need not see at once what has been sent
        elif receive.call == "recv":
            self.comm.Recv(buffer, source, tag, status)
        else:
            request = self.comm.Irecv(buffer, source, tag)

        def hear() -> Heard:
            if request is not None:
                request.Wait(status)
            return status.source, status.tag, buffer[: status.Get_count(self.mpi.BYTE)].tolist()

        return hear


def holding(comm: qmpi.Comm, values: list[int]) -> qmpi.Register:
    """Qubits in a basis state."""
    q = some(comm, len(values))
    for qubit, bit in zip(q, values, strict=True):
        if bit:
            qmpi.gates.x(qubit)
    return q


def bits(q: qmpi.Register) -> list[int]:
    found: list[int] = definite([qmpi.probability(qubit) for qubit in q]).tolist()
    return found


def perform(world: Quantum | Classical, comm: qmpi.Comm, one: Round) -> list[Heard]:
    """What this rank's receives heard, in the order of the calls."""
    mine = [message for message in one.messages if message.source == comm.rank]

    def begin() -> list[Callable[[], Heard]]:
        return [world.receive(receive) for receive in one.receives[comm.rank]]

    hears = begin() if one.receives_first else []
    comm.mpi.Barrier()
    waits = [world.send(message) for message in mine]
    comm.mpi.Barrier()
    if not one.receives_first:
        hears = begin()
    for wait in waits:
        wait()
    return [hear() for hear in hears]


def spent(comm: qmpi.Comm) -> np.ndarray:
    total = comm.ledger.total()
    return np.array([total.epr_pairs, total.classical_bits])


@contextmanager
def buffered() -> Iterator[None]:
    """Room for mpi4py's buffered sends."""
    from mpi4py import MPI

    MPI.Attach_buffer(bytearray(2**16))
    yield
    MPI.Detach_buffer()


@pytest.mark.parametrize("moves", COSTS, ids=["copies", "moves"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_messages_go_where_mpi_s_go_and_come_back(
    comm: qmpi.Comm, rng: np.random.Generator, faithful: bool, number: int, moves: str
) -> None:
    rng = np.random.default_rng([int(rng.integers(2**32)), number])
    one, quantum = draw(rng, comm.size), Quantum(comm, moves)
    expected = [(receive.message.source, receive.message.tag, receive.message.bits) for receive in one.receives[comm.rank]]
    if over_mpi4py(comm):
        with buffered():
            assert perform(Classical(comm.mpi), comm, one) == expected, f"mpi4py disagrees: {one}"
    store, costs = comm.store_report(), [spent(comm)]
    assert perform(quantum, comm, one) == expected, f"{one}"
    assert all(bits(q) == [bit * (not moves) for bit in message.bits] for q, message in quantum.sent)
    costs.append(spent(comm))
    quantum.take_back(rng)
    costs.append(spent(comm))
    qubits = sum(len(message.bits) for message in one.messages)
    assert np.diff(costs, axis=0).reshape(-1).tolist() == [qubits * cost for cost in COSTS[moves]]
    assert faithful or comm.store_report().merges == store.merges
    quantum.free()


@pytest.mark.parametrize("call", ["sendrecv", "isendrecv", "sendrecv_replace", "isendrecv_replace"])
def test_both_ways_are_mpi_s_and_come_back(comm: qmpi.Comm, rng: np.random.Generator, call: str) -> None:
    """A permutation of the ranks in which some neither send nor receive."""
    size, here, replaces = comm.size, comm.rank, call.endswith("replace")
    for _ in range(ROUNDS):
        order, count = rng.permutation(size), int(rng.integers(1, MOST + 1))
        idle = set(rng.choice(size, int(rng.integers(size)), replace=False).tolist())
        all_bits = rng.integers(0, 2, (size, count)).tolist()
        tags = rng.integers(0, 9, size).tolist()  # of the sender
        ring = [rank for rank in order.tolist() if rank not in idle]
        dest: Any = PROC_NULL if here in idle else ring[(ring.index(here) + 1) % len(ring)]
        source: Any = PROC_NULL if here in idle else ring[ring.index(here) - 1]
        came = [] if here in idle else all_bits[source]
        if over_mpi4py(comm):
            from mpi4py import MPI

            buffer, target = np.array(all_bits[here], np.uint8), np.zeros(count, np.uint8)
            ends = [MPI.PROC_NULL if here in idle else rank for rank in (dest, source)]
            there, tag = MPI.Status(), MPI.ANY_TAG if here in idle else tags[source]
            if replaces:
                comm.mpi.Sendrecv_replace(buffer, ends[0], tags[here], ends[1], tag, there)
            else:
                comm.mpi.Sendrecv(buffer, ends[0], tags[here], target, ends[1], tag, there)
            assert there.Get_count(MPI.BYTE) == len(came)
            assert (buffer if replaces else target).tolist() == (came or (all_bits[here] if replaces else [0] * count))
        q, target_q = holding(comm, all_bits[here]), qmpi.Register()
        status = qmpi.Status()
        tag = ANY_TAG if here in idle else tags[source]
        if replaces:
            result = getattr(comm, call)(q, dest, tags[here], source, tag, status)
        else:
            target_q = comm.alloc(count)
            result = getattr(comm, call)(q, dest, tags[here], target_q, source, tag, status)
        if call.startswith("i"):
            result = result.wait()
        assert status.count == len(came) and (here in idle or (status.source, status.tag) == (source, tags[source]))
        if replaces:
            assert bits(q) == (came or all_bits[here])
        else:
            assert bits(q) == all_bits[here] and bits(target_q) == (came or [0] * count)
        undo = "un" + call.removeprefix("i")
        getattr(comm, undo)(q)
        assert bits(q) == all_bits[here] and not any(bits(target_q))
        qmpi.reset(q)
        comm.free(q + target_q)
