"""Every rank makes many short calls at once."""

import qmpi
from qmpi import h, measure

comm = qmpi.COMM_WORLD
q = comm.alloc(3)
for _ in range(200):
    h(q)
    measure(q)
