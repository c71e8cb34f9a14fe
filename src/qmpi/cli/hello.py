"""The smallest quantum program of two ranks: a pair is shared and measured. `qmpi doctor` runs it to see whether a world works."""

import qmpi
from qmpi import h

comm = qmpi.COMM_WORLD
if comm.size == 1:
    print("alone")
else:
    q = comm.alloc()
    if comm.rank == 0:
        h(q)
        comm.send(q, dest=1)
    elif comm.rank == 1:
        q = comm.recv(source=0)
    outcomes = comm.measure(q)
    if comm.rank == 0:
        print("together" if outcomes[0] == outcomes[1] else f"apart: {outcomes}")
