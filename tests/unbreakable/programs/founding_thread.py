"""All of rank 0's calls are made in a thread that ends before the process does: the rank has left, and has not died. Started by
test_interrupts.py."""

from __future__ import annotations

import threading
import time

from reports import attempt, report

import qmpi


def program() -> None:
    comm = qmpi.COMM_WORLD
    q = comm.alloc(1)
    if comm.rank == 0:
        comm.send_move(q, 1)
        return
    comm.recv_move(source=0)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:  # for many calls after the thread has ended
        qmpi.h(q)
        qmpi.measure(q)
    report("goes on", **attempt(lambda: comm.recv(source=0)))


if qmpi.COMM_WORLD.rank == 0:
    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    time.sleep(2.0)
else:
    program()
