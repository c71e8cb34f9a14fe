"""A GHZ state (|0…0⟩+|1…1⟩)/√2 over all ranks, made by copies along the chain.

    mpiexec -n 4 python examples/ghz.py

A copy is a fan-out, a|0⟩+b|1⟩ → a|00⟩+b|11⟩, for 1 EPR pair and 1 classical bit. Each rank copies what it got from its left
neighbour to its right one, so that N ranks cost N-1 of each; the measurement is collective and goes in rank order.
"""

from arguments import Arguments

import qmpi
from qmpi import h

parser = Arguments(__doc__)
parser.parse_args()

comm = qmpi.COMM_WORLD
q = comm.alloc()

if comm.rank == 0:
    h(q)
else:
    comm.recv(q, source=comm.rank - 1)
if comm.rank + 1 < comm.size:
    comm.send(q, dest=comm.rank + 1)

outcomes = comm.measure(q)
spent = comm.ledger.total()
if comm.rank == 0:
    print("ranks measured", *(bits[0] for bits in outcomes))
    print(f"{spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")
