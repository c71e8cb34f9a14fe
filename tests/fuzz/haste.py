"""Waits that are cut short: what was posted is taken back, or it was answered in the same moment and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qmpi import testing
from qmpi.errors import WaitTimeout
from tests.fuzz.inverses import Undo
from tests.fuzz.meetings import Meet
from tests.fuzz.messages import Receive, Wait
from tests.fuzz.model import Model
from tests.fuzz.steps import Step, Task, pick

if TYPE_CHECKING:
    from tests.fuzz.actor import Actor


@dataclass(frozen=True)
class Hasty(Step):
    """A step that waits, tried again and again with little patience."""

    inner: Step
    microseconds: int

    @classmethod
    def propose(cls, model: Model, rng: np.random.Generator) -> Step | None:
        inner = pick(rng, (Receive, Receive, Undo, Meet, Wait)).propose(model, rng)
        return None if inner is None else cls(inner, int(rng.integers(1, 400)))

    def enter(self, model: Model) -> Task:
        model.need(getattr(self.inner, "request", None) is None or isinstance(self.inner, Wait))
        model.need(not (isinstance(self.inner, Undo) and self.inner.exits))  # a block whose end fails has given its operation up
        task = self.inner.enter(model)
        return Task(self, task.ranks, task.effects, task.expect)

    def act(self, actor: Actor, expect: Any) -> None:
        requests = dict(actor.requests)
        with testing.timeout(actor.comms[0], self.microseconds / 1e6):
            while True:
                try:
                    return self.inner.act(actor, expect)
                except WaitTimeout:
                    actor.requests = dict(requests)  # a wait has taken its request out
