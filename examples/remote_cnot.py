"""A CNOT whose control lives on rank 0 and whose target lives on rank 1.

    mpiexec -n 2 python examples/remote_cnot.py

Rank 0 copies its control to rank 1, rank 1 applies an ordinary CX, and the copy is undone at the end of both `with` blocks:
1 EPR pair and 1 bit to copy, 1 bit to undo.
"""

from arguments import Arguments

import qmpi
from qmpi import cx, h

parser = Arguments(__doc__)
parser.parse_args()
parser.require_ranks(2)

comm = qmpi.COMM_WORLD
q = comm.alloc()

if comm.rank == 0:
    h(q)
    with comm.send(q, dest=1):
        pass  # rank 1 is at work with the copy; the end of the block waits for it
elif comm.rank == 1:
    with comm.recv(source=0) as control:
        cx(control, q)

state = comm.statevector(q)  # a window: all ranks' qubits, rank 0 lowest
spent = comm.ledger.total()
if comm.rank == 0:
    for index, amplitude in enumerate(state):
        if abs(amplitude) > 1e-9:
            print(f"{amplitude.real:+.4f} |rank 1: {index >> 1 & 1}, rank 0: {index & 1}⟩")
    print(f"{spent.epr_pairs} EPR pair, {spent.classical_bits} bits")
