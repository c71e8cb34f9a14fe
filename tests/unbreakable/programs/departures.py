"""Waiting for a rank that has left: rank 2 leaves first, then rank 1, which rank 0 waits for. Each reports what its calls raise.
Started by test_deadlock.py."""

from __future__ import annotations

from reports import attempt, here, meet, report

import qmpi

S = 64  # unreceived qubits that wait per receiver

comm = qmpi.COMM_WORLD
q = comm.alloc(1)


def one() -> qmpi.Register:
    q = comm.alloc(1)
    qmpi.x(q)
    return q


def waits_for_rank_2() -> None:
    report("receive", **attempt(lambda: comm.recv(source=2, tag=9)), where=here())
    report("prepare", **attempt(lambda: comm.prepare_epr(q, 2)), where=here())
    request = comm.irecv(source=2, tag=8)
    report("request", **attempt(lambda: request.wait()), where=here())
    report("request", cancelled=request.cancel())
    comm.send(q, 2)
    report("unsend", **attempt(lambda: comm.unsend(q)), where=here())
    qmpi.reset(q)
    for _ in range(S - 1):
        comm.send_move(comm.alloc(1), 2)
    report("full mailbox", **attempt(lambda: comm.send_move(q, 2, tag=6)), where=here())
    report("still mine", **attempt(lambda: qmpi.x(q)))


if comm.rank == 2:
    comm.send_move(one(), 1, tag=3)
    comm.send(one(), 1, tag=4)
    meet("sent")
elif comm.rank == 1:
    meet("sent")
    waits_for_rank_2()
    moved, copy = comm.recv_move(source=2, tag=3), comm.recv(source=2, tag=4)
    report("sent before it left", bits=[qmpi.measure(moved[0]), qmpi.measure(copy[0])])
    comm.send_move(one(), 0)
else:
    meet("sent")
    report("answered", bit=qmpi.measure(comm.recv_move(source=1)[0]))
    report("ended", **attempt(lambda: comm.recv(source=1)), where=here())
    report("all have left", **attempt(lambda: comm.recv()), where=here())
    report("barrier", **attempt(lambda: comm.barrier()), where=here())
