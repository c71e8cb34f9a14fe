"""A qubit that is broadcast in every turn of a loop, over EPR pairs that are shared before they are needed.

    mpiexec -n 4 python examples/persistent_broadcast.py --turns 5

Rank 0's qubit controls a rotation on every rank; the copies are taken back at the end of each turn. `bcast_init` shares the pairs, `start`
needs only bits, and what it used is shared anew at once: the ledger shows which call spent what.
"""

from arguments import Arguments, whole

import qmpi
from qmpi import crx, h

parser = Arguments(__doc__)
parser.add_argument("--turns", metavar="N", type=whole(1), default=5, help="default 5")
turns = parser.parse_args().turns

comm = qmpi.COMM_WORLD
control, mine = comm.alloc(), comm.alloc()
if comm.rank == 0:
    h(control)
with comm.bcast_init(control, root=0) as broadcast:
    for _ in range(turns):
        with broadcast.start().wait() as copy:
            crx(0.3, copy, mine)
spent = comm.ledger.total()
halves = {call: 0 for call in ("bcast_init", "start", "unbcast")}
bits = dict(halves)
for (call, _), charges in comm.ledger.by_call.items():
    halves[call] += charges.epr_halves
    bits[call] += charges.bits_sent
everybody = comm.mpi.gather((halves, bits), root=0)
if everybody:
    for call in halves:
        pairs, sent = (sum(row[k][call] for row in everybody) for k in (0, 1))
        print(f"{call:<11} {pairs // 2} EPR pairs, {sent} bits")
    print(f"{turns} turns on {comm.size} ranks: {spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")
