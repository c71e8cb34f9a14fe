"""Rank 0 is killed from outside while it does something; what the others' calls raise then. Started by test_death.py.

`deaths.py CASE [AFTER_S]`: what rank 0 does, or, for cases that begin with "alone", what the only other rank does.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calls import errors
from reports import attempt, report, signals

import qmpi

KILLED_AFTER_S = 0.6
ENOUGH_S = 8.0  # by then a test has failed

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
        signals(("KILL", KILLED_AFTER_S))
        report(case, last="h")
        for_long(lambda: qmpi.h(big))
    shared = comm.recv(source=0) if rank == 1 else own
    return {1: lambda: for_long(lambda: qmpi.probability(shared[0])), 2: lambda: comm.recv(source=0), 3: lambda: for_long(computes)}


def as_a_helper() -> dict[int, Callable[[], Any]]:
    """It waits, and therefore takes chunks of another rank's large kernels."""
    if rank == 1:
        big = comm.alloc(23)
        qmpi.h(big)
        for k in range(22):
            qmpi.cx(big[k], big[k + 1])
    if rank == 0:

        def receives() -> None:
            comm.recv(source=3, tag=5)

        last = f"recv(source=3, tag=5) at {__file__}:{receives.__code__.co_firstlineno + 1}"
        signals(("KILL", KILLED_AFTER_S))
        report(case, last=last)
        receives()

    def layer() -> None:
        qmpi.ry(0.3, big)
        qmpi.probability(big[0])

    return {1: lambda: for_long(layer), 2: lambda: comm.recv(source=0), 3: lambda: for_long(computes)}


def asleep() -> dict[int, Callable[[], Any]]:
    if rank == 0:
        qmpi.measure(own)
        signals(("KILL", KILLED_AFTER_S))
        report(case, last="measure")
        time.sleep(ENOUGH_S)
    return {1: lambda: comm.recv(source=0), 2: lambda: comm.barrier(), 3: lambda: for_long(computes)}


def in_a_receive() -> dict[int, Callable[[], Any]]:
    """The others wait for it in a chain, but for one, which it waits for."""
    if rank == 0:

        def receives() -> None:
            comm.recv(source=3, tag=5)

        last = f"recv(source=3, tag=5) at {__file__}:{receives.__code__.co_firstlineno + 1}"
        signals(("KILL", KILLED_AFTER_S))
        report(case, last=last)
        receives()
    return {1: lambda: comm.recv(source=0), 2: lambda: comm.recv(source=1), 3: lambda: for_long(computes)}


def while_all_wait_for_it() -> dict[int, Callable[[], Any]]:
    if rank == 0:
        comm.recv(source=1)
        signals(("KILL", KILLED_AFTER_S))
        report(case, last="a receive")
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
        signals(("KILL", KILLED_AFTER_S))
        report(case, last="a send")
        time.sleep(ENOUGH_S)
    comm.send(own[0], 0, tag=2)
    return {1: lambda: comm.recv(source=2), 2: lambda: for_long(computes), 3: comes_late}


def in_a_knot() -> dict[int, Callable[[], Any]]:
    """It is stopped while it waits, so that it cannot hear of the deadlock that then comes about, and killed."""

    def completes_the_knot() -> None:
        time.sleep(KILLED_AFTER_S + 0.2)
        comm.recv(source=0, tag=3)

    if rank == 0:

        def receives() -> None:
            comm.recv(source=1, tag=3)

        last = f"recv(source=1, tag=3) at {__file__}:{receives.__code__.co_firstlineno + 1}"
        signals(("STOP", KILLED_AFTER_S), ("KILL", 0.8))
        report(case, last=last)
        receives()
    return {1: completes_the_knot}


def at_any_moment() -> dict[int, Callable[[], Any]]:
    """In the middle of random messages (programs/right.py), so now and then with a lock of the arena held."""
    comm.barrier()
    if rank == 0:
        signals(("KILL", float(sys.argv[2])))
        report(case, last="")
    sys.argv[1:] = ["0", "100000"]
    return {each: lambda: runpy.run_path(str(Path(__file__).with_name("right.py"))) for each in range(comm.size)}


# --- what the only other rank does ----------------------------------------------------------------------------------------------------


def alone() -> dict[int, Callable[[], Any]]:
    """Nobody waits or computes for long, so that nobody is bound to look."""
    if rank == 0:
        signals(("KILL", KILLED_AFTER_S))
        report(case, last="a receive")
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
    "as a helper": as_a_helper,
    "asleep": asleep,
    "in a receive": in_a_receive,
    "while all wait for it": while_all_wait_for_it,
    "with messages on the way": with_messages_on_the_way,
    "in a knot": in_a_knot,
    "at any moment": at_any_moment,
}
does = PREPARE.get(case, alone)()[rank]
report(case, **attempt(does))
report("afterwards", **errors(comm, own, pending))
