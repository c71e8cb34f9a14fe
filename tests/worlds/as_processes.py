"""Ranks as processes: each runs the same laws in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import qmpi


@pytest.fixture
def comm() -> Iterator[qmpi.Comm]:
    """A communicator of all ranks; owes nothing when it is closed."""
    comm = qmpi.COMM_WORLD.dup()
    yield comm
    comm.close()
    qmpi.COMM_WORLD.mpi.Barrier()
