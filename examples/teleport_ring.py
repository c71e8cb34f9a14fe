"""A state goes round the ring of ranks by moves (teleportation) and comes back unchanged.

    mpiexec -n 4 python examples/teleport_ring.py

Every hop costs 1 EPR pair and 2 classical bits. Handles stay where they are: after `send_move` the sender still owns its qubit,
now in |0⟩. What each rank saw travels to rank 0 as an ordinary classical message.
"""

from math import sin

from arguments import Arguments, angle, whole

import qmpi
from qmpi import probability, ry, rz

parser = Arguments(__doc__)
parser.add_argument("--theta", metavar="T", type=angle, default=1.0, help="the state is RZ(0.5) RY(T) |0⟩ (default 1 radian)")
parser.add_argument("--rounds", metavar="N", type=whole(1), default=1, help="how often it goes round (default 1)")
arguments = parser.parse_args()
parser.require_ranks(2)

comm = qmpi.COMM_WORLD
left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
q = comm.alloc()[0]

if comm.rank == 0:
    ry(arguments.theta, q)
    rz(0.5, q)

for _ in range(arguments.rounds):
    if comm.rank == 0:
        comm.send_move(q, right)
        comm.recv_move(q, left)
        seen = probability(q)  # a window for people who debug: no physical machine can look
    else:
        comm.recv_move(q, left)
        seen = probability(q)
        comm.send_move(q, right)

if comm.rank == 0:
    rz(-0.5, q)
    ry(-arguments.theta, q)  # undoes the preparation, if nothing happened on the way

rows = comm.mpi.gather(seen, root=0)
spent = comm.ledger.total()
if comm.rank == 0:
    print(f"prepared      P(1) = {sin(arguments.theta / 2) ** 2:.6f}")
    for rank in (*range(1, comm.size), 0):
        print(f"at rank {rank:<4}  P(1) = {rows[rank]:.6f}")
    print("unchanged" if probability(q) < 1e-12 else "changed", f"after {arguments.rounds * comm.size} moves:", end=" ")
    print(f"{spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")
