"""The annealing of `ising_annealing.py` over EPR pairs that are shared before they are needed.

    mpiexec -n 4 python examples/ising_annealing_persistent.py

Each rank makes one request that sends a copy of its first spin to its left neighbour in every step, and one that receives its right
neighbour's. A start is classical only, and the next pair is made at once after it: while the spins are rotated, not while a bond waits.
100 steps on N ranks use 100·N pairs and share N more that stay unused; 200·N bits.
"""

from itertools import pairwise

from arguments import Arguments, whole
from ising_annealing import couple

import qmpi
from qmpi import Comm, Register, h, rx


def anneal(comm: Comm, spins_per_rank: int = 2, steps: int = 100) -> Register:
    """Runs the whole annealing; collective. Returns this rank's spins."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    spins, border = comm.alloc(spins_per_rank), comm.alloc()
    h(spins)
    with comm.send_init(spins[0], left) as first, comm.recv_init(border, right) as next_first:
        for i in range(steps):
            coupling = i / steps
            for a, b in pairwise(spins):
                couple(2 * coupling, a, b)
            qmpi.waitall([first.start(), next_first.start()])
            couple(2 * coupling, border[0], spins[-1])
            comm.unrecv(border)
            comm.unsend(spins[0])
            rx(-2 * (1 - coupling), spins)
    comm.free(border)
    return spins


def main() -> None:
    """Reads the arguments, anneals, and lets rank 0 print what came out."""
    parser = Arguments(__doc__)
    parser.add_argument("--spins-per-rank", metavar="N", type=whole(2), default=2, help="spins on each rank (default 2)")
    parser.add_argument("--steps", metavar="N", type=whole(1), default=100, help="annealing steps (default 100)")
    arguments = parser.parse_args()
    parser.require_ranks(2)
    comm = qmpi.COMM_WORLD
    if comm.size * arguments.spins_per_rank > 20:
        parser.error(f"a ring has at most 20 spins here, not {comm.size} × {arguments.spins_per_rank}")
    outcomes = comm.measure(anneal(comm, arguments.spins_per_rank, arguments.steps))
    spent = comm.ledger.total()
    if comm.rank == 0:
        ring = [bit for bits in outcomes for bit in bits]
        neel = all(a != b for a, b in pairwise([*ring, ring[0]]))
        print("spins    ", *("".join(map(str, bits)) for bits in outcomes), "(a Néel state)" if neel else "(not a Néel state)")
        print(f"EPR pairs {spent.epr_pairs}\nbits      {spent.classical_bits}")


if __name__ == "__main__":
    main()
