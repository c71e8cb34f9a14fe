"""Ctrl-C while `qmpi.run` runs ranks as threads, once in every kind of wait: what the caller gets, what the ranks get, which are left.
Started by test_interrupts.py as `thread_interrupts.py [CASE…]`, not as a rank."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from reports import report, signals

import qmpi

AFTER_S = 0.25
LONG_S = 1.2  # until 24 qubits are one component, or 200 ranks have started
S = 64  # unreceived qubits that wait per receiver


def full_mailbox(comm: qmpi.Comm) -> None:
    while True:
        comm.send_move(comm.alloc(1), 1)


def unsend(comm: qmpi.Comm) -> None:
    q = comm.alloc(1)
    comm.send(q, 1)
    comm.unsend(q)


def lock_of_a_component(comm: qmpi.Comm) -> None:
    """Rank 1's gates on it follow each other at once."""
    if comm.rank == 1:
        big = comm.alloc(23)
        qmpi.h(big[0])
        for k in range(22):
            qmpi.cx(big[0], big[k + 1])
        comm.send(big[0], 0)
        while True:
            qmpi.ry(0.1, big)
    copy = comm.recv(source=1)
    while True:
        qmpi.probability(copy[0])


def spins(comm: qmpi.Comm) -> None:
    while True:
        pass


def between_calls(comm: qmpi.Comm) -> None:
    while True:
        q = comm.alloc(1)
        qmpi.h(q)
        qmpi.measure(q)
        comm.free(q)


def founding(comm: qmpi.Comm) -> None:
    """Another communicator, which rank 0 does not come to."""
    comm.dup()


def polls(comm: qmpi.Comm) -> None:
    request = comm.irecv(source=0, tag=77)
    while not request.test():
        time.sleep(0.01)


RANK_0: dict[str, Callable[[qmpi.Comm], Any]] = {
    "receive": lambda comm: comm.recv(source=1),
    "full mailbox": full_mailbox,
    "unsend": unsend,
    "prepare_epr": lambda comm: comm.prepare_epr(comm.alloc(1), 1),
    "barrier": lambda comm: comm.barrier(),
    "request": lambda comm: comm.irecv(source=1).wait(),
    "founding": polls,
    "classical receive": lambda comm: comm.mpi.recv(source=1),
    "classical barrier": lambda comm: comm.mpi.barrier(),
    "lock of a component": lock_of_a_component,
    "loop in Python": spins,
    "between calls": between_calls,
}
RANK_1 = {"lock of a component": lock_of_a_component, "founding": founding}


def interrupted(case: str, ranks: int, does: Callable[[qmpi.Comm], Any]) -> None:
    ended: dict[int, str] = {}

    def program() -> None:
        comm = qmpi.COMM_WORLD
        comm.alloc(1)
        try:
            does(comm)
        except BaseException as error:
            ended[comm.rank] = type(error).__name__  # unless it is interrupted again, right here
            raise

    signals(("INT", LONG_S if case in ("lock of a component", "many ranks") else AFTER_S))
    caught = ""
    try:
        qmpi.run(program, ranks)
    except BaseException as error:
        caught = type(error).__name__
    alive = [thread.name for thread in threading.enumerate() if thread.name.startswith("rank ")]
    report(case, by=0, caught=caught, alive=alive, ended=sorted(ended.items()))
    report(case, by=0, again=qmpi.run(lambda: int(qmpi.COMM_WORLD.measure(qmpi.COMM_WORLD.alloc(1))[0]), 2))


signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever started this ignores it
for name, function in RANK_0.items():
    if not sys.argv[1:] or name in sys.argv[1:]:
        interrupted(name, 2, lambda comm, name=name, function=function: (RANK_1.get(name, polls) if comm.rank else function)(comm))
interrupted("many ranks", 200, lambda comm: comm.barrier() if comm.rank else polls(comm))
interrupted("sleep", 2, lambda comm: polls(comm) if comm.rank else time.sleep(600))  # last: it leaves a thread behind
