"""The parity of all ranks' qubits, measured without measuring any of them: a stabiliser spread over ranks.

    mpiexec -n 4 python examples/parity.py

Each rank brings |+⟩. `reduce` makes their parity in a qubit of rank 0, which measures it; `unreduce`, at the end of the block, takes back
the copies that wait on the ranks between. What is left is a superposition of all bit strings of that parity. N-1 EPR pairs, 2(N-1) bits.
"""

from arguments import Arguments

import qmpi
from qmpi import h, measure

parser = Arguments(__doc__)
parser.parse_args()

comm = qmpi.COMM_WORLD
q = comm.alloc()
h(q)
with comm.reduce(q, op=qmpi.PARITY, root=0) as result:  # a register on rank 0, empty elsewhere
    parity = comm.mpi.bcast(measure(result[0]) if comm.rank == 0 else None, root=0)
spent = comm.ledger.total()
outcomes = [bits[0] for bits in comm.measure(q)]
if comm.rank == 0:
    agrees = "as it must" if sum(outcomes) % 2 == parity else "which is wrong"
    print(f"parity {parity}; the ranks then measured", *outcomes, f"of parity {sum(outcomes) % 2}, {agrees}")
    print(f"{spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")
