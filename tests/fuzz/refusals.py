"""Calls that must be refused, each with the error it must raise. They change nothing: neither the model nor the oracle hears of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from qmpi import gates
from tests.fuzz.messages import draw_comm
from tests.fuzz.model import COPY, ORIGINAL, Model
from tests.fuzz.steps import Step, Task, pick, some

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor

Call = Callable[[], Any]
FAR_TAG = 10**9 + 1  # nobody sends it


def uses(actor: Actor, comm: qmpi.Comm, q: Any) -> list[Call]:
    """Calls that name qubits which cannot be used, whatever their state. The last five name nothing else."""
    ours, here, single = actor.spare, comm.rank, q if isinstance(q, qmpi.Qubit) else q[0]
    return [
        lambda: gates.cx(ours, single),
        lambda: gates.ccx(ours, actor.other_spare, single),
        lambda: gates.unitary(np.eye(4), qmpi.Register((ours, single))),
        lambda: gates.mcx(qmpi.Register((ours,)), single),
        lambda: qmpi.expectation("ZX", qmpi.Register((ours, single))),
        lambda: comm.send(q, here, FAR_TAG),
        lambda: comm.isend_move(q, here, FAR_TAG),
        lambda: comm.irecv(q, here, FAR_TAG),
        lambda: comm.recv_move(q, here, FAR_TAG),
        lambda: comm.free(q),
        *([lambda: comm.iprepare_epr(q, (here + 1) % comm.size)] if comm.size > 1 else []),
        lambda: gates.h(q),
        lambda: gates.rz(0.3, q),
        lambda: qmpi.measure(q),
        lambda: qmpi.reset(q),
        lambda: qmpi.probability(single),
    ]


def frozen(model: Model, step: Refused) -> str:
    model.need(len(step.labels) == 1)
    label = step.labels[0]
    place = model.places.get(label)
    model.need(place and place.rank == step.rank and place.frozen is not None)
    assert place is not None and place.frozen is not None
    request = model.requests[place.frozen]
    model.need(not request.polled and not (request.transfer and request.transfer.null) and request.source != -2 and not model.owing(label))
    return "FrozenQubit"


def obliged(model: Model, step: Refused) -> str:
    model.need_usable(step.rank, step.labels)
    model.need(len(step.labels) == 1 and model.owing(step.labels[0]))
    return "OutstandingCopies"


def original(model: Model, step: Refused) -> str:
    obliged(model, step)
    model.need(model.owing(step.labels[0], (ORIGINAL,)))
    return "OutstandingCopies"


def copied_on(model: Model, step: Refused) -> str:
    """A copy, exactly as it was received, part of which has been copied on, or received into anew."""
    model.need_usable(step.rank, step.labels)
    model.need(step.labels and model.find(step.rank, COPY, step.labels, step.comm, None, None))
    found = model.find(step.rank, COPY, step.labels, step.comm, None, None)
    model.need(found and not found.null and any(other is not found for label in step.labels for other in model.owing(label)))
    return "OutstandingCopies"


def never_done(side: str) -> Callable[[Model, Refused], str]:
    """No operation on exactly these qubits: neither in this communicator nor in another, whichever is asked for."""

    def check(model: Model, step: Refused) -> str:
        model.need_usable(step.rank, step.labels)
        model.need(step.labels and not model.find(step.rank, side, step.labels, step.comm, None, None))
        return "UnmatchedInverse"

    return check


def wrong_tag(side: str) -> Callable[[Model, Refused], str]:
    def check(model: Model, step: Refused) -> str:
        model.need_usable(step.rank, step.labels)
        model.need(step.labels and model.find(step.rank, side, step.labels, step.comm, None, None))
        return "UnmatchedInverse"

    return check


def usable(error: str, least: int = 1) -> Callable[[Model, Refused], str]:
    def check(model: Model, step: Refused) -> str:
        model.need_usable(step.rank, step.labels)
        model.need(len(step.labels) >= least)
        return error

    return check


def unowing(error: str) -> Callable[[Model, Refused], str]:
    def check(model: Model, step: Refused) -> str:
        model.need_usable(step.rank, step.labels)
        model.need(step.labels and not any(model.owing(label) for label in step.labels))
        return error

    return check


def always(error: str) -> Callable[[Model, Refused], str]:
    return lambda model, step: error


def closed(model: Model, step: Refused) -> str:
    model.need_usable(step.rank, step.labels)
    model.need(step.labels and step.closed in model.circles and step.rank in model.circles[step.closed].members)
    model.need(step.rank not in model.circles[step.closed].open_at)
    return "Closed"


def not_zero(actor: Actor, step: Refused) -> Call:
    """On qubits of its own: in |1>, in |+>, or half of a pair."""
    comm, q = actor.comms[step.comm], actor.spares
    gates.x(q[0]) if step.choice % 3 == 0 else gates.h(q[0])
    if step.choice % 3 == 2:
        gates.cx(q[0], q[1])

    def restore() -> None:
        if step.choice % 3 == 2:
            gates.cx(q[0], q[1])
        gates.x(q[0]) if step.choice % 3 == 0 else gates.h(q[0])

    actor.restore = restore
    target, here = q[step.choice % 3 == 2 :], comm.rank
    calls = [
        lambda: comm.irecv(target, here, FAR_TAG),
        lambda: comm.recv_move(q, here, FAR_TAG),
        *([lambda: comm.iprepare_epr(target, (here + 1) % comm.size)] if comm.size > 1 else []),
    ]
    return calls[step.choice // 3 % len(calls)]


def not_basis(actor: Actor, step: Refused) -> Call:
    q = actor.spares
    gates.h(q[0])
    gates.cx(q[0], q[1])

    def restore() -> None:
        gates.cx(q[0], q[1])
        gates.h(q[0])

    actor.restore = restore
    return lambda: actor.comms[step.comm].free(q if step.choice % 2 else q[1])


def bad_rank(actor: Actor, step: Refused) -> Call:
    comm, q = actor.comms[step.comm], actor.operand(step.labels)
    rank = (-7, comm.size, 10**6, 0.0, "x", None, qmpi.ANY_SOURCE)[step.choice % 7]
    calls = [lambda: comm.send(q, rank), lambda: comm.isend_move(q, rank), lambda: comm.prepare_epr(q, rank)]
    if rank is not qmpi.ANY_SOURCE:
        calls.append(lambda: comm.recv(None, rank))
    return calls[step.choice // 7 % len(calls)]


def bad_tag(actor: Actor, step: Refused) -> Call:
    comm, q = actor.comms[step.comm], actor.operand(step.labels)
    tag = (-7, 2**31, 1.0, "x", None, qmpi.ANY_TAG)[step.choice % 6]
    calls = [lambda: comm.isend(q, 0, tag), lambda: comm.send_move(q, 0, tag)]
    if tag is not qmpi.ANY_TAG:
        calls.append(lambda: comm.recv(None, 0, tag))
    return calls[step.choice // 6 % len(calls)]


def bad_argument(actor: Actor, step: Refused) -> Call:
    comm, q = actor.comms[step.comm], actor.register(step.labels)
    calls = [
        lambda: gates.rx(math.nan, q),
        lambda: gates.p(math.inf, q[0]),
        lambda: gates.cp(-math.inf, q[0], actor.spare),
        lambda: gates.pauli_rotation(math.nan, "X", q[0]),
        lambda: gates.pauli_rotation(0.1, "Q" * len(q), q),
        lambda: gates.pauli_rotation(0.1, "X" * (len(q) + 1), q),
        lambda: gates.unitary(np.eye(2), qmpi.Register((q[0], actor.spare))),
        lambda: gates.unitary([["a"]], q),
        lambda: gates.cx(q[:1] + actor.spare, q[:1] + actor.spares),
        lambda: qmpi.expectation("", qmpi.Register()),
        lambda: qmpi.expectation("ZZ", q[:1] + q[0]),
        lambda: qmpi.expectation("A" * len(q), q),
        lambda: comm.alloc("2"),
        lambda: comm.alloc(-3),
        lambda: comm.alloc(1.5),
    ]
    return calls[step.choice % len(calls)]


def second_thread(actor: Actor, step: Refused) -> Call:
    q, comm = actor.register(step.labels), actor.comms[step.comm]
    attempt = (lambda: gates.h(q), lambda: qmpi.measure(q[0]), lambda: comm.alloc(1), lambda: comm.send(q, comm.rank))[step.choice % 4]

    def call() -> None:
        caught: list[BaseException] = []

        def attempted() -> None:
            try:
                attempt()
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=attempted)
        thread.start()
        thread.join()
        if caught:
            raise caught[0]

    return call


def use(which: Callable[[Actor, Refused], Any]) -> Callable[[Actor, Refused], Call]:
    def call(actor: Actor, step: Refused) -> Call:
        calls = uses(actor, actor.comms[step.comm], which(actor, step))
        return calls[step.choice % len(calls)]

    return call


def foreign(actor: Actor, step: Refused) -> Call:
    """Another rank's qubit where ranks are threads; where they are processes, one of a session of this process that is no rank's."""
    if actor.neighbour is not None:
        calls = uses(actor, actor.comms[step.comm], actor.neighbour)
    else:
        calls = uses(actor, actor.comms[step.comm], actor.stranger)[:-5]
    return calls[step.choice % len(calls)]


def call_of(*names: str, **arguments: Any) -> Callable[[Actor, Refused], Call]:
    """A method of the communicator on the step's qubits."""
    return lambda actor, step: (
        lambda: getattr(actor.comms[step.comm], names[step.choice % len(names)])(actor.operand(step.labels), **arguments)
    )


