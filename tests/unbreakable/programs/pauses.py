"""Rank 0 is stopped for a while, in the middle of something that others wait for, and goes on: that only delays.

`pauses.py CASE`. Started by test_death.py.
"""

from __future__ import annotations

import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from reports import attempt, report, signals

import qmpi

STOPPED_AFTER_S, STOPPED_FOR_S = 0.4, 2.2
WORKS_FOR_S = STOPPED_AFTER_S + STOPPED_FOR_S + 0.4

case = sys.argv[1]
signal.signal(signal.SIGCONT, lambda *_: report("stopped", went_on=True))
comm = qmpi.COMM_WORLD
own = comm.alloc(2)


def until(end: float, call: Callable[[], object]) -> None:
    while time.monotonic() < end:
        call()


def computes() -> None:
    qmpi.h(own)
    qmpi.measure(own)


def rank_0() -> None:
    end = time.monotonic() + WORKS_FOR_S
    if case == "in a kernel":
        big = comm.alloc(20)
        qmpi.h(big[0])
        for k in range(19):
            qmpi.cx(big[0], big[k + 1])
        comm.send(big[0], 1)
        signals(("STOP", STOPPED_AFTER_S), ("CONT", STOPPED_FOR_S))
        until(end, lambda: (qmpi.h(big), qmpi.probability(big[1])))
        comm.unsend(big[0])
    elif case == "asleep":
        signals(("STOP", STOPPED_AFTER_S), ("CONT", STOPPED_FOR_S))
        time.sleep(WORKS_FOR_S)
    else:
        signals(("STOP", STOPPED_AFTER_S), ("CONT", STOPPED_FOR_S))
        comm.recv_move(source=3)
    for peer in (2, 3):
        comm.send_move(comm.alloc(1), peer, tag=2)


def others() -> None:
    if comm.rank == 1 and case == "in a kernel":
        copy = comm.recv(source=0)
        until(time.monotonic() + WORKS_FOR_S, lambda: qmpi.probability(copy[0]))
        comm.unrecv(copy)
    elif comm.rank == 1 and case == "as a helper":
        big = comm.alloc(21)
        qmpi.h(big)
        for k in range(20):
            qmpi.cx(big[k], big[k + 1])
        until(time.monotonic() + WORKS_FOR_S, lambda: (qmpi.ry(0.1, big), qmpi.probability(big[1])))
    elif comm.rank == 1:
        until(time.monotonic() + WORKS_FOR_S, computes)
    elif comm.rank == 2:
        comm.recv_move(source=0, tag=2)
    elif case in ("in a receive", "as a helper"):
        time.sleep(STOPPED_AFTER_S + 0.5)  # the message comes while its receiver is stopped
        comm.send_move(own[0], 0)
        comm.recv_move(source=0, tag=2)
    else:
        request = comm.irecv_move(source=0, tag=2)
        while not request.test():
            computes()


def random_messages() -> None:
    """With many short stops, so now and then with a lock of the arena held."""
    if comm.rank == 0:
        signals(*[(name, delay) for delay in (0.03, 0.11, 0.017, 0.23, 0.07, 0.013) for name in ("STOP", "CONT")])
    sys.argv[1:] = ["0", "60"]
    runpy.run_path(str(Path(__file__).with_name("right.py")))


comm.barrier()
report(case, **attempt(random_messages if case == "at any moment" else rank_0 if comm.rank == 0 else others))
report("together", **attempt(comm.barrier))
