"""The first use of COMM_WORLD is an argument of another use, fetched before it. Started by test_starts.py."""

from __future__ import annotations

import qmpi

comm = qmpi.COMM_WORLD
receive = comm.recv_move
if comm.rank == 0:
    comm.send_move(comm.alloc(1), 1)
else:
    comm.free(receive(source=0))
comm.barrier()
print(f"rank {comm.rank} done\n", end="")
