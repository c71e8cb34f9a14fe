"""Ctrl-C in every kind of wait: one of two ranks is sent SIGINT, catches the KeyboardInterrupt, and both go on. Started by
test_interrupts.py.

`interrupts.py [CASE…]`. Each case is what a rank does until it is interrupted (`interrupted`) and, once they have met, what shows that
nothing of it is left behind.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from reports import attempt, let_go_on, meet, report, signals, stop

import qmpi

S = 64  # unreceived qubits that wait per receiver
AFTER_S = 0.25

comm = qmpi.COMM_WORLD
rank = comm.rank
q = comm.alloc(2)
Case = Callable[[], Iterator[None]]
CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def interrupted(call: Callable[[], Any]) -> None:
    """Makes a call that does not end by itself."""
    signals(("INT", AFTER_S))
    report(now, **attempt(call))


def one(bit: int = 1) -> qmpi.Register:
    q = comm.alloc(1)
    if bit:
        qmpi.x(q)
    return q


def holds(**facts: bool) -> None:
    report(now, **facts)


# --- each ends its first part at `yield`; then all meet --------------------------------------------------------------------------------


@case
def receive() -> Iterator[None]:
    if rank == 0:
        interrupted(lambda: comm.recv_move(source=1, tag=5))
    yield
    if rank == 0:
        holds(withdrawn=qmpi.measure(comm.recv_move(source=1, tag=5)[0]) == 1)
    else:
        comm.send_move(one(), 0, tag=5)


@case
def receive_from_anybody_into_a_target() -> Iterator[None]:
    target = comm.alloc(1)
    if rank == 0:
        interrupted(lambda: comm.recv_move(target))
        qmpi.x(target)  # it is free again
        qmpi.x(target)
    yield
    if rank == 0:
        holds(withdrawn=qmpi.measure(comm.recv_move(target)[0]) == 1)
    else:
        comm.send_move(one(), 0)


@case
def send_to_a_full_mailbox() -> Iterator[None]:
    if rank == 0:
        for k in range(S):
            comm.send_move(one(k % 3 == 0), 1, tag=2)
        last = one()
        interrupted(lambda: comm.send_move(last, 1, tag=2))
        qmpi.x(last)
        comm.free(last)
    yield
    if rank == 1:
        bits = [qmpi.measure(comm.recv_move(source=0, tag=2)[0]) for _ in range(S)]
        holds(received=bits == [k % 3 == 0 for k in range(S)], withdrawn=comm.irecv_move(source=0, tag=2).cancel())


@case
def unsend() -> Iterator[None]:
    copy = mine = one()
    if rank == 0:
        comm.send(mine, 1)
        interrupted(lambda: comm.unsend(mine))
    else:
        copy = comm.recv(source=0)
    yield
    if rank == 0:
        comm.unsend(mine)
        holds(undone=qmpi.measure(mine[0]) == 1)
    else:
        comm.unrecv(copy)


@case
def prepare_epr() -> Iterator[None]:
    half = comm.alloc(1)
    if rank == 0:
        interrupted(lambda: comm.prepare_epr(half, 1))
    yield
    comm.prepare_epr(half, 1 - rank)
    holds(paired=len({int(row) for row in comm.measure(half)}) == 1)


@case
def barrier() -> Iterator[None]:
    if rank == 0:
        interrupted(comm.barrier)
    yield
    holds(together=[int(row) for row in comm.measure(one(rank))] == [0, 1])


@case
def barrier_after_its_message_is_sent() -> Iterator[None]:
    if rank == 1:
        interrupted(comm.barrier)
    yield
    holds(together=[int(row) for row in comm.measure(one(rank))] == [0, 1])


@case
def its_turn_in_measuring() -> Iterator[None]:
    mine = one(rank)
    if rank == 1:
        interrupted(lambda: comm.measure(mine))
    yield
    holds(together=[int(row) for row in comm.measure(mine)] == [0, 1])


@case
def request() -> Iterator[None]:
    """What it waited for is still posted."""
    if rank == 0:
        request = comm.irecv_move(source=1, tag=6)
        interrupted(request.wait)
    yield
    if rank == 0:
        holds(posted=qmpi.measure(request.wait()[0]) == 1)
    else:
        comm.send_move(one(), 0, tag=6)


@case
def lock_of_a_component() -> Iterator[None]:
    """Rank 1 is stopped in the middle of a kernel on it."""
    if rank == 1:
        big = comm.alloc(20)
        qmpi.h(big[0])
        for k in range(19):
            qmpi.cx(big[0], big[k + 1])
        comm.send(big[0], 0)
        stop(after_s=0.2)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            qmpi.rz(0.1, big)
            qmpi.probability(big[0])
    else:
        copy = comm.recv(source=1)
        time.sleep(0.5)
        interrupted(lambda: qmpi.measure(copy))
        let_go_on(1)
    yield
    holds(measured=len({int(row) for row in comm.measure(copy if rank == 0 else big[0])}) == 1)


@case
def deadlock_that_the_other_cannot_hear_of() -> Iterator[None]:
    """Rank 1 is stopped while it waits for rank 0, which then waits for it."""
    if rank == 1:
        stop(after_s=0.3)
        report(now, knot=attempt(lambda: comm.recv(source=0, tag=3))["error"])
    else:
        time.sleep(0.5)
        interrupted(lambda: comm.recv(source=1, tag=3))
        let_go_on(1)
        time.sleep(0.5)  # until it hears of it, or could
    yield
    if rank == 0:
        comm.send(q[0], 1, tag=3)
        comm.unsend(q[0])
    else:
        comm.unrecv(comm.recv(source=0, tag=3))


@case
def many_gates_of_its_own() -> Iterator[None]:
    """Those that are not applied yet stay in the buffer."""
    big = comm.alloc(22 if rank == 0 else 1)

    def computes() -> None:
        while True:
            for k in range(21):
                qmpi.ry(0.1, big[k])
                qmpi.cx(big[k], big[k + 1])

    if rank == 0:
        interrupted(computes)
        comm.discard_pending()
    yield
    qmpi.reset(big)
    comm.free(big)


@case
def loop_in_python() -> Iterator[None]:
    def spins() -> None:
        while True:
            pass

    if rank == 0:
        interrupted(spins)
    yield


@case
def sleep() -> Iterator[None]:
    if rank == 0:
        interrupted(lambda: time.sleep(600))
    yield


@case
def between_calls() -> Iterator[None]:
    def calls() -> None:
        while True:
            other = comm.alloc(1)
            qmpi.h(other)
            qmpi.measure(other)
            comm.free(other)

    if rank == 0:
        interrupted(calls)
    yield


# --- all cases ------------------------------------------------------------------------------------------------------------------------


def talk() -> None:
    if rank == 0:
        comm.send_move(one(), 1)
        comm.free(comm.recv_move(source=1))
    else:
        came = comm.recv_move(source=0)
        comm.send_move(comm.alloc(1), 0)
        assert qmpi.measure(came[0]) == 1
    comm.barrier()


signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever started this ignores it
for function in CASES:
    now = function.__name__
    if sys.argv[1:] and now not in sys.argv[1:]:
        continue
    steps = function()
    next(steps)
    meet(now)
    report(now, afterwards=attempt(lambda steps=steps: next(steps, None))["text"])
    report(now, talk=attempt(talk)["text"])
