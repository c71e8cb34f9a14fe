"""Steps that send and receive copies and moves, blocking or not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from qmpi.errors import InvalidArgument, MismatchedMessage, PeerFailed, Truncated
from tests.fuzz.model import ANY, COPY, DESTINATION, NULL, ORIGINAL, SOURCE, Model, Pending, Place, Transfer
from tests.fuzz.steps import Effect, Step, Task, pick, some

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor

TAGS = (0, 0, 1, 2, 2**31 - 1)
HEAVY = 12  # qubits that a program may carry at once


def draw_comm(model: Model, rng: np.random.Generator, rank: int) -> int:
    """A communicator that the rank can use."""
    return int(pick(rng, [comm for comm, circle in model.circles.items() if rank in circle.members and rank in circle.open_at]))


def launch(model: Model, message: Transfer) -> list[Effect]:
    """Its state leaves: what the oracle is told."""
    verb = "fan_out" if message.copies else "fly"
    for label in message.originals:
        if not message.copies:
            model.places[label].zero = model.places[label].basis = True
    count = len(message.originals)
    model.bill.epr_pairs += count
    model.bill.classical_bits += count * (1 if message.copies else 2)
    model.bill.measurements += count * (1 if message.copies else 2)
    return [(verb, label, (message.id, k)) for k, label in enumerate(message.originals)]


def land(model: Model, message: Transfer, labels: tuple[int, ...]) -> list[Effect]:
    """Its state arrives under these labels, old or new ones: what the oracle is told."""
    message.allocated = not any(label in model.places for label in labels)
    for label in labels:
        model.places.setdefault(label, Place(message.dest))
        model.places[label].zero = model.places[label].basis = False
    message.arrived = labels
    model.record(message, COPY if message.copies else DESTINATION)
    return [("land", (message.id, k), label) for k, label in enumerate(labels)]


@dataclass(frozen=True)
class Send(Step):
    """`message` numbers the transfer and `names` the qubits that arrive where the receiver allocates; with a request it is an isend."""

    rank: int
    labels: tuple[int, ...]
    dest: int
    tag: int
    comm: int
    copies: bool
    message: int
    names: tuple[int, ...]
    request: int | None = None

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        comm = draw_comm(model, rng, rank)
        copies = bool(rng.random() < 0.6)
        candidates = [label for label in model.usable(rank) if copies or not model.owing(label)]
        labels = some(rng, candidates, 3, 0 if rng.random() < 0.1 else 1)
        if not labels and rng.random() < 0.7:
            return None
        dest = NULL if rng.random() < 0.06 else int(rng.choice(model.circles[comm].members))
        request = model.fresh()[0] if rng.random() < 0.5 else None
        return cls(rank, labels, dest, int(rng.choice(TAGS)), comm, copies, model.fresh()[0], model.fresh(len(labels)), request)

    def enter(self, model: Model) -> Task:
        model.need_comm(self.comm, self.rank, self.dest)
        model.need_usable(self.rank, self.labels)
        model.new(self.message, *self.names, *([] if self.request is None else [self.request]))
        model.need(self.copies or not any(model.owing(label) for label in self.labels))
        message = Transfer(self.message, self.copies, self.comm, self.rank, self.dest, self.tag, self.labels)
        effects: list[Effect] = []
        if self.dest != NULL:
            model.need_unlocked(self.comm, self.rank, self.dest, self.tag)
            model.need(model.weight() + len(self.labels) <= HEAVY)
            effects = launch(model, message)
        model.transfers[self.message], model.names[self.message] = message, self.names
        if self.dest == NULL:
            message.received = "over"
        else:
            model.post_message(message)
        if self.request is None:
            model.record(message, message.sides()[0])
        else:
            model.freeze(Pending(self.request, self.rank, "send", self.comm, self.labels, message, outcome="done"))
        return Task(self, (self.rank,), effects)

    def act(self, actor: Actor, expect: Any) -> None:
        comm = actor.comms[self.comm]
        verb = ("send" if self.copies else "send_move") if self.request is None else ("isend" if self.copies else "isend_move")
        result = actor.call(getattr(comm, verb), actor.operand(self.labels), actor.there(self.comm, self.dest), self.tag)
        if self.request is None:
            actor.operations[self.message, ORIGINAL if self.copies else SOURCE] = result
        else:
            actor.requests[self.request] = result, None


@dataclass(frozen=True)
class Receive(Step):
    """With a request it is an irecv; `targets` None allocates."""

    rank: int
    source: int
    tag: int
    comm: int
    copies: bool
    targets: tuple[int, ...] | None
    request: int | None = None

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        comm = draw_comm(model, rng, rank)
        waiting = [
            (c, m) for (c, dest), box in model.boxes.items() if dest == rank and rank in model.circles[c].open_at for m in box.messages
        ]
        candidates = [label for label in model.usable(rank) if model.places[label].zero and not model.owing(label)]
        targets = some(rng, candidates, 3) if rng.random() < 0.35 else None
        request = model.fresh()[0] if rng.random() < 0.5 else None
        if waiting and rng.random() < 0.9:
            comm, message = waiting[int(rng.integers(len(waiting)))]
            copies = message.copies if rng.random() < 0.93 else not message.copies
            tag = ANY if rng.random() < 0.4 else message.tag
            return cls(rank, message.source, tag, comm, copies, targets or None, request)
        if rng.random() < 0.08:
            return cls(rank, NULL, int(rng.choice(TAGS)), comm, bool(rng.integers(2)), targets or None, request)
        if request is None or rng.random() < 0.5:  # a receive before its message must not wait
            return None
        source = int(rng.choice(model.circles[comm].members))
        return cls(rank, source, pick(rng, (ANY, *TAGS)), comm, bool(rng.random() < 0.6), targets or None, request)

    def enter(self, model: Model) -> Task:
        model.need_comm(self.comm, self.rank)
        model.need(self.source == NULL or self.source in model.circles[self.comm].members)
        model.need_usable(self.rank, self.targets or ())
        for label in self.targets or ():
            model.need(model.places[label].zero and not model.owing(label))
        number = self.request
        model.need(number is None or number not in model.requests)
        receive = Pending(
            -1 if number is None else number,
            self.rank,
            "receive",
            self.comm,
            self.targets or (),
            copies=self.copies,
            source=self.source,
            tag=self.tag,
            allocates=self.targets is None,
        )
        task = Task(self, (self.rank,))
        if self.source == NULL:
            receive.transfer = Transfer(-1, self.copies, self.comm, NULL, self.rank, self.tag, (), self.targets or ())
            receive.outcome = "done"
        elif number is None:
            model.need(model.first_message(receive) is not None)
        if self.source != NULL:
            model.post_receive(receive)
        if number is None:
            task.expect = finish(model, receive, task.effects)
        else:
            model.freeze(receive)
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        comm = actor.comms[self.comm]
        verb = ("recv" if self.copies else "recv_move") if self.request is None else ("irecv" if self.copies else "irecv_move")
        status = qmpi.Status()
        target = None if self.targets is None else actor.operand(self.targets)
        tag = qmpi.ANY_TAG if self.tag == ANY else self.tag

        def call() -> Any:
            return actor.call(getattr(comm, verb), target, actor.there(self.comm, self.source), tag, status)

        if self.request is not None:
            actor.requests[self.request] = call(), status
        else:
            actor.complete(expect, call, status)


@dataclass(frozen=True, slots=True)
class Completion:
    """How a request must end.

    Attributes:
        error: the class it raises, or empty.
        message: the transfer that came, if one did.
        arrived: the names of what came.
        source, tag: what the status must show; of PROC_NULL if the source is NULL.
        comm: the communicator.
        side: where its result is kept.
    """

    error: str = ""
    message: int | None = None
    arrived: tuple[int, ...] | None = None
    source: int = NULL
    tag: int = ANY
    comm: int = 0
    side: str = ""


def finish(model: Model, pending: Pending, effects: list[Effect]) -> Completion:
    """Books the end of a request whose outcome is known."""
    model.thaw(pending)
    message = pending.transfer
    if pending.kind == "meet":
        return Completion(pending.outcome if pending.outcome != "done" else "")
    if pending.kind == "undo":
        assert message is not None
        return finish_undoing(model, pending, message, effects)
    if pending.kind == "send":
        assert message is not None
        side = message.sides()[0]
        model.record(message, side)
        return Completion(message=message.id, side=side)
    if pending.outcome != "done":
        return Completion(pending.outcome)
    assert message is not None
    side = message.sides()[1]
    if message.null:
        model.record(message, side)
        return Completion(message=message.id, arrived=message.arrived, source=NULL, side=side)
    labels = model.names[message.id] if pending.allocates else pending.labels[: len(message.originals)]
    effects += land(model, message, labels)
    return Completion("", message.id, labels, message.source, message.tag, message.comm, side)


def finish_undoing(model: Model, pending: Pending, message: Transfer, effects: list[Effect]) -> Completion:
    """The side that waits for bits, or for its state."""
    if pending.side not in (ORIGINAL, SOURCE) or message.null or not message.originals:
        return Completion()  # it never waited
    model.close(message, pending.side)
    if message.inverse == "note":
        return Completion("PeerFailed")
    for k, label in enumerate(message.originals):
        if pending.side == ORIGINAL:
            effects.append(("fix", ("bit", message.id, k), label))
        else:
            effects.append(("land", ("back", message.id, k), label))
            model.places[label].zero = model.places[label].basis = False
    return Completion()


@dataclass(frozen=True)
class Wait(Step):
    """Ends a request by wait(), or by test() until it is true."""

    rank: int
    request: int
    polls: bool = False

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        request = pick(rng, model.requests.values())
        return None if request is None else cls(request.rank, request.id, bool(rng.random() < 0.3))

    def enter(self, model: Model) -> Task:
        model.need(self.request in model.requests)
        pending = model.requests[self.request]
        model.need(pending.rank == self.rank)
        if pending.kind == "undo" and pending.side in (ORIGINAL, SOURCE):
            assert pending.transfer is not None
            model.need(pending.transfer.inverse or pending.transfer.null or not pending.transfer.originals)
        else:
            model.need(pending.outcome)
        task = Task(self, (self.rank,))
        task.expect = finish(model, pending, task.effects)
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        request, status = actor.requests.pop(self.request)
        actor.complete(expect, lambda: actor.poll(request) if self.polls else actor.call(request.wait), status)


@dataclass(frozen=True)
class Test(Step):
    """One look at a request; whether it is finished by now is open. What it raises, its wait will raise again."""

    __test__ = False
    rank: int
    request: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        request = pick(rng, model.requests.values())
        return None if request is None else cls(request.rank, request.id)

    def enter(self, model: Model) -> Task:
        model.need(self.request in model.requests)
        pending = model.requests[self.request]
        model.need(pending.rank == self.rank and pending.outcome in ("", "done"))
        model.need(pending.transfer is None or pending.transfer.inverse != "note")
        pending.polled = True
        return Task(self, (self.rank,))

    def act(self, actor: Actor, expect: Any) -> None:
        with suppress(Truncated, MismatchedMessage, PeerFailed, InvalidArgument):
            assert actor.call(actor.requests[self.request][0].test) in (True, False)


@dataclass(frozen=True)
class Cancel(Step):
    """A receive or a meeting that nobody answers is taken back; a message that has been sent is not."""

    rank: int
    request: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        request = pick(rng, [r for r in model.requests.values() if r.kind == "send" or (r.kind in ("receive", "meet") and not r.outcome)])
        return None if request is None else cls(request.rank, request.id)

    def enter(self, model: Model) -> Task:
        model.need(self.request in model.requests)
        pending = model.requests[self.request]
        model.need(pending.rank == self.rank)
        if pending.kind == "send":  # whether it has been received yet is a matter of timing, but for one to nobody
            model.need(pending.transfer is not None and pending.transfer.null)
            return Task(self, (self.rank,), expect=False)
        model.need(pending.kind in ("receive", "meet") and not pending.outcome)
        if pending.kind == "receive":
            box = model.boxes[pending.comm, pending.rank]
            box.posted.remove(pending)
            box.closed_to.append((pending.source, pending.tag))
        else:
            model.meetings[pending.comm, frozenset((pending.rank, pending.source)), pending.tag].remove(pending)
            model.burnt.add((pending.comm, frozenset((pending.rank, pending.source)), pending.tag))
        model.thaw(pending)
        return Task(self, (self.rank,), expect=True)

    def act(self, actor: Actor, expect: Any) -> None:
        request = actor.requests[self.request][0] if not expect else actor.requests.pop(self.request)[0]
        assert actor.call(request.cancel) is expect


@dataclass(frozen=True)
class Retract(Step):
    """Cancels a receive whose message may have come; if it was in time, the message is received anew."""

    rank: int
    request: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        request = pick(rng, [r for r in model.requests.values() if r.kind == "receive" and r.outcome == "done"])
        return None if request is None else cls(request.rank, request.id)

    def enter(self, model: Model) -> Task:
        model.need(self.request in model.requests)
        pending = model.requests[self.request]
        message = pending.transfer
        model.need(pending.rank == self.rank and pending.kind == "receive" and pending.outcome == "done" and message and not message.null)
        rivals = [
            r for r in model.requests.values() if r is not pending and (r.kind, r.rank, r.comm) == ("receive", pending.rank, pending.comm)
        ]
        model.need(not any(model.fits(rival, message) for rival in rivals))
        model.need(not pending.polled)
        task = Task(self, (self.rank,))
        restart = (pending.comm, pending.copies, pending.labels, pending.allocates, pending.source, pending.tag)
        task.expect = finish(model, pending, task.effects), restart
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        request, status = actor.requests.pop(self.request)
        completion, (comm, copies, labels, allocates, source, tag) = expect

        def again() -> Any:
            if not actor.call(request.cancel):
                return actor.call(request.wait)
            verb = actor.comms[comm].recv if copies else actor.comms[comm].recv_move
            target = None if allocates else actor.operand(labels)
            return actor.call(verb, target, actor.there(comm, source), qmpi.ANY_TAG if tag == ANY else tag, status)

        actor.complete(completion, again, status)
