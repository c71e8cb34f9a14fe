"""Sessions without MPI: several ranks of one private arena, all driven by one thread."""

from collections.abc import Callable

import numpy as np
import pytest

from qmpi._core import Arena, Session
from qmpi.runtime.windows import joint_state

Ranks = Callable[..., tuple[list[Session], Arena]]


@pytest.fixture
def ranks() -> Ranks:
    """`ranks(count, memory=…, faithful=…, …)` founds an arena; returns its sessions and the arena."""

    def found(count=1, *, memory=1 << 28, faithful=False, single_precision=False, seed=1, epr_buffer=64):
        arena = Arena.create(count, seed, faithful, single_precision, memory, epr_buffer)
        return [Session(arena, rank) for rank in range(count)], arena

    return found


def state(sessions: list[Session], registers: list[tuple]) -> np.ndarray:
    """The joint amplitudes of one register per session, the first qubit of the first least significant."""
    for session in sessions:
        session.flush()
    ids = [name for session, register in zip(sessions, registers, strict=True) for name in session.ids(register)]
    return joint_state(sessions[0].snapshot(ids), ids, 1e-5)