def on_closed(actor: Actor, step: Refused) -> Call:
    comm, q = actor.comms[step.closed], actor.operand(step.labels)
    calls: list[Call] = [
        comm.alloc,
        comm.barrier,
        comm.dup,
        comm.split,
        comm.store_report,
        comm.recv,
        comm.irecv_move,
        lambda: comm.free(q),
        lambda: comm.send(q, 0),
        lambda: comm.isend_move(q, 0),
        lambda: comm.prepare_epr(q, 0),
        lambda: comm.unsend(q),
        lambda: comm.unrecv_move(q),
        lambda: comm.measure(q),
        lambda: comm.statevector(q),
        lambda: comm.density_matrix(q),
    ]
    return calls[step.choice % len(calls)]


def towards_itself(actor: Actor, step: Refused) -> Call:
    comm = actor.comms[step.comm]
    return lambda: comm.prepare_epr(actor.spare, comm.rank)


KINDS: dict[str, tuple[Callable[[Model, Refused], str], Callable[[Actor, Refused], Call]]] = {
    "freed": (always("FreedQubit"), use(lambda actor, step: qmpi.Register((actor.freed,)))),
    "foreign": (always("ForeignQubit"), foreign),
    "frozen": (frozen, use(lambda actor, step: actor.handles[step.labels[0]])),
    "twice": (
        usable("DuplicateQubit"),
        lambda actor, step: [
            lambda: gates.cx(actor.handles[step.labels[0]], actor.handles[step.labels[0]]),
            lambda: gates.ccx(actor.spare, actor.handles[step.labels[0]], actor.spare),
            lambda: gates.unitary(np.eye(4), actor.register((step.labels[0],) * 2)),
            lambda: gates.cz(actor.register(step.labels), actor.handles[step.labels[0]]),
        ][step.choice % 4],
    ),
    "message twice": (
        usable("DuplicateQubit"),
        lambda actor, step: (
            lambda: [
                actor.comms[step.comm].send,
                actor.comms[step.comm].send_move,
                actor.comms[step.comm].prepare_epr,
            ][step.choice % 3](actor.register(step.labels + step.labels[:1]), 0)
        ),
    ),
    "operand twice": (
        usable("DuplicateQubit"),
        lambda actor, step: (
            lambda: [
                actor.comms[step.comm].free,
                actor.comms[step.comm].unsend,
                actor.comms[step.comm].iunrecv,
                actor.comms[step.comm].recv,
            ][step.choice % 4](actor.register(step.labels + step.labels[:1]))
        ),
    ),
    "not zero": (always("NotZero"), not_zero),
    "not basis": (always("EntangledQubit"), not_basis),
    "rank": (unowing("RankOutOfRange"), bad_rank),
    "tag": (unowing("TagOutOfRange"), bad_tag),
    "argument": (usable("InvalidArgument"), bad_argument),
    "matrix": (usable("NotUnitary"), lambda actor, step: lambda: gates.unitary(np.array([[1, 1], [0, 1]]), actor.handles[step.labels[0]])),
    "towards itself": (always("RankOutOfRange"), towards_itself),
    "type": (always("TypeError"), lambda actor, step: lambda: actor.comms[step.comm].send("q", 0)),
    "thread": (usable("SecondThread"), second_thread),
    "closed": (closed, on_closed),
    "obliged": (
        obliged,
        lambda actor, step: (
            lambda: [
                lambda q, comm: comm.send_move(q, comm.rank),
                lambda q, comm: comm.isend_move(q, comm.rank),
                lambda q, comm: comm.irecv(q, comm.rank),
                lambda q, comm: comm.recv_move(q, comm.rank),
            ][step.choice % 4](actor.operand(step.labels), actor.comms[step.comm])
        ),
    ),
    "free original": (original, call_of("free")),
    "copied on": (copied_on, call_of("unrecv", "iunrecv")),
    "unsend": (never_done("original"), call_of("unsend", "iunsend")),
    "unrecv": (never_done("copy"), call_of("unrecv", "iunrecv")),
    "unsend_move": (never_done("source"), call_of("unsend_move", "iunsend_move")),
    "unrecv_move": (never_done("destination"), call_of("unrecv_move", "iunrecv_move")),
    "unsend tag": (wrong_tag("original"), call_of("unsend", "iunsend", tag=FAR_TAG)),
    "unrecv tag": (wrong_tag("copy"), call_of("unrecv", "iunrecv", tag=FAR_TAG)),
}


