"""Steps in which several ranks bring something for each other: EPR pairs, and messages that one rank receives from anybody."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from tests.fuzz.messages import HEAVY, TAGS, draw_comm, finish, land, launch
from tests.fuzz.model import ANY, COPY, DESTINATION, NULL, ORIGINAL, SOURCE, Model, Pending, Transfer
from tests.fuzz.steps import Step, Task, pick, some

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor


@dataclass(frozen=True)
class Meet(Step):
    """One side of prepare_epr."""

    rank: int
    labels: tuple[int, ...]
    peer: int
    tag: int
    comm: int
    request: int | None = None

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank = int(rng.integers(model.size))
        posted = [p for queue in model.meetings.values() for p in queue if p.source == rank]
        comm = draw_comm(model, rng, rank)
        peer, tag, count = int(rng.choice(model.circles[comm].members)), int(rng.choice(TAGS)), int(rng.integers(1, 3))
        if posted and rng.random() < 0.9:
            met = posted[int(rng.integers(len(posted)))]
            comm, peer, tag = met.comm, met.rank, met.tag
            count = len(met.labels) if rng.random() < 0.9 else count
        elif rng.random() < 0.05:
            peer = NULL
        zeros = [label for label in model.usable(rank) if model.places[label].zero and not model.owing(label)]
        request = None if (posted and rng.random() < 0.6) else model.fresh()[0]
        return cls(rank, some(rng, zeros, count, count), peer, tag, comm, request)

    def enter(self, model: Model) -> Task:
        model.need_comm(self.comm, self.rank, self.peer)
        model.need_usable(self.rank, self.labels)
        model.need(self.peer != self.rank)
        for label in self.labels:
            model.need(model.places[label].zero and not model.owing(label))
        key = self.comm, frozenset((self.rank, self.peer)), self.tag
        model.need(key not in model.burnt)
        if self.request is not None:
            model.new(self.request)
        number = -1 if self.request is None else self.request
        mine = Pending(number, self.rank, "meet", self.comm, self.labels, source=self.peer, tag=self.tag)
        task = Task(self, (self.rank,))
        queue = model.meetings[key]
        other = queue[0] if queue and queue[0].rank == self.peer else None
        if self.peer == NULL:
            mine.outcome = "done"
        elif other is None:
            model.need(self.request is not None)
            queue.append(mine)
        else:
            queue.pop(0)
            mine.outcome = other.outcome = "done" if len(mine.labels) == len(other.labels) else "InvalidArgument"
            if mine.outcome == "done":
                task.effects = [("pair", a, b) for a, b in zip(other.labels, mine.labels, strict=True)]
                model.bill.epr_pairs += len(mine.labels)
                for label in (*mine.labels, *other.labels):
                    model.places[label].zero = model.places[label].basis = False
        if self.request is None:
            task.expect = finish(model, mine, task.effects)
        else:
            model.freeze(mine)
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        def call() -> Any:
            verb = getattr(actor.comms[self.comm], "prepare_epr" if self.request is None else "iprepare_epr")
            return actor.call(verb, actor.operand(self.labels), actor.there(self.comm, self.peer), self.tag)

        if self.request is None:
            actor.complete(expect, call, None)
        else:
            actor.requests[self.request] = call(), None


@dataclass(frozen=True)
class Letter:
    """A message of a FanIn."""

    rank: int
    labels: tuple[int, ...]
    message: int
    names: tuple[int, ...]
    waits: bool


@dataclass(frozen=True)
class FanIn(Step):
    """Several ranks send to one, which receives from ANY_SOURCE: what comes when is open, what has come at the end is not."""

    dest: int
    comm: int
    tag: int
    copies: bool
    any_tag: bool
    letters: tuple[Letter, ...]
    order: tuple[int, ...]  # in which the receives are waited for

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        dest = int(rng.integers(model.size))
        comm, copies = draw_comm(model, rng, dest), bool(rng.random() < 0.6)
        letters: list[Letter] = []
        for _ in range(int(rng.integers(1, 4))):
            rank = int(rng.choice(model.circles[comm].members))
            used = {label for letter in letters for label in letter.labels}
            candidates = [label for label in model.usable(rank) if label not in used and (copies or not model.owing(label))]
            if labels := some(rng, candidates, 2):
                letters.append(Letter(rank, labels, model.fresh()[0], model.fresh(len(labels)), bool(rng.integers(2))))
        order = tuple(int(k) for k in rng.permutation(len(letters)))
        return cls(dest, comm, int(rng.choice(TAGS)), copies, bool(rng.integers(2)), tuple(letters), order) if letters else None

    def enter(self, model: Model) -> Task:
        model.need_comm(self.comm, self.dest, *(letter.rank for letter in self.letters))
        box = model.boxes[self.comm, self.dest]
        tag = ANY if self.any_tag else self.tag
        model.need(not any(tag in (ANY, message.tag) for message in box.messages))
        model.need(not any(receive.tag in (ANY, self.tag) for receive in box.posted))
        transfers = []
        for letter in self.letters:
            model.need_usable(letter.rank, letter.labels)
            model.need(self.copies or not any(model.owing(label) for label in letter.labels))
            model.need_unlocked(self.comm, letter.rank, self.dest, self.tag)
            model.new(letter.message, *letter.names)
            transfers.append(Transfer(letter.message, self.copies, self.comm, letter.rank, self.dest, self.tag, letter.labels))
        labels = [label for letter in self.letters for label in letter.labels]
        model.need(len(set(labels)) == len(labels) and model.weight() + len(labels) <= HEAVY)
        task = Task(self, tuple({self.dest, *(letter.rank for letter in self.letters)}))
        for transfer, letter in zip(transfers, self.letters, strict=True):
            task.effects += launch(model, transfer)
            model.transfers[transfer.id] = transfer
            model.record(transfer, transfer.sides()[0])
            task.effects += land(model, transfer, letter.names)
        box.closed_to.append((ANY, tag))
        return task

    def act(self, actor: Actor, expect: Any) -> None:
        comm = actor.comms[self.comm]
        here, there = (ORIGINAL, COPY) if self.copies else (SOURCE, DESTINATION)
        receive = comm.irecv if self.copies else comm.irecv_move
        tag = qmpi.ANY_TAG if self.any_tag else self.tag
        posted: list[tuple[Any, Any]] = []

        def post(count: int) -> None:
            while actor.rank == self.dest and len(posted) < count:
                status = qmpi.Status()
                posted.append((actor.call(receive, None, qmpi.ANY_SOURCE, tag, status), status))

        post(self.order[0])  # some before this rank's own messages, some after
        sent = []
        for letter in self.letters:
            if letter.rank != actor.rank:
                continue
            verb = ("send" if self.copies else "send_move") if letter.waits else ("isend" if self.copies else "isend_move")
            result = actor.call(getattr(comm, verb), actor.operand(letter.labels), actor.there(self.comm, self.dest), self.tag)
            sent.append((letter, result))
        post(len(self.letters))
        for letter, result in sent:
            actor.operations[letter.message, here] = result if letter.waits else actor.call(result.wait)
        results: dict[int, Any] = {k: actor.call(posted[k][0].wait) for k in self.order if posted}
        waiting = list(self.letters)
        for k in range(len(posted)):  # in posted order: two messages of one rank arrive in the order in which it sent them
            status = posted[k][1]
            letter = next(one for one in waiting if actor.there(self.comm, one.rank) == status.source)
            waiting.remove(letter)
            assert (status.tag, status.count) == (self.tag, len(letter.labels))
            actor.bind(letter.names, results[k])
            actor.operations[letter.message, there] = results[k]


@dataclass(frozen=True)
class Pause(Step):
    """A rank sleeps, so that others wait for it longer than the watch's first look."""

    rank: int
    milliseconds: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        return cls(int(rng.integers(model.size)), int(pick(rng, (0, 0, 0, 1, 1, 5, 5, 20, 250) if rng.random() < 0.3 else (0, 1))))

    def enter(self, model: Model) -> Task:
        return Task(self, (self.rank,))

    def act(self, actor: Actor, expect: Any) -> None:
        time.sleep(self.milliseconds / 1000)


@dataclass(frozen=True)
class Token(Step):
    """A classical message; the receiver sits in classical MPI until it comes."""

    rank: int
    dest: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        rank, dest = (int(r) for r in rng.integers(model.size, size=2))
        return cls(rank, dest) if rank != dest else None

    def enter(self, model: Model) -> Task:
        return Task(self, (self.rank, self.dest))

    def act(self, actor: Actor, expect: Any) -> None:
        mpi = actor.comms[0].mpi
        if actor.rank == self.rank:
            mpi.send(self.dest, dest=self.dest, tag=7)
        else:
            assert mpi.recv(source=self.rank, tag=7) == actor.rank
