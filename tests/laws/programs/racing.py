"""Two ranks race to measure halves of entangled pairs; each prints its outcomes. `racing.py RANK`: that rank comes second, by far.
Started by test_order.py."""

import sys
import time

import qmpi

PAIRS = 40

comm = qmpi.COMM_WORLD
outcomes = []
for _ in range(PAIRS):
    q = comm.alloc(1)
    comm.prepare_epr(q, 1 - comm.rank)
    qmpi.ry(0.7 * (comm.rank + 1), q)
    comm.mpi.barrier()
    if sys.argv[1:] == [str(comm.rank)]:
        time.sleep(0.005)
    outcomes.append(qmpi.measure(q[0]))
for rank in range(comm.size):
    comm.mpi.barrier()
    if rank == comm.rank:
        print(f"rank {rank}: {''.join(map(str, outcomes))}", flush=True)