@dataclass(frozen=True)
class Refused(Step):
    rank: int
    kind: str
    labels: tuple[int, ...]
    comm: int
    choice: int
    closed: int = 0  # a communicator

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank, kind = int(rng.integers(model.size)), str(pick(rng, KINDS))
        labels = some(rng, model.usable(rank), 2)
        comm = draw_comm(model, rng, rank)
        if kind == "frozen":
            labels = tuple(
                pick(rng, [(label,) for label, place in model.places.items() if place.rank == rank and place.frozen is not None]) or ()
            )
        elif kind in ("obliged", "free original"):
            labels = tuple(pick(rng, [(label,) for label in model.usable(rank) if model.owing(label)]) or ())
        elif kind in ("copied on", "unsend tag", "unrecv tag"):
            transfer = pick(rng, [t for t, side in model.books[rank] if side in (ORIGINAL, COPY)])
            side = ORIGINAL if kind == "unsend tag" else COPY
            if transfer is None:
                return None
            labels, comm = transfer.register(side), transfer.comm
        shut = [c for c, circle in model.circles.items() if rank in circle.members and rank not in circle.open_at]
        return cls(rank, kind, labels, comm, int(rng.integers(100)), int(pick(rng, shut) or 0))

    def enter(self, model: Model) -> Task:
        model.need_comm(self.comm, self.rank)
        task = Task(self, (self.rank,), expect=KINDS[self.kind][0](model, self))
        entangles = self.kind == "not basis" or (self.kind == "not zero" and self.choice % 3 == 2)
        model.bill.gates += 4 if entangles else 2 if self.kind == "not zero" else 0
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        actor.restore = None
        call = KINDS[self.kind][1](actor, self)
        book = actor.comms[0]._session.book
        before = book.now()
        actor.refuse(expect, lambda: actor.call(call))
        assert book.now() == before, "what was refused was charged"
        if actor.restore is not None:
            actor.restore()
