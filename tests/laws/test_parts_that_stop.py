"""A part of a collective that stops in front of a fence leaves nothing undone: somebody else may go on with it."""

from __future__ import annotations

import numpy as np
import pytest

import qmpi
from qmpi import cx, h, ry, testing

REPETITIONS = 8


@pytest.mark.ranks(min_size=3)
def test_gates_in_front_of_a_fence_are_there_when_another_rank_goes_on(comm: qmpi.Comm) -> None:
    with testing.plan_from(comm, 2):
        q, spectator = comm.alloc(1), comm.alloc(1)
        ry(0.3 + comm.rank, q)
        h(spectator)
        cx(spectator, q)
        before = comm.statevector(q + spectator)
        for _ in range(REPETITIONS):  # MIN's inverse begins with gates that need nothing of what has not come yet
            with comm.reduce(q, op=qmpi.MIN):
                pass
            assert np.abs(comm.statevector(q + spectator) - before).max() < 1e-5
        qmpi.reset(q + spectator)
        comm.free(q + spectator)
