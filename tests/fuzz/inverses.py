"""Steps that undo copies and moves, each side for itself, or give them up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fuzz.messages import finish_undoing
from tests.fuzz.model import COPY, DESTINATION, ORIGINAL, SOURCE, Model, Pending, Transfer
from tests.fuzz.steps import Effect, Step, Task, free, pick

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor

VERBS = {ORIGINAL: "unsend", COPY: "unrecv", SOURCE: "unsend_move", DESTINATION: "unrecv_move"}
WAITS = (ORIGINAL, SOURCE)  # these sides wait for what the other side sends back


def owner(transfer: Transfer, side: str) -> int:
    return transfer.source if side in WAITS else transfer.dest


def peer_of(transfer: Transfer, side: str) -> int:
    return transfer.dest if side in WAITS else transfer.source


def send_back(model: Model, transfer: Transfer, side: str) -> list[Effect]:
    """The copy's bits, or the state that had been moved."""
    count = len(transfer.arrived)
    model.bill.classical_bits += count * (1 if side == COPY else 2)
    model.bill.measurements += count * (1 if side == COPY else 2)
    model.bill.epr_pairs += count * (side == DESTINATION)
    transfer.inverse = "bits" if side == COPY else "state"
    for label in transfer.arrived:
        model.hidden += side == COPY
        model.places[label].zero = model.places[label].basis = True
        model.places[label].reserved = False
    verb, kind = ("bits", "bit") if side == COPY else ("fly", "back")
    return [(verb, label, (kind, transfer.id, k)) for k, label in enumerate(transfer.arrived)]


def can_come_back(model: Model, transfer: Transfer) -> bool:
    """The owner of a moved state still has the place where it was."""
    there = transfer.source in model.circles[transfer.comm].open_at and all(label in model.places for label in transfer.originals)
    return there and transfer.sent == "open" and not transfer.inverse


def needed_by(model: Model, transfer: Transfer) -> Iterator[int]:
    """The qubits that must be free before the other side can undo it, those that are frozen by waits of the same kind looked through."""
    for label in transfer.arrived if not transfer.inverse else ():
        yield label
        place = model.places.get(label)
        frozen = model.requests.get(place.frozen) if place is not None and place.frozen is not None else None
        if frozen is not None and frozen.kind == "undo" and frozen.transfer is not None:
            yield from needed_by(model, frozen.transfer)


