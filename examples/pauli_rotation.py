"""exp(-iθ/2 P) for a Pauli string over all ranks, in three ways that give one state and cost differently.

    mpiexec -n 4 python examples/pauli_rotation.py --theta 0.7

Rank r has letter r of XYZXYZ…. `in-place` brings the parity to one rank along a tree and back; `out-of-place` to an auxiliary, one rank
after the other; `constant-depth` over a cat state. The last two undo it by a measurement. Source: arXiv:2105.01109, section 7.
"""

import numpy as np
from arguments import Arguments, angle

import qmpi
from qmpi import ry, rz

LETTERS = "XYZ"
STRATEGIES = ("in-place", "out-of-place", "constant-depth")

parser = Arguments(__doc__)
parser.add_argument("--theta", metavar="RADIANS", type=angle, default=0.7, help="default 0.7")
theta = parser.parse_args().theta

comm = qmpi.COMM_WORLD
letter = LETTERS[comm.rank % len(LETTERS)]
states = []
rows = []
for strategy in STRATEGIES:
    q = comm.alloc()
    ry(0.4 + comm.rank, q)
    rz(0.2 * comm.rank, q)
    before = comm.ledger.total()
    comm.pauli_rotation(theta, letter, q, strategy=strategy)
    after = comm.ledger.total()
    states.append(comm.statevector(q))
    rows.append((strategy, after.epr_pairs - before.epr_pairs, after.classical_bits - before.classical_bits))
if comm.rank == 0:
    same = all(np.allclose(state, states[0], atol=1e-5) for state in states)
    print(f"exp(-i·{theta}/2·P), P of {comm.size} letters: {'one state' if same else 'different states'}")
    for strategy, pairs, bits in rows:
        print(f"{strategy:<15} {pairs} EPR pairs, {bits} bits")
