"""EPR pairs between two ranks: each rank measures its halves, and the outcomes agree.

    mpiexec -n 2 python examples/first_pair.py

Each outcome is a fair coin, yet both ranks always see the same one. Ranks beyond the first two only watch.
"""

from arguments import Arguments, whole

import qmpi

parser = Arguments(__doc__)
parser.add_argument("--pairs", metavar="N", type=whole(1), default=16, help="how many pairs to share (default 16)")
arguments = parser.parse_args()
parser.require_ranks(2)

comm = qmpi.COMM_WORLD
halves = comm.alloc(arguments.pairs)
if comm.rank < 2:
    comm.prepare_epr(halves, peer=1 - comm.rank)  # (|00⟩+|11⟩)/√2, a half on either rank

outcomes = comm.measure(halves)
if comm.rank == 0:
    for rank in (0, 1):
        print(f"rank {rank} measured", *outcomes[rank])
    print("equal, as they always are" if outcomes[0] == outcomes[1] else "different: this is not quantum mechanics")
