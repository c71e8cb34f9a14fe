"""Phase estimation with the counting register on rank 0 and the system on all other ranks.

    mpiexec -n 3 python examples/phase_estimation.py --bits 5 --phase 11

The system is one qubit in |1⟩ on each other rank, and U turns them by angles that add up to 2π·phase/2^bits. To control U^(2^k) a counting
qubit is broadcast; each rank turns its own qubit under its copy. Rank 0 alone then applies the inverse Fourier transform and measures.
"""

from math import pi

from arguments import Arguments, whole

import qmpi
from qmpi import Comm, Register, cp, h, measure
from qmpi.gates import x


def kick_back(comm: Comm, counting: Register | None, bits: int, phase: float) -> None:
    """Counting qubit k controls U^(2^k); collective. `phase`: this rank's share, as a fraction of a full turn."""
    if counting is None:
        system = comm.alloc()
        x(system)
    for k in range(bits):
        with comm.bcast(counting[k] if counting is not None else None, root=0) as copy:
            if counting is None:
                cp(2 * pi * phase * 2**k, copy, system)


def read(counting: Register) -> int:
    """The inverse Fourier transform and the measurement, all on rank 0. Bit i of the number is in qubit len-1-i."""
    for k in reversed(range(len(counting))):
        for j in range(k + 1, len(counting)):
            cp(-pi / 2 ** (j - k), counting[j], counting[k])
        h(counting[k])
    return sum(int(measure(qubit)) << i for i, qubit in enumerate(reversed(counting)))


def main() -> None:
    """Estimates a phase that the counting register holds exactly."""
    parser = Arguments(__doc__)
    parser.add_argument("--bits", metavar="N", type=whole(1, 12), default=5, help="counting qubits (default 5)")
    parser.add_argument("--phase", metavar="N", type=whole(0), default=11, help="of U, in units of 2π/2^bits (default 11)")
    arguments = parser.parse_args()
    parser.require_ranks(2)
    comm = qmpi.COMM_WORLD
    phase = arguments.phase % 2**arguments.bits
    counting = comm.alloc(arguments.bits) if comm.rank == 0 else None
    if counting is not None:
        h(counting)
    kick_back(comm, counting, arguments.bits, phase / 2**arguments.bits / (comm.size - 1))
    spent = comm.ledger.total()
    if counting is not None:
        print(f"phase {phase}/{2**arguments.bits}, found {read(counting)}/{2**arguments.bits}")
        print(f"{spent.epr_pairs} EPR pairs, {spent.classical_bits} bits")


if __name__ == "__main__":
    main()
