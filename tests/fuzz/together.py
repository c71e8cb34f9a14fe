"""Steps of all ranks of a communicator: barriers, collective measurement, windows, the ledger's totals, and communicators themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from tests.fuzz.model import Circle, Model
from tests.fuzz.steps import Slot, Step, Task, pick, some

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor

COMMS = 4  # at most, in one program
WINDOW = 6  # qubits of a density matrix


def everybody(model: Model, comm: int) -> tuple[int, ...]:
    """The ranks of a communicator that all of them can still use."""
    model.need(comm in model.circles)
    circle = model.circles[comm]
    model.need(circle.open_at.issuperset(circle.members))
    return circle.members


@dataclass(frozen=True)
class Barrier(Step):
    comm: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        return cls(int(pick(rng, model.circles)))

    def enter(self, model: Model) -> Task:
        members = everybody(model, self.comm)
        model.sync(members)
        return Task(self, members)

    def act(self, actor: Actor, expect: Any) -> None:
        actor.call(actor.comms[self.comm].barrier)


@dataclass(frozen=True)
class MeasureAll(Step):
    comm: int
    labels: tuple[tuple[int, ...], ...]  # by rank of the world

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        comm = int(pick(rng, model.circles))
        members = model.circles[comm].members
        free = [[label for label in model.usable(rank) if not model.owing(label)] for rank in range(model.size)]
        return cls(comm, tuple(some(rng, free[rank], 1, 0) if rank in members else () for rank in range(model.size)))

    def enter(self, model: Model) -> Task:
        members = everybody(model, self.comm)
        model.need(len(self.labels) == model.size)
        for rank, labels in enumerate(self.labels):
            model.need_usable(rank, labels)
            model.need(rank in members or not labels)
        task = Task(self, members)
        for rank in members:
            for label in self.labels[rank]:
                model.discharge(label)
                model.places[label].zero, model.places[label].basis = False, True
                model.bill.measurements += 1
                task.effects.append(("measure", label, Slot(label)))
        model.sync(members)
        task.expect = members
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        rows = actor.call(actor.comms[self.comm].measure, actor.register(self.labels[actor.rank]))
        for rank, row in zip(expect, rows, strict=True):
            assert len(row) == len(self.labels[rank])
            for label, bit in zip(self.labels[rank], row, strict=True):
                actor.report(label, bit)


@dataclass(frozen=True)
class Check(Step):
    """The joint state of some qubits; of all, as a state vector, if nothing is under way."""

    labels: tuple[tuple[int, ...], ...]  # by rank
    whole: bool

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        if model.quiet():
            return cls.of_all(model)
        chosen = set(some(rng, [label for rank in range(model.size) for label in model.usable(rank)], WINDOW))
        return cls(tuple(tuple(label for label in model.usable(rank) if label in chosen) for rank in range(model.size)), False)

    @classmethod
    def of_all(cls, model: Model) -> Step:
        return cls(tuple(tuple(label for label, place in model.places.items() if place.rank == rank) for rank in range(model.size)), True)

    def enter(self, model: Model) -> Task:
        members = everybody(model, 0)
        model.need(len(self.labels) == model.size)
        for rank, labels in enumerate(self.labels):
            model.need_usable(rank, labels)
        together = [label for labels in self.labels for label in labels]
        if self.whole:
            model.need(model.quiet() and len(together) == len(model.places))
            model.hidden = 0
        else:
            model.need(len(together) <= WINDOW)
        model.sync(members)
        return Task(self, members, [("state" if self.whole else "density", together, Slot("seen"))])

    def act(self, actor: Actor, expect: Any) -> None:
        comm = actor.comms[0]
        comm.mpi.Barrier()  # what others do to entangled qubits must not change the reduced state while it is looked at
        seen = actor.call(comm.statevector if self.whole else comm.density_matrix, actor.register(self.labels[actor.rank]))
        comm.mpi.Barrier()
        if actor.rank == 0:
            actor.report("seen", seen)
        else:
            assert seen.shape[0] == 2 ** sum(map(len, self.labels))


@dataclass(frozen=True)
class Look(Step):
    """One rank looks at its qubits, or tries one as a target, while nobody else moves."""

    rank: int
    labels: tuple[int, ...]
    kind: str  # "probability", "target", or a Pauli string

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        kind = str(pick(rng, ("probability", "target", "")))
        labels = some(rng, model.usable(rank), 1 if kind else 3)
        return cls(rank, labels, kind or "".join(rng.choice(list("IXYZ"), len(labels)))) if labels else None

    def enter(self, model: Model) -> Task:
        model.need_usable(self.rank, self.labels)
        model.need(self.kind != "target" or not any(model.owing(label) for label in self.labels))
        model.sync(range(model.size))
        return Task(self, tuple(range(model.size)), [("look", self.kind, self.labels, Slot("seen"))])

    def act(self, actor: Actor, expect: Any) -> None:
        comm = actor.comms[0]
        comm.mpi.Barrier()
        if actor.rank == self.rank:
            actor.report("seen", self.look(actor))
        comm.mpi.Barrier()

    def look(self, actor: Actor) -> float:
        if self.kind == "probability":
            return float(actor.call(qmpi.probability, actor.handles[self.labels[0]]))
        if self.kind != "target":
            return float(actor.call(qmpi.expectation, self.kind, actor.register(self.labels)))
        try:
            request = actor.call(actor.comms[0].irecv, actor.register(self.labels), actor.rank, 10**9)
        except qmpi.errors.NotZero:
            return 1.0
        assert actor.call(request.cancel)
        return 0.0


@dataclass(frozen=True)
class RefusedTogether(Step):
    """A collective call to which one rank brings a register that it must not: all are told, and nothing happens on any rank."""

    rank: int
    comm: int
    call: str
    error: str
    labels: tuple[tuple[int, ...], ...]  # by rank

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        comm = int(pick(rng, model.circles))
        members = model.circles[comm].members
        labels = tuple(some(rng, model.usable(rank), 2, 0) if rank in members else () for rank in range(model.size))
        call, error = str(pick(rng, ("measure", "statevector", "density_matrix"))), str(pick(rng, ("FreedQubit", "DuplicateQubit")))
        return cls(int(rng.choice(members)), comm, call, error, labels)

    def enter(self, model: Model) -> Task:
        members = everybody(model, self.comm)
        model.need(len(self.labels) == model.size and self.rank in members)
        for rank, labels in enumerate(self.labels):
            model.need_usable(rank, labels)
        model.sync(members)
        return Task(self, members)

    def act(self, actor: Actor, expect: Any) -> None:
        register = actor.register(self.labels[actor.rank])
        if actor.rank == self.rank:
            register += qmpi.Register([actor.freed]) if self.error == "FreedQubit" else qmpi.Register([actor.spare, actor.spare])
        call = getattr(actor.comms[self.comm], self.call)
        actor.refuse(self.error if actor.rank == self.rank else "PeerFailed", lambda: actor.call(call, register))


@dataclass(frozen=True)
class Totals(Step):
    """The ledger, when nothing is under way, and what the store holds."""

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        return cls()

    def enter(self, model: Model) -> Task:
        members = everybody(model, 0)
        model.need(not model.requests and model.quiet())
        model.sync(members)
        bill = model.bill
        expect = (bill.epr_pairs, bill.classical_bits, bill.measurements, bill.gates)
        return Task(self, members, expect=(None if model.squeezed else expect, len(model.places)))

    def act(self, actor: Actor, expect: Any) -> None:
        total = actor.call(actor.comms[0].ledger.total)
        spent = tuple(now - before for now, before in zip(actor.bill_of(total), actor.before, strict=True))
        assert expect[0] in (None, spent), f"the ledger shows {spent}, not {expect[0]} (pairs, bits, measurements, gates)"
        report = actor.call(actor.comms[0].store_report)
        held = expect[1] + len(actor.spares) * actor.comms[0].size
        assert report.qubits == held, f"the store holds {report.qubits} qubits, the program {held}"


@dataclass(frozen=True)
class Split(Step):
    """A new communicator per color; `numbers` None dups instead."""

    comm: int
    colors: tuple[int | None, ...]  # by rank of the world; None takes no part
    keys: tuple[int, ...]
    numbers: tuple[int, ...]  # of the new communicators, by color
    dups: bool = False

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        comm = int(pick(rng, model.circles))
        members = model.circles[comm].members
        first = max(model.circles) + 1
        if first > COMMS:
            return None
        if rng.random() < 0.4:
            return cls(comm, (), (), (first,), True)
        colors = tuple(pick(rng, (0, 0, 1, None)) if rank in members else None for rank in range(model.size))
        keys = tuple(int(key) for key in rng.integers(0, 3, model.size))
        return cls(comm, colors, keys, (first, first + 1))

    def enter(self, model: Model) -> Task:
        members = everybody(model, self.comm)
        model.need(not any(number in model.circles for number in self.numbers))
        if self.dups:
            groups = {0: members}
        else:
            ordered = sorted(members, key=lambda rank: (self.keys[rank], members.index(rank)))
            groups = {color: tuple(rank for rank in ordered if self.colors[rank] == color) for color in range(len(self.numbers))}
        for color, group in groups.items():
            if group:
                model.circles[self.numbers[color]] = Circle(group, set(group))
        model.sync(members)
        return Task(self, members, expect=groups)

    def act(self, actor: Actor, expect: Any) -> None:
        comm = actor.comms[self.comm]
        new = actor.call(comm.dup) if self.dups else actor.call(comm.split, self.colors[actor.rank], self.keys[actor.rank])
        for color, group in expect.items():
            if actor.rank not in group:
                continue
            assert (new.rank, new.size) == (group.index(actor.rank), len(group))
            actor.comms[self.numbers[color]], actor.members[self.numbers[color]] = new, group
            return
        assert new is None


@dataclass(frozen=True)
class Close(Step):
    rank: int
    comm: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        comm = pick(rng, [comm for comm, circle in model.circles.items() if comm and rank in circle.members])
        return None if comm is None else cls(rank, comm)

    def enter(self, model: Model) -> Task:
        model.need(self.comm in model.circles and self.comm != 0)
        circle = model.circles[self.comm]
        model.need(self.rank in circle.members)
        expect = ""
        if self.rank in circle.open_at:
            model.need(not any(r.comm == self.comm and r.rank == self.rank for r in model.requests.values()))
            model.need(not model.boxes[self.comm, self.rank].messages)
            mine = [t for t in model.transfers.values() if t.comm == self.comm and self.rank in (t.source, t.dest)]
            model.need(not any(t.promised for t in mine))
            model.need(not any(model.places[label].reserved for t in mine for label in t.arrived if label in model.places))
            circle.open_at.discard(self.rank)
            expect = "ObligationError" if model.outstanding(self.rank, self.comm) else ""
        return Task(self, (self.rank,), expect=expect)

    def act(self, actor: Actor, expect: Any) -> None:
        if expect:
            actor.refuse(expect, actor.comms[self.comm].close)
        else:
            assert actor.call(actor.comms[self.comm].close) is None
