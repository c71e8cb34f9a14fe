"""Random programs, and how each of them ends: whatever is under way is completed, all is compared, undone, measured and freed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tests.fuzz.crowding import Flood, Squeezed
from tests.fuzz.haste import Hasty
from tests.fuzz.inverses import Abandon, Undo
from tests.fuzz.knots import Knot
from tests.fuzz.meetings import FanIn, Meet, Pause, Token
from tests.fuzz.messages import Cancel, Receive, Retract, Send, Test, Wait
from tests.fuzz.model import COPY, DESTINATION, ORIGINAL, SOURCE, Impossible, Model, Transfer
from tests.fuzz.refusals import Refused
from tests.fuzz.steps import Alloc, Free, Gate, Measure, Reset, Step, Task
from tests.fuzz.together import Barrier, Check, Close, Look, MeasureAll, RefusedTogether, Split, Totals

WEIGHTS: dict[type[Step], float] = {
    Gate: 20,
    Send: 16,
    Receive: 16,
    Undo: 20,
    Wait: 14,
    Refused: 14,
    Meet: 8,
    Alloc: 6,
    Measure: 4,
    FanIn: 4,
    Hasty: 6,
    Test: 2,
    Free: 5,
    Look: 2.5,
    Reset: 2,
    Squeezed: 8,
    Barrier: 1.5,
    Cancel: 2,
    Check: 2,
    MeasureAll: 1,
    Retract: 2,
    Token: 2,
    Abandon: 2,
    Close: 1,
    Pause: 1,
    RefusedTogether: 1,
    Split: 1,
    Totals: 1,
    Flood: 0.7,
    Knot: 0.3,
}
ROUNDS = 60  # of tying up loose ends; each makes progress
HIDDEN = 3  # outcomes that nobody knows: more of them than this, and the state is looked at when that is possible


class Program:
    """Steps that were possible, in order, with what must come of them."""

    def __init__(self, size: int) -> None:
        self.model = Model(size)
        self.steps: list[Step] = []
        self.tasks: list[Task] = []

    def take(self, step: Step | None) -> bool:
        """Appends a step if it is possible."""
        if step is None:
            return False
        try:
            task = step.enter(self.model)
        except Impossible:
            return False
        self.steps.append(step)
        self.tasks.append(task)
        return True


def draw(rng: np.random.Generator, size: int, tight: bool) -> list[Step]:
    """A program's steps, without its end. `tight`: there is little memory."""
    program = Program(size)
    kinds = [kind for kind in WEIGHTS if tight or kind is not Squeezed]
    bounds = np.cumsum([WEIGHTS[kind] for kind in kinds])
    for rank in range(size):
        program.take(Alloc(rank, program.model.fresh(2 if size < 3 else 1)))
    for rank in range(size):
        for label in program.model.usable(rank):
            program.take(Gate(rank, "unitary", (label,), 0.0, int(rng.integers(1000))))
    length = int(rng.integers(20, 110))
    for _ in range(20 * length):
        if len(program.steps) >= length:
            break
        if program.model.hidden > HIDDEN and program.model.quiet():
            program.take(Check.of_all(program.model))
        kind = kinds[int(np.searchsorted(bounds, bounds[-1] * rng.random(), "right"))]
        if kind is Squeezed:  # what happens to qubits in |0> needs no memory
            program.take(Alloc.propose(program.model, rng))
        program.take(kind.propose(program.model, rng))
    return program.steps


def complete(steps: Iterable[Step], size: int, seed: int = 0) -> list[Task]:
    """The steps of the list that are possible after each other, and an end."""
    program = Program(size)
    for step in steps:
        program.take(step)
    end(program, np.random.default_rng(seed))
    return program.tasks


def end(program: Program, rng: np.random.Generator) -> None:
    model = program.model
    for _ in range(ROUNDS):
        for step in loose_ends(model):
            program.take(step)
        if not (model.requests or any(box.messages for box in model.boxes.values()) or promised(model)):
            break
    else:
        raise AssertionError(f"no end found for {program.steps}")
    whole(program)
    assert program.take(Totals())
    for transfer in [model.transfers[k] for k in rng.permutation(np.array(list(model.transfers), int))]:
        if transfer.copies and rng.random() < 0.7 and not transfer.null and transfer.sent == transfer.received == "open":
            program.take(Undo(transfer.dest, COPY, transfer.id))
        if transfer.copies and transfer.inverse and transfer.sent == "open":
            program.take(Undo(transfer.source, ORIGINAL, transfer.id, exits=True))
    whole(program)
    everything = Check.of_all(model)
    assert isinstance(everything, Check)
    assert program.take(MeasureAll(0, everything.labels))
    for rank, labels in enumerate(everything.labels):  # once more, with probabilities of all sizes
        assert not labels or program.take(Gate(rank, "ry", labels, round(float(rng.uniform(0.3, 2.8)), 2)))
    assert program.take(MeasureAll(0, everything.labels))
    for rank, labels in enumerate(everything.labels):
        assert not labels or program.take(Free(rank, labels))
    assert program.take(Totals())


def whole(program: Program) -> None:
    assert program.take(Check.of_all(program.model))


def promised(model: Model) -> list[Transfer]:
    """Moves whose states are on their way back."""
    return [t for t in model.transfers.values() if t.promised]


def loose_ends(model: Model) -> Iterator[Step]:
    """Steps one of which brings the program nearer to its end."""
    for request in list(model.requests.values()):
        if request.kind in ("receive", "meet") and not request.outcome:
            yield Cancel(request.rank, request.id)
        yield Wait(request.rank, request.id)
        transfer = request.transfer
        if transfer is None or request.kind != "undo" or transfer.inverse:
            continue
        if request.side == SOURCE:
            yield Undo(transfer.dest, DESTINATION, transfer.id, exits=True)
            yield Undo(transfer.dest, DESTINATION, transfer.id)  # if its end would free what another move is to come back to
            yield Abandon(transfer.dest, DESTINATION, transfer.id)
        elif request.side == ORIGINAL:
            yield Undo(transfer.dest, COPY, transfer.id, exits=True)
            left = tuple(label for label in transfer.arrived if label in model.places and model.places[label].frozen is None)
            if (
                left
                and transfer.received == "open"
                and not any(r.kind == "undo" for r in model.requests.values() if set(r.labels) & set(left))
            ):
                yield Measure(transfer.dest, left)
    for box in list(model.boxes.values()):
        for message in box.messages[:1]:
            yield Receive(message.dest, message.source, message.tag, message.comm, message.copies, None)
    for transfer in promised(model):
        labels = transfer.originals
        if any(model.places[label].frozen is not None for label in labels) or any(r.transfer is transfer for r in model.requests.values()):
            continue
        yield Measure(transfer.source, labels)
        yield Reset(transfer.source, labels)
        yield Undo(transfer.source, SOURCE, transfer.id, exits=True)
