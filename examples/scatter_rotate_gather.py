"""Rotations of one rank's qubits, done by all ranks at the same time: the states are moved there and back.

    mpiexec -n 4 python examples/scatter_rotate_gather.py --theta 1.2

Rotations are what takes time on an error-corrected machine, so they are worth a move. Rank 0 makes a GHZ state of N·m qubits, scatters it,
every rank turns its m qubits by θ/(N·m), and rank 0 gathers them: together they have turned the state by θ, which shows as
P(1) = sin²(θ/2) once it is folded up again. 2(N-1)m EPR pairs, 4(N-1)m bits.
"""

from math import sin

from arguments import Arguments, angle, whole

import qmpi
from qmpi import cx, h, probability
from qmpi.gates import p

parser = Arguments(__doc__)
parser.add_argument("--theta", metavar="RADIANS", type=angle, default=1.2, help="default 1.2")
parser.add_argument("--qubits-per-rank", metavar="N", type=whole(1, 5), default=2, help="default 2")
arguments = parser.parse_args()

comm = qmpi.COMM_WORLD
width = arguments.qubits_per_rank
whole_state = comm.alloc(comm.size * width) if comm.rank == 0 else None
if whole_state is not None:
    h(whole_state[0])
    for qubit in whole_state[1:]:
        cx(whole_state[0], qubit)
mine = comm.alloc(width)
part = comm.scatter_move(whole_state, mine, root=0)
p(arguments.theta / (comm.size * width), part)
comm.gather_move(part, whole_state, root=0)
spent = comm.ledger.total()
if whole_state is not None:
    for qubit in whole_state[1:]:
        cx(whole_state[0], qubit)
    h(whole_state[0])
    print(f"P(1) = {probability(whole_state[0]):.6f}, and must be {sin(arguments.theta / 2) ** 2:.6f}")
    print(f"{spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")
