"""Rank 0 starts another thread, whose calls are refused, and goes on. Started by test_interrupts.py."""

from __future__ import annotations

import threading

from calls import errors
from reports import attempt, report

import qmpi

comm = qmpi.COMM_WORLD
own = comm.alloc(3)
pending = comm.irecv(source=comm.rank, tag=99)
founded = comm.dup()


def other_thread() -> None:
    report("objects", by=100, **errors(founded, own, pending))
    report("COMM_WORLD", by=100, **{name: attempt(call)["error"] for name, call in through_comm_world.items()})


through_comm_world = {
    "alloc": lambda: qmpi.COMM_WORLD.alloc(1),
    "barrier": lambda: qmpi.COMM_WORLD.barrier(),
    "recv": lambda: qmpi.COMM_WORLD.recv(),
    "dup": lambda: qmpi.COMM_WORLD.dup(),
    "ledger": lambda: qmpi.COMM_WORLD.ledger.total(),
    "wrap": lambda: qmpi.Comm(founded.mpi),
}
if comm.rank == 0:
    thread = threading.Thread(target=other_thread, daemon=True)
    thread.start()
    thread.join(20)
    report("thread", ended=not thread.is_alive())
    comm.send_move(comm.alloc(1), 1)
else:
    comm.recv_move(source=0)
report("together", **attempt(comm.barrier))
