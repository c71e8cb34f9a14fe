"""Anneals a ring of spins, spread over all ranks, from a transverse field into an antiferromagnet.

    mpiexec -n 4 python examples/ising_annealing.py

H = J Σ Z_k Z_(k+1) - g Σ X_k; J rises from 0 to 1 while g = 1 - J falls, one Trotter step of length 1 per value; a Néel state comes
out almost surely, 0101… or 1010…. For a bond between two ranks the owner of the first spin copies it to its left neighbour, which
couples its last spin to the copy until both undo it: 1 EPR pair and 2 bits. Source: arXiv:2105.01109, Listing 1.
"""

import os
from itertools import pairwise
from time import perf_counter

from arguments import Arguments, whole

import qmpi
from qmpi import Comm, Qubit, Register, cx, h, rx, rz


def couple(angle: float, a: Qubit, b: Qubit) -> None:
    """Applies exp(-i angle/2 ZZ)."""
    cx(a, b)
    rz(angle, b)
    cx(a, b)


def couple_ranks(comm: Comm, angle: float, spins: Register) -> None:
    """The two bonds that leave this rank. Even ranks receive first, odd ones send first, so some bond can always go ahead."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    for turn in (0, 1):
        if comm.rank % 2 == turn:
            with comm.recv(source=right) as copy:
                couple(angle, copy[0], spins[-1])
        else:
            with comm.send(spins[0], dest=left):
                pass


def anneal(comm: Comm, spins_per_rank: int = 2, steps: int = 100) -> Register:
    """Runs the whole annealing; collective. Returns this rank's spins."""
    spins = comm.alloc(spins_per_rank)
    chain = spins if comm.size > 1 else spins + spins[0]  # a single rank closes its ring locally
    h(spins)
    for i in range(steps):
        coupling = i / steps
        for a, b in pairwise(chain):
            couple(2 * coupling, a, b)
        if comm.size > 1:
            couple_ranks(comm, 2 * coupling, spins)
        rx(-2 * (1 - coupling), spins)
    return spins


def main() -> None:
    """Reads the arguments, anneals, and lets rank 0 print what came out."""
    parser = Arguments(__doc__)
    parser.add_argument("--spins-per-rank", metavar="N", type=whole(1), default=2, help="spins on each rank (default 2)")
    parser.add_argument("--steps", metavar="N", type=whole(1), default=100, help="annealing steps (default 100)")
    parser.add_argument("--seed", metavar="N", type=whole(0, 2**64 - 1), help="makes the outcome reproducible (default: a fresh one)")
    arguments = parser.parse_args()
    comm = qmpi.COMM_WORLD
    if not 2 <= comm.size * arguments.spins_per_rank <= 24:
        parser.error(f"a ring has 2 to 24 spins here, not {comm.size} × {arguments.spins_per_rank}")
    if arguments.seed is not None:
        os.environ["QMPI_SEED"] = str(arguments.seed)
    begin = perf_counter()
    outcomes = comm.measure(anneal(comm, arguments.spins_per_rank, arguments.steps))
    seconds = perf_counter() - begin
    spent = comm.ledger.total()
    if comm.rank == 0:
        ring = [bit for bits in outcomes for bit in bits]
        neel = all(a != b for a, b in pairwise([*ring, ring[0]]))
        print("spins    ", *("".join(map(str, bits)) for bits in outcomes), "(a Néel state)" if neel else "(not a Néel state)")
        print(f"EPR pairs {spent.epr_pairs}\nbits      {spent.classical_bits}\ntime      {seconds:.2f} s")


if __name__ == "__main__":
    main()
