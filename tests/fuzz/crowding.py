"""Too much at once: messages that the EPR buffer of 64 qubits does not hold, and states that do not fit into QMPI_MEMORY."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from qmpi.errors import PeerFailed, StateTooLarge
from tests.fuzz.inverses import Undo
from tests.fuzz.knots import MORE_THAN_FITS
from tests.fuzz.meetings import Token
from tests.fuzz.messages import Receive, Send, draw_comm
from tests.fuzz.model import ANY, Model
from tests.fuzz.steps import Gate, Measure, Slot, Step, Task, pick, some
from tests.fuzz.together import everybody

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor


ROOM = 50  # qubits that certainly fit into the buffer, beside those of other messages


@dataclass(frozen=True)
class Flood(Step):
    """Messages of many qubits in basis states, which need no oracle: those at odd places of a register are |1>."""

    rank: int
    dest: int
    sizes: tuple[int, ...]
    comm: int
    tag: int
    copies: bool
    waits: bool
    undoes: bool
    cancels: bool  # a further message, which finds no room

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        comm = draw_comm(model, rng, rank)
        sizes = tuple(int(size) for size in rng.integers(1, 40, int(rng.integers(1, 5)))) if rng.random() < 0.7 else (MORE_THAN_FITS,)
        dest, tag = int(rng.choice(model.circles[comm].members)), 10**6 + model.fresh()[0]
        return cls(rank, dest, sizes, comm, tag, *(bool(b) for b in rng.integers(2, size=4)))

    def enter(self, model: Model) -> Task:
        everybody(model, 0)
        model.need_comm(self.comm, self.rank, self.dest)
        model.need(not any(receive.tag == ANY for receive in model.boxes[self.comm, self.dest].posted))
        model.need_unlocked(self.comm, self.rank, self.dest, self.tag)
        model.need(not (self.waits and self.rank == self.dest))
        count, ones = sum(self.sizes), sum(size // 2 for size in self.sizes)
        bill = model.bill
        bill.gates += ones
        bill.epr_pairs += count
        bill.classical_bits += count * (1 if self.copies else 2)
        bill.measurements += count * (1 if self.copies else 2)
        if self.copies and self.undoes:
            bill.classical_bits += count
            bill.measurements += 2 * count  # of the protocol, and the sender's own
        elif self.copies:
            bill.measurements += 2 * count  # both sides' own
        else:
            bill.measurements += count
        model.sync(range(model.size))
        return Task(self, tuple(range(model.size)))

    def act(self, actor: Actor, expect: Any) -> None:
        actor.comms[0].mpi.Barrier()  # a rank that still sends to the same one must not find the buffer full and wait for room
        if actor.rank in (self.rank, self.dest):
            self.exchange(actor, actor.comms[self.comm])
        actor.comms[0].mpi.Barrier()  # nor one that is ahead

    def exchange(self, actor: Actor, comm: qmpi.Comm) -> None:
        """Enough is received for the rest to fit into the buffer; when the sender is through, that is received, too."""
        registers, sent = [], []
        if actor.rank == self.rank and self.cancels:
            many = actor.call(comm.alloc, MORE_THAN_FITS)
            isend = comm.isend if self.copies else comm.isend_move
            assert actor.call(actor.call(isend, many, actor.there(self.comm, self.dest), self.tag + 1).cancel)
            actor.call(comm.free, many)
        if actor.rank == self.rank:
            for size in self.sizes:
                registers.append(actor.call(comm.alloc, size))
                if size > 1:
                    actor.call(qmpi.gates.x, registers[-1][1::2])
            verb = ("" if self.waits else "i") + ("send" if self.copies else "send_move")
            sent = [actor.call(getattr(comm, verb), register, actor.there(self.comm, self.dest), self.tag) for register in registers]
        fitting = next(k for k in range(len(self.sizes) + 1) if sum(self.sizes[k:]) <= ROOM)
        arrived = [self.receive(actor, comm) for _ in self.sizes[:fitting] if actor.rank == self.dest]
        for request in sent if not self.waits else ():
            actor.call(request.wait)
        if self.rank != self.dest:  # the others are received when the sender has got rid of all
            Token(self.rank, self.dest).act(actor, None)
        arrived += [self.receive(actor, comm) for _ in self.sizes[fitting:] if actor.rank == self.dest]
        for register in arrived:
            self.end(actor, comm, register)
        for register in registers:
            self.take_leave(actor, comm, register)

    def receive(self, actor: Actor, comm: qmpi.Comm) -> qmpi.Register:
        register: qmpi.Register = actor.call(
            comm.recv if self.copies else comm.recv_move, None, actor.there(self.comm, self.rank), self.tag
        )
        return register

    def end(self, actor: Actor, comm: qmpi.Comm, register: qmpi.Register) -> None:
        """The receiver undoes the copy, or measures what has come; then it frees its qubits."""
        if self.copies and self.undoes:
            actor.call(comm.unrecv, register)
        else:
            self.measure(actor, register)
        actor.call(comm.free, register)

    def take_leave(self, actor: Actor, comm: qmpi.Comm, register: qmpi.Register) -> None:
        """The sender undoes the copy where the receiver does, and frees its qubits."""
        if self.copies and self.undoes:
            actor.call(comm.unsend, register)
        if self.copies:
            self.measure(actor, register)
        actor.call(comm.free, register)

    def measure(self, actor: Actor, register: qmpi.Register) -> None:
        assert actor.call(qmpi.measure, register) == tuple(k % 2 for k in range(len(register)))


LARGEST = 16  # qubits: with 1 MiB of memory nothing larger fits


def inflate(actor: Actor, smallest: int) -> list[qmpi.Register]:
    """Entangled states that take nearly all memory there is: less is left than `smallest` qubits, or twice as many bytes, need."""
    comm, held = actor.comms[0], []
    for size in range(LARGEST, smallest - 1, -1):
        q = comm.alloc(size)
        try:
            qmpi.gates.h(q[0])
            for k in range(1, size):
                qmpi.gates.cx(q[k - 1], q[k])
            qmpi.probability(q[0])
            held.append(q)
        except StateTooLarge:
            dropped = comm.discard_pending()
            assert 1 <= dropped < size
            qmpi.reset(q)
            comm.free(q)
    return held


def deflate(actor: Actor, held: list[qmpi.Register]) -> None:
    for q in held:
        bits = qmpi.measure(q)
        assert len(set(bits)) == 1, f"a state (|0…0> + |1…1>)/√2 gave {bits}"
        actor.comms[0].free(q)


def ending_large(model: Model, rng: np.random.Generator, send: Send) -> Send:
    """The same with qubits that need no memory first, so that the message fails in its middle."""
    free = [label for label in model.usable(send.rank) if send.copies or not model.owing(label)]
    small = some(rng, [label for label in free if model.places[label].basis], 1)
    large = some(rng, [label for label in free if not model.places[label].basis], 2)
    return replace(send, labels=small + large, names=model.fresh(len(small + large)))


@dataclass(frozen=True)
class Squeezed(Step):
    """A step while a rank holds nearly all memory. If it does not fit, nothing has happened, and it is done anew.

    Gates do not fit when they are applied, later than they are called; with `discards` they are given up.
    """

    rank: int
    inner: Step
    smallest: int
    discards: bool = False

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        kind = pick(rng, (Send, Send, Send, Receive, Undo, Measure, Gate, Gate))
        drawn = [step for step in (kind.propose(model, rng) for _ in range(4)) if step is not None]
        if not drawn:
            return None
        inner = max(drawn, key=lambda step: len(getattr(step, "labels", ())))  # many qubits are likely to need memory
        if isinstance(inner, Send):
            inner = ending_large(model, rng, inner)
        discards = isinstance(inner, Gate) and bool(rng.integers(2))
        return cls(int(rng.integers(model.size)), inner, int(rng.integers(3, 7)), discards)

    def enter(self, model: Model) -> Task:
        everybody(model, 0)
        buffered = isinstance(self.inner, Gate)
        model.need(not (isinstance(self.inner, Undo) and self.inner.exits))  # a block whose end fails has given its operation up
        model.need(buffered if self.discards else not buffered or self.inner.rank != self.rank)  # with a full buffer it cannot make room
        task = self.inner.enter(model)
        model.squeezed = True
        model.sync(range(model.size))
        effects = [("first", task.effects, Slot("kept"))] if self.discards else task.effects
        return Task(self, tuple(range(model.size)), effects, (task.ranks, task.expect))

    def act(self, actor: Actor, expect: Any) -> None:
        ranks, inner = expect
        mpi, comm = actor.comms[0].mpi, actor.comms[0]
        actor.call(comm.barrier)  # all gates are applied
        held = inflate(actor, self.smallest) if actor.rank == self.rank else []
        mpi.Barrier()
        fits = actor.rank not in ranks or self.attempt(actor, inner)
        try:
            actor.call(comm.barrier)  # applies the gate
            dropped = 0
        except StateTooLarge:
            actor.too_large += 1
            dropped = actor.call(comm.discard_pending) if self.discards else 0
        except PeerFailed:
            assert actor.rank not in ranks
        if self.discards and actor.rank in ranks:
            assert isinstance(self.inner, Gate)
            actor.report("kept", len(self.inner.applications()) - dropped)
        mpi.Barrier()
        deflate(actor, held)
        mpi.Barrier()
        if not fits:
            self.inner.act(actor, inner)
        actor.call(comm.barrier)

    def attempt(self, actor: Actor, expect: Any) -> bool:
        try:
            self.inner.act(actor, expect)
        except StateTooLarge:
            actor.too_large += 1
            return False
        return True