@dataclass(frozen=True)
class Undo(Step):
    """One side of an inverse. `exits` leaves the operation's `with` block instead of calling the inverse by its name."""

    rank: int
    side: str
    message: int
    names_peer: bool = False
    names_tag: bool = False
    request: int | None = None
    exits: bool = False

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        found = pick(rng, [(t, side) for t, side in model.books[rank] if side in (ORIGINAL, COPY) or rng.random() < 0.3])
        if found is None:
            return None
        request = model.fresh()[0] if rng.random() < 0.4 else None
        named = bool(rng.random() < 0.4)
        return cls(
            rank, found[1], found[0].id, named, named and bool(rng.integers(2)), request, request is None and bool(rng.random() < 0.2)
        )

    def enter(self, model: Model) -> Task:
        model.need(self.message in model.transfers)
        transfer = model.transfers[self.message]
        model.need(self.side in transfer.sides() and owner(transfer, self.side) == self.rank)
        model.need_comm(transfer.comm, self.rank)
        labels, peer = transfer.register(self.side), peer_of(transfer, self.side)
        model.need(transfer.state(self.side) == "open" and labels)
        found = model.find(
            self.rank, self.side, labels, transfer.comm, peer if self.names_peer else None, transfer.tag if self.names_tag else None
        )
        model.need(found is transfer or self.exits)
        frees = self.exits and self.side not in WAITS and transfer.allocated
        if frees:
            model.need_unpromised(labels)
        if self.request is not None:
            model.new(self.request)
        self.require(model, transfer, labels)
        task = Task(self, (self.rank,), expect=(labels, transfer.comm, peer, transfer.tag, frees, ""))
        if not transfer.null and self.side not in WAITS:
            task.effects += send_back(model, transfer, self.side)
        if transfer.null or self.side not in WAITS:
            model.close(transfer, self.side)
        if frees:
            task.effects += free(model, labels)
        pending = Pending(
            -1 if self.request is None else self.request, self.rank, "undo", transfer.comm, labels, transfer, self.side, outcome="done"
        )
        if self.request is None:
            error = finish_undoing(model, pending, transfer, task.effects).error
            task.expect = (*task.expect[:-1], error)
        else:
            if self.side == SOURCE and not transfer.null and not transfer.inverse:
                for label in transfer.arrived:
                    model.places[label].reserved = True
            model.freeze(pending)
        return task

    def require(self, model: Model, transfer: Transfer, labels: tuple[int, ...]) -> None:
        """That nothing stands in the way."""
        if self.side == DESTINATION:  # reserved for exactly this
            model.need(all(label in model.places and model.places[label].frozen is None for label in labels))
            waited_for = any(r.kind == "undo" and r.transfer is transfer for r in model.requests.values())
            model.need(waited_for or not any(model.places[label].reserved for label in labels))
        else:
            model.need_usable(self.rank, labels)
        if self.side == COPY:
            model.need(all(other is transfer for label in labels for other in model.owing(label)))
            model.need(model.hidden < 5 or transfer.null)
        elif self.side in (SOURCE, DESTINATION):
            model.need(not any(model.owing(label) for label in labels))
        if transfer.null:
            return
        if self.side == DESTINATION:
            model.need(can_come_back(model, transfer))
        if self.side == SOURCE:
            model.need(all(model.places[label].zero for label in labels))
            if not transfer.inverse:
                model.need(
                    self.request is not None and transfer.received == "open" and transfer.dest in model.circles[transfer.comm].open_at
                )
                model.need_usable(transfer.dest, transfer.arrived)
                model.need(not set(labels) & set(transfer.arrived))
                model.need(not any(model.owing(label) for label in transfer.arrived))
        if self.side in WAITS and self.request is None:
            model.need(transfer.inverse)
        elif self.side in WAITS:
            model.need(not set(labels) & set(needed_by(model, transfer)))

    def act(self, actor: Actor, expect: Any) -> None:
        labels, comm, peer, tag, frees, error = expect
        operation = actor.operations.get((self.message, self.side))

        def call() -> Any:
            if self.exits:
                actor.call(operation.__exit__, None, None, None)
                return actor.forget(labels if frees else ())
            named = {"dest" if self.side in WAITS else "source": actor.there(comm, peer)} if self.names_peer else {}
            if self.names_tag:
                named["tag"] = tag
            verb = ("i" if self.request is not None else "") + VERBS[self.side]
            return actor.call(getattr(actor.comms[comm], verb), actor.operand(labels), **named)

        if error:
            actor.refuse(error, call)
        elif self.request is not None:
            actor.requests[self.request] = call(), None
        else:
            assert call() is None


@dataclass(frozen=True)
class Abandon(Step):
    """An exception leaves the `with` block of an operation, or its end finds a qubit freed: it is given up, and whoever waits is told."""

    rank: int
    side: str
    message: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        found = pick(rng, model.books[rank])
        return None if found is None else cls(rank, found[1], found[0].id)

    def enter(self, model: Model) -> Task:
        model.need(self.message in model.transfers)
        transfer = model.transfers[self.message]
        model.need(self.side in transfer.sides() and owner(transfer, self.side) == self.rank and transfer.state(self.side) == "open")
        model.need_comm(transfer.comm, self.rank)
        labels = transfer.register(self.side)
        places = [model.places[label] for label in labels if label in model.places]
        freed = len(places) < len(labels)
        model.need(labels and all(place.frozen is None for place in places) and not (freed and transfer.null))
        if self.side in WAITS:
            model.need(not transfer.inverse)
        else:
            model.need(self.side == COPY or transfer.null or can_come_back(model, transfer))
            for place in places:
                place.reserved = False
            transfer.inverse = "" if transfer.null else "note"
        model.close(transfer, self.side)
        return Task(self, (self.rank,), expect=freed)

    def act(self, actor: Actor, expect: Any) -> None:
        leave = actor.operations[self.message, self.side].__exit__
        if expect:
            actor.refuse("FreedQubit", lambda: actor.call(leave, None, None, None))
        else:
            actor.call(leave, KeyError, KeyError("given up on purpose"), None)
