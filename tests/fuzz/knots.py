"""Real deadlocks, on purpose: every rank involved must get Deadlock, no other rank may, and the program goes on as if nothing had been.

Afterwards all ranks meet in a classical barrier: a rank that ran ahead and waited for one of the knot would be involved itself.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from tests.fuzz.messages import draw_comm
from tests.fuzz.model import ANY, ORIGINAL, Model
from tests.fuzz.steps import Step, Task, pick

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor

KINDS = ("ring", "wait", "self", "anybody", "pairs", "unsend", "full", "barrier")
MORE_THAN_FITS = 65  # qubits


@dataclass(frozen=True)
class Knot(Step):
    """Each of `ranks` waits for the next, the last for the first. Tags are this step's own.

    `tail` waits for the first, too. If it comes in time it is involved; if the knot has been found before, the first one answers it.
    """

    kind: str
    ranks: tuple[int, ...]
    tail: int | None
    comm: int
    tag: int
    message: int = 0  # the copy that "unsend" waits for

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        kind = str(pick(rng, KINDS))
        comm = draw_comm(model, rng, int(rng.integers(model.size)))
        members = model.circles[comm].members
        count = 1 if kind == "self" else 2 if kind in ("unsend", "full", "pairs") else int(rng.integers(2, 5))
        ranks = tuple(int(rank) for rank in rng.permutation(np.array(members))[:count])
        message = 0
        if kind in ("anybody", "barrier"):
            ranks = tuple(int(rank) for rank in rng.permutation(np.array(members)))
        if kind == "unsend":
            transfer = pick(rng, [t for rank in range(model.size) for t, side in model.books[rank] if side == ORIGINAL])
            if transfer is None:
                return None
            ranks, message, comm = (transfer.source, transfer.dest), transfer.id, transfer.comm
        others = [rank for rank in model.circles[comm].members if rank not in ranks]
        tail = int(pick(rng, others)) if others and rng.random() < 0.3 and kind != "self" else None
        return cls(kind, ranks, tail, comm, 10**6 + model.fresh()[0], message)

    def enter(self, model: Model) -> Task:
        model.need_comm(self.comm, *self.ranks)
        model.need_comm(0, *range(model.size))
        circle = model.circles[self.comm]
        if self.tail is not None:
            model.need_comm(self.comm, self.tail)
            model.need(self.tail not in self.ranks)
        if self.kind in ("anybody", "barrier"):
            model.need(set(self.ranks) == set(circle.members) == circle.open_at)
        if self.kind == "barrier":  # with more ranks one of them might come when the knot has been found
            model.need(len(self.ranks) == 2)
        if self.kind in ("pairs", "full", "ring", "wait"):
            model.need(len(self.ranks) > 1)
        labels: tuple[int, ...] = ()
        if self.kind == "unsend":
            transfer = model.transfers.get(self.message)
            model.need(transfer and transfer.sent == transfer.received == "open" and not transfer.null and not transfer.inverse)
            assert transfer is not None
            model.need(transfer.source != transfer.dest and transfer.originals and transfer.arrived and transfer.comm == self.comm)
            labels = transfer.originals
            model.need(self.ranks == (transfer.source, transfer.dest))
            model.need_usable(transfer.source, labels)
            model.need(model.find(transfer.source, ORIGINAL, labels, transfer.comm, transfer.dest, transfer.tag) is transfer)
            return Task(self, tuple(range(model.size)), expect=(labels, transfer.tag))
        if self.kind == "full":  # its message must not meet a receive
            model.need(not any(r.tag == ANY for r in model.boxes[self.comm, self.ranks[1]].posted))
        model.sync(range(model.size))
        return Task(self, tuple(range(model.size)), expect=(labels, 0))

    def act(self, actor: Actor, expect: Any) -> None:
        if self.kind == "full":  # earlier messages must have been sent: they might wait for the same room
            actor.comms[0].mpi.Barrier()
        if actor.rank == self.tail:
            self.follow(actor)
        if actor.rank in self.ranks:
            text = self.wait(actor, expect)
            assert all(f"rank {rank}: " in text for rank in self.ranks), f"not all of {self.ranks} are named in {text}"
            if actor.rank == self.ranks[0] and self.tail is not None and f"rank {self.tail}: " not in text:
                actor.call(actor.comms[self.comm].send, qmpi.Register(), actor.there(self.comm, self.tail), self.tag)
        actor.comms[0].mpi.Barrier()

    def follow(self, actor: Actor) -> None:
        with suppress(qmpi.errors.Deadlock):
            assert len(actor.call(actor.comms[self.comm].recv, None, actor.there(self.comm, self.ranks[0]), self.tag)) == 0

    def wait(self, actor: Actor, expect: Any) -> str:
        """The text of the Deadlock."""
        comm = actor.comms[self.comm]
        place = self.ranks.index(actor.rank)
        following = actor.there(self.comm, self.ranks[(place + 1) % len(self.ranks)])
        if self.kind == "wait":
            request = actor.call(comm.irecv, None, following, self.tag)
            text = actor.refuse("Deadlock", lambda: actor.call(request.wait))
            assert actor.call(request.cancel)
            return text
        if self.kind == "full" and place == 0:
            many = actor.call(comm.alloc, MORE_THAN_FITS)
            send = comm.send_move if self.tag % 2 else comm.send
            text = actor.refuse("Deadlock", lambda: actor.call(send, many, following, self.tag + 1))
            actor.call(comm.free, many)
            return text
        if self.kind == "anybody":
            return actor.refuse("Deadlock", lambda: actor.call(comm.recv_move, None, qmpi.ANY_SOURCE, self.tag))
        if self.kind == "pairs":
            return actor.refuse("Deadlock", lambda: actor.call(comm.prepare_epr, actor.spare, following, self.tag + place))
        if self.kind == "unsend" and place == 0:
            return actor.refuse("Deadlock", lambda: actor.call(comm.unsend, actor.operand(expect[0]), following, expect[1]))
        if self.kind == "barrier" and place == 0:
            return actor.refuse("Deadlock", lambda: actor.call(comm.barrier))
        return actor.refuse("Deadlock", lambda: actor.call(comm.recv, None, following, self.tag))
