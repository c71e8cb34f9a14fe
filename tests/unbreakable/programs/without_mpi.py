"""A process in which mpi4py cannot be imported: ranks as threads work, MPI's world says what to install. Started by test_starts.py."""

from __future__ import annotations

import sys

sys.modules["mpi4py"] = None  # type: ignore[assignment]  # import raises ImportError

from reports import attempt, report  # noqa: E402

import qmpi  # noqa: E402


def program() -> int:
    comm = qmpi.COMM_WORLD
    q = comm.alloc(1)
    if comm.rank == 0:
        qmpi.x(q)
        comm.send_move(q, 1)
    else:
        q = comm.recv_move(source=0)
    return int(comm.mpi.allgather(qmpi.measure(q[0]))[1])


report("threads", by=0, returned=qmpi.run(program, 2))
for name in ("rank", "alloc"):
    report(name, by=0, **attempt(lambda name=name: getattr(qmpi.COMM_WORLD, name)(1)))
report("threads again", by=0, returned=qmpi.run(lambda: qmpi.COMM_WORLD.rank, 3))
