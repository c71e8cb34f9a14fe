"""Random programs that cannot deadlock: `right.py FIRST COUNT` runs so many, one after the other, with what each drew from its number.

Their steps have one global order, in which every rank takes its part, and what a rank waits for is the other part of the same step; no
mailbox can become full. In some, ranks sleep so long that the others show what they wait for; in every other one they show it at once.
Started by test_deadlock.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from reports import poll, report

import qmpi
from qmpi.runtime import watch

SLEEPY = 8  # one program of so many
STEPS = 24

comm = qmpi.COMM_WORLD
twin, wild = comm.dup(), comm.dup()
rank, size = comm.rank, comm.size
now: list[Callable[[], object]] = []  # this rank's part of what has begun: its requests


def message(rng: np.random.Generator, tag: int) -> None:
    """A move from one rank to another (or itself), blocking or not on each side; at once or while other steps go on."""
    source, dest = (int(number) for number in rng.integers(size, size=2))
    where = (comm, twin)[rng.integers(2)]
    sender, receiver = str(rng.choice(["send", "isend"])), str(rng.choice(["recv", "irecv", "poll"]))
    source_is_known = bool(rng.integers(2))
    if source == dest:
        sender, receiver = "isend", "irecv"
    origin = source if source_is_known else qmpi.ANY_SOURCE
    if rank == source:
        q = where.alloc(1)
        qmpi.x(q)
        if sender == "send":
            where.send_move(q, dest, tag)
        else:
            now.append(where.isend_move(q, dest, tag).wait)
    if rank == dest:
        if receiver == "recv":
            taken = where.recv_move(source=origin, tag=tag)
            assert qmpi.measure(taken[0]) == 1
        else:
            request = where.irecv_move(source=origin, tag=tag)
            now.append(request.wait if receiver == "irecv" else lambda: poll(request))


def wildcard(rng: np.random.Generator, tag: int) -> None:
    """Anything from anybody, in a communicator in which all receive so."""
    source, dest = (int(number) for number in rng.integers(size, size=2))
    if rank == source:
        wild.send_move(wild.alloc(1), dest, tag)
    if rank == dest:
        wild.recv_move()


def copy(rng: np.random.Generator, tag: int) -> None:
    source, dest = (int(number) for number in rng.choice(size, 2, replace=False))
    in_a_block, holder_first = rng.integers(2, size=2)
    if rank == source:
        q = comm.alloc(1)
        qmpi.h(q)
        if in_a_block:
            with comm.send(q, dest, tag):
                pass
        else:
            comm.send(q, dest, tag)
            if holder_first:
                comm.recv_move(source=dest, tag=tag)
            comm.unsend(q)
    if rank == dest:
        taken = comm.recv(source=source, tag=tag)
        comm.unrecv(taken)
        if holder_first and not in_a_block:
            comm.send_move(comm.alloc(1), source, tag)


def pair(rng: np.random.Generator, tag: int) -> None:
    ranks = [int(number) for number in rng.choice(size, 2, replace=False)]
    if rank in ranks:
        twin.prepare_epr(twin.alloc(1), sum(ranks) - rank, tag)


def together(rng: np.random.Generator, tag: int) -> None:
    (comm, twin)[rng.integers(2)].barrier()


def measured(rng: np.random.Generator, tag: int) -> None:
    q = comm.alloc(1)
    if rng.integers(2):
        qmpi.x(q)
    assert len({int(row) for row in comm.measure(q)}) == 1


def end_some(rng: np.random.Generator, tag: int) -> None:
    requests, now[:] = now[:], []
    for request in requests:
        request()


KINDS = [message] * 5 + [wildcard, copy, pair, together, measured, end_some, end_some]

usual = watch.SLICE_S
first, count = map(int, sys.argv[1:])
for number in range(first, first + count):
    rng = np.random.default_rng([13, size, number])
    watch.SLICE_S = usual if number % 2 else 0.002
    sleeps = number % SLEEPY == 0
    for step in range(STEPS):
        if sleeps and rng.integers(STEPS) == 0:
            pause, who = float(rng.uniform(0.11, 0.35)), int(rng.integers(size))
            if rank == who:
                time.sleep(pause)
        KINDS[rng.integers(len(KINDS))](rng, step)
    end_some(rng, 0)
    qmpi.COMM_WORLD.barrier()
report("right", programs=count)
