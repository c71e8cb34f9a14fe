"""Rank 0 is killed from outside while it does something; what the others' calls raise then. Started by test_death.py.

`deaths.py CASE`: what rank 0 does, or, for cases that begin with "alone", what the only other rank does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from reports import attempt, here, report, signals

import qmpi

KILLED_AFTER_S = 0.6
ENOUGH_S = 20.0  # by then a test has failed

case = sys.argv[1]
comm = qmpi.COMM_WORLD
rank = comm.rank
own = comm.alloc(3)
pending = comm.irecv(source=0, tag=99)


def for_long(call: Callable[[], Any], pause_s: float = 0.0) -> None:
    """Again and again."""
    end = time.monotonic() + ENOUGH_S
    while time.monotonic() < end:
        call()
        time.sleep(pause_s)


def computes() -> None:
    """On this rank's own few qubits."""
    qmpi.h(own)
    qmpi.cx(own[0], own[1])
    qmpi.measure(own)


# --- what rank 0 does, and what is prepared for it ------------------------------------------------------------------------------------


def in_a_kernel() -> dict[int, Callable[[], Any]]:
    """The others: one waits for the lock of its component, one for its message, one for nobody."""
    if rank == 0:
        big = comm.alloc(24)
        qmpi.h(big[0])
        for k in range(23):
            qmpi.cx(big[0], big[k + 1])
        comm.send(big[0], 1)
        due = signals(("KILL", KILLED_AFTER_S))
        report(case, due=due)
        for_long(lambda: qmpi.h(big))
    shared = comm.recv(source=0) if rank == 1 else own
    return {1: lambda: for_long(lambda: qmpi.probability(shared[0])), 2: lambda: comm.recv(source=0), 3: lambda: for_long(computes)}


def asleep() -> dict[int, Callable[[], Any]]:
    if rank == 0:
        qmpi.measure(own)
        report(case, due=signals(("KILL", KILLED_AFTER_S)))
        time.sleep(ENOUGH_S)
    return {1: lambda: comm.recv(source=0), 2: lambda: comm.barrier(), 3: lambda: for_long(computes)}


def in_a_receive() -> dict[int, Callable[[], Any]]:
    """The others wait for it in a chain, but for one, which it waits for."""
    if rank == 0:
        report(case, due=signals(("KILL", KILLED_AFTER_S)), line=f"recv(source=3, tag=5) at {here()}")  # both on one line
        comm.recv(source=3, tag=5), here()
    return {1: lambda: comm.recv(source=0), 2: lambda: comm.recv(source=1), 3: lambda: for_long(computes)}


def while_all_wait_for_it() -> dict[int, Callable[[], Any]]:
    if rank == 0:
        comm.recv(source=1)
        report(case, due=signals(("KILL", KILLED_AFTER_S)))
        time.sleep(ENOUGH_S)
    if rank == 1:
        comm.send(own[0], 0)
    request = comm.irecv(source=0, tag=7)
    return {1: lambda: comm.unsend(own[0]), 2: lambda: comm.prepare_epr(own, 0), 3: lambda: request.wait()}


def with_messages_on_the_way() -> dict[int, Callable[[], Any]]:
    """It has sent some and received none; who comes late finds it dead all the same."""

    def comes_late() -> None:
        time.sleep(KILLED_AFTER_S + 0.5)
        comm.recv(source=0, tag=1)

    if rank == 0:
        for peer in (1, 2, 3):
            comm.send(own[peer - 1], peer, tag=1)
        report(case, due=signals(("KILL", KILLED_AFTER_S)))
        time.sleep(ENOUGH_S)
    comm.send(own[0], 0, tag=2)
    return {1: lambda: comm.recv(source=2), 2: lambda: for_long(computes), 3: comes_late}


# --- what the only other rank does ----------------------------------------------------------------------------------------------------


def alone() -> dict[int, Callable[[], Any]]:
    """Nobody waits or computes for long, so that nobody is bound to look."""
    if rank == 0:
        report(case, due=signals(("KILL", KILLED_AFTER_S)))
        time.sleep(ENOUGH_S)
    calls: dict[str, Callable[[], Any]] = {
        "alone it polls": pending.test,
        "alone it applies gates": lambda: qmpi.h(own[0]),
        "alone it measures": lambda: qmpi.measure(own[0]),
        "alone it allocates": lambda: comm.free(comm.alloc(1)),
        "alone it looks": lambda: qmpi.probability(own[0]),
        "alone it sends": lambda: comm.isend_move(comm.alloc(1), 1).test(),
    }
    return {1: lambda: for_long(calls[case], 0.01)}


PREPARE = {
    "in a kernel": in_a_kernel,
    "asleep": asleep,
    "in a receive": in_a_receive,
    "while all wait for it": while_all_wait_for_it,
    "with messages on the way": with_messages_on_the_way,
}
does = PREPARE.get(case, alone)()[rank]
report(case, **attempt(does))
later: dict[str, Callable[[], Any]] = {
    "alloc": lambda: comm.alloc(1),
    "free": lambda: comm.free(own[2]),
    "gate": lambda: qmpi.h(own[2]),
    "measure": lambda: qmpi.measure(own[2]),
    "reset": lambda: qmpi.reset(own[2]),
    "probability": lambda: qmpi.probability(own[2]),
    "expectation": lambda: qmpi.expectation("ZZZ", own),
    "send": lambda: comm.send(own[2], 1),
    "isend": lambda: comm.isend(own[2], 1),
    "recv": lambda: comm.recv(),
    "irecv": lambda: comm.irecv(),
    "wait": lambda: pending.wait(),
    "test": lambda: pending.test(),
    "prepare_epr": lambda: comm.prepare_epr(comm.alloc(1), 0),
    "barrier": lambda: comm.barrier(),
    "all measure": lambda: comm.measure(own),
    "statevector": lambda: comm.statevector(own),
    "store_report": lambda: comm.store_report(),
}
report("afterwards", **{name: attempt(call)["error"] for name, call in later.items()})
