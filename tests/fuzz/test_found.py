"""What the fuzzer found, as far as it has no better place: tests/laws/test_given_up.py and tests/unit/test_threads.py have the rest."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import qmpi
from qmpi import testing
from qmpi.errors import WaitTimeout

ROUNDS = 1500
AN_INSTANT_S = 1e-4


@pytest.fixture
def hectic() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def hastily(comm: qmpi.Comm, call: Callable[[], object]) -> object:
    """The call, tried again and again with hardly any patience; one that is answered late enough is lost for good."""
    end = time.monotonic() + 5
    with testing.timeout(comm, AN_INSTANT_S):
        while True:
            try:
                return call()
            except WaitTimeout:
                assert time.monotonic() < end, "what was answered in the moment of the time-out never came"


def receives(comm: qmpi.Comm, dawdle: Callable[[], None]) -> None:
    if comm.rank == 0:
        q = comm.alloc()
        dawdle()
        comm.send_move(q, 1)
    else:
        q = hastily(comm, lambda: comm.recv_move(source=0))
    comm.free(q)


def undoes(comm: qmpi.Comm, dawdle: Callable[[], None]) -> None:
    if comm.rank == 0:
        q = comm.recv(source=1)
        dawdle()
        comm.unrecv(q)
    else:
        q = comm.alloc()
        comm.send(q, 0)
        hastily(comm, lambda: comm.unsend(q))
    comm.free(q)


def meets(comm: qmpi.Comm, dawdle: Callable[[], None]) -> None:
    q = comm.alloc()
    if comm.rank == 0:
        dawdle()
        comm.prepare_epr(q, 1)
    else:
        hastily(comm, lambda: comm.prepare_epr(q, 0))
    qmpi.reset(q)
    comm.free(q)


@pytest.mark.parametrize("act", [receives, undoes, meets])
def test_what_is_answered_in_the_moment_of_its_time_out_counts(act: Callable[..., None], hectic: None) -> None:
    def rounds() -> int:
        comm, rng = qmpi.COMM_WORLD.dup(), random.Random(1)
        for _ in range(ROUNDS):
            act(comm, lambda: time.sleep(3 * AN_INSTANT_S * rng.random()))
        comm.barrier()
        return comm.store_report().qubits

    assert qmpi.run(rounds, 2, seed=1) == [0, 0]
