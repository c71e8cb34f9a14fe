"""Steps of a program, and those of one rank that involve no other: alloc, free, gates, measure, reset.

A step has four faces: `propose` draws one that may be possible, `enter` books it in the model (or raises Impossible) and says what must
come of it, `act` makes the calls on the ranks it names, and the effects it returned tell the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from tests.fuzz.model import ORIGINAL, Model, Place
from tests.oracle import random_unitary

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor


@dataclass(frozen=True, slots=True)
class Slot:
    """In an effect: what a rank has reported under this name during the step."""

    name: object


Effect = tuple[Any, ...]  # the name of one of Truth's methods, then its arguments


@dataclass(slots=True)
class Task:
    """A step of which is known how it must end.

    Attributes:
        step: what is done.
        ranks: who does it.
        effects: what the oracle is told, in order.
        expect: what `act` needs to know beside the step itself.
    """

    step: Step
    ranks: tuple[int, ...]
    effects: list[Effect] = field(default_factory=list)
    expect: Any = None


@dataclass(frozen=True)
class Step:
    """One line of a program."""

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        raise NotImplementedError

    def enter(self, model: Model) -> Task:
        raise NotImplementedError

    def act(self, actor: Actor, expect: Any) -> None:
        raise NotImplementedError


ROOMY = 6  # qubits, up to which programs allocate more: messages make more, too


def pick(rng: np.random.Generator, candidates: Any) -> Any:
    """One of them, None if there is none."""
    listed = list(candidates)
    return listed[int(rng.integers(len(listed)))] if listed else None


def some(rng: np.random.Generator, candidates: list[int], most: int, least: int = 1) -> tuple[int, ...]:
    """Some of them in any order; fewer than `least` if there are not so many."""
    count = min(len(candidates), int(rng.integers(least, most + 1)))
    return tuple(int(label) for label in rng.permutation(np.array(candidates, int))[:count])


@dataclass(frozen=True)
class Alloc(Step):
    rank: int
    labels: tuple[int, ...]

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        return cls(int(rng.integers(model.size)), model.fresh(int(rng.integers(1, 4))))

    def enter(self, model: Model) -> Task:
        model.new(*self.labels)
        model.need(model.weight() + len(self.labels) <= ROOMY)
        for label in self.labels:
            model.places[label] = Place(self.rank)
        return Task(self, (self.rank,), [("alloc", label) for label in self.labels])

    def act(self, actor: Actor, expect: Any) -> None:
        actor.bind(self.labels, actor.call(actor.comms[0].alloc, len(self.labels)))


def free(model: Model, labels: tuple[int, ...]) -> list[Effect]:
    """The places go: what the oracle is told."""
    model.need_unpromised(labels)
    for label in labels:
        model.need(model.places[label].basis and not model.owing(label, (ORIGINAL,)))
    for label in labels:
        model.discharge(label)
        del model.places[label]
    return [("free", label) for label in labels]


@dataclass(frozen=True)
class Free(Step):
    rank: int
    labels: tuple[int, ...]

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        candidates = [label for label in model.usable(rank) if model.places[label].basis]
        labels = some(rng, candidates, 2)
        return cls(rank, labels) if labels else None

    def enter(self, model: Model) -> Task:
        model.need_usable(self.rank, self.labels)
        return Task(self, (self.rank,), free(model, self.labels))

    def act(self, actor: Actor, expect: Any) -> None:
        register = actor.operand(self.labels)
        actor.call(actor.comms[0].free, register)
        actor.freed = actor.handles[self.labels[0]]
        for label in self.labels:
            del actor.handles[label]


ONE = ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "id")
TURNS = ("rx", "ry", "rz", "p")
TWO = ("cx", "cz", "swap")
TURNS_OF_TWO = ("cp", "rzz")
KEEP_BASIS = {"x", "y", "z", "s", "sdg", "t", "tdg", "id", "rz", "p"}
KEEP_ZERO = KEEP_BASIS - {"x", "y"}


@dataclass(frozen=True)
class Gate(Step):
    """A gate by its name; "mcx" has its target last, "unitary" is drawn from its seed, other names with letters IXYZ rotate about them."""

    rank: int
    name: str
    labels: tuple[int, ...]
    angle: float = 0.0
    seed: int = 0

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        labels = some(rng, model.usable(rank), 4)
        if not labels:
            return None
        names = {1: ONE + TURNS, 2: TWO + TURNS_OF_TWO + ("mcx", "h", "ry"), 3: ("ccx", "mcx", "cx", "rx", "cz"), 4: ("mcx",)}[len(labels)]
        kind = rng.random()
        if kind < 0.12 and len(labels) < 4:
            return cls(rank, "unitary", labels, 0.0, int(rng.integers(1000)))
        angle = round(float(rng.uniform(0.2, 2.9)), 2)
        if kind < 0.2:
            return cls(rank, "".join(rng.choice(list("IXYZ"), len(labels))), labels, angle)
        name = str(pick(rng, names))
        return cls(rank, name, labels, angle if name in TURNS + TURNS_OF_TWO else 0.0)

    def applications(self) -> list[tuple[int, ...]]:
        """A register broadcasts: gates on one qubit to each, gates with a control from the first to each other."""
        if self.name in ONE + TURNS:
            return [(label,) for label in self.labels]
        if self.name in TWO and len(self.labels) > 2:
            return [(self.labels[0], label) for label in self.labels[1:]]
        return [self.labels]

    def enter(self, model: Model) -> Task:
        model.need_usable(self.rank, self.labels)
        model.need(self.name != "swap" or len(self.labels) == 2)
        for label in self.labels:
            place = model.places[label]
            place.basis &= self.name in KEEP_BASIS
            place.zero &= self.name in KEEP_ZERO
        model.bill.gates += len(self.applications())
        return Task(self, (self.rank,), [("gate", self.name, labels, self.angle, self.seed) for labels in self.applications()])

    def act(self, actor: Actor, expect: Any) -> None:
        qubits = [actor.handles[label] for label in self.labels]
        whole = qmpi.Register(qubits)
        if self.name == "unitary":
            actor.call(qmpi.gates.unitary, random_unitary(np.random.default_rng(self.seed), len(qubits)), whole)
        elif self.name == "mcx":
            actor.call(qmpi.gates.mcx, whole[:-1], qubits[-1])
        elif self.name.isupper():
            actor.call(qmpi.gates.pauli_rotation, self.angle, self.name, whole)
        else:
            gate: Callable[..., None] = getattr(qmpi.gates, self.name)
            angles = (self.angle,) if self.name in TURNS + TURNS_OF_TWO else ()
            if self.name in ONE + TURNS:
                actor.call(gate, *angles, actor.operand(self.labels))
            elif len(self.applications()) > 1:
                actor.call(gate, *angles, qubits[0], whole[1:])
            else:
                actor.call(gate, *angles, *qubits)


@dataclass(frozen=True)
class Measure(Step):
    rank: int
    labels: tuple[int, ...]

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        candidates = [label for label in model.usable(rank) if rng.random() < 0.3 or not model.owing(label)]
        labels = some(rng, candidates, 2)
        return cls(rank, labels) if labels else None

    def enter(self, model: Model) -> Task:
        model.need_usable(self.rank, self.labels)
        for label in self.labels:
            model.discharge(label)
            model.places[label].zero, model.places[label].basis = False, True
        model.bill.measurements += len(self.labels)
        return Task(self, (self.rank,), [("measure", label, Slot(label)) for label in self.labels])

    def act(self, actor: Actor, expect: Any) -> None:
        operand = actor.operand(self.labels)
        outcome = actor.call(qmpi.measure, operand)
        for label, bit in zip(self.labels, (outcome,) if isinstance(outcome, int) else outcome, strict=True):
            actor.report(label, bit)


@dataclass(frozen=True)
class Reset(Step):
    rank: int
    labels: tuple[int, ...]

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        candidates = [label for label in model.usable(rank) if rng.random() < 0.3 or not model.owing(label)]
        labels = some(rng, candidates, 2)
        return cls(rank, labels) if labels else None

    def enter(self, model: Model) -> Task:
        model.need_usable(self.rank, self.labels)
        model.need(model.hidden < 5 or all(model.places[label].basis for label in self.labels))
        for label in self.labels:
            model.discharge(label)
            model.hidden += not model.places[label].basis
            model.places[label].zero = model.places[label].basis = True
        model.bill.measurements += len(self.labels)
        return Task(self, (self.rank,), [("hide", label) for label in self.labels])

    def act(self, actor: Actor, expect: Any) -> None:
        actor.call(qmpi.reset, actor.operand(self.labels))
