"""Ranks that others wait for, and that do something else meanwhile: nobody may be told of a deadlock. Started by test_deadlock.py.

Ranks 0 and 2 wait while rank 1 is busy; then it answers. `calm.py [CASE…]`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from reports import attempt, meet, report

import qmpi

BUSY_S = 1.0
SLEEP_S = 3.0

if qmpi.COMM_WORLD.rank == 1:
    time.sleep(BUSY_S)  # it has not even founded yet, which others need not know
world = qmpi.COMM_WORLD
world.alloc(1)


def sleeps(comm: qmpi.Comm) -> None:
    time.sleep(SLEEP_S)


def polls(comm: qmpi.Comm) -> None:
    request = comm.irecv(source=1, tag=77)
    end = time.monotonic() + BUSY_S
    while time.monotonic() < end and not request.test():
        pass
    request.cancel()


def computes(comm: qmpi.Comm) -> None:
    end, q = time.monotonic() + BUSY_S, comm.alloc(16)
    while time.monotonic() < end:
        qmpi.h(q)
        for k in range(15):
            qmpi.cx(q[k], q[k + 1])
    qmpi.reset(q)


def computes_in_one_long_call(comm: qmpi.Comm) -> None:
    q = comm.alloc(21)
    for k in range(1000):  # in the buffer until the measurement
        qmpi.rx(0.1, q[k % 21])
        qmpi.cx(q[k % 21], q[(k + 1) % 21])
    qmpi.reset(q)


def sits_in_classical_mpi(comm: qmpi.Comm) -> None:
    """Rank 2, which sends to it, sleeps in the meantime."""
    comm.mpi.recv(source=2)


def has_closed_another_communicator(comm: qmpi.Comm) -> None:
    other.close()
    time.sleep(BUSY_S)


BUSY: list[Callable[[qmpi.Comm], None]] = [
    sleeps,
    polls,
    computes,
    computes_in_one_long_call,
    sits_in_classical_mpi,
    has_closed_another_communicator,
]


def waits_and_answers(comm: qmpi.Comm, busy: Callable[[qmpi.Comm], None]) -> None:
    """Rank 0 waits for rank 1, and rank 2 for rank 0; then two for anybody, which is what others wait for, too."""
    if comm.rank == 1:
        busy(comm)
        comm.send_move(comm.alloc(1), 0)
        return
    if comm.rank == 2 and busy is sits_in_classical_mpi:
        time.sleep(BUSY_S)
        comm.mpi.send(None, 1)
    peer = 2 - comm.rank
    comm.free(comm.recv_move(source=1 if comm.rank == 0 else 0))
    if comm.rank == 0:
        comm.send_move(comm.alloc(1), peer)
        comm.free(comm.recv_move())
        comm.send_move(comm.alloc(1), peer)
    else:
        comm.send_move(comm.alloc(1), peer)
        comm.free(comm.recv_move())


def late_one(comm: qmpi.Comm) -> None:
    """Has come late to the founding: above."""


report("late", **attempt(lambda: waits_and_answers(world, late_one)))
other = world.dup()
for busy in BUSY:
    if not sys.argv[1:] or busy.__name__ in sys.argv[1:]:
        report(busy.__name__, **attempt(lambda busy=busy: waits_and_answers(world, busy)))
        meet(busy.__name__)
