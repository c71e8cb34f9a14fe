"""Every rank prints its arguments, after a barrier, and ends with the status given first."""

import sys

import qmpi

qmpi.COMM_WORLD.barrier()
sys.stdout.write(f"rank {qmpi.COMM_WORLD.rank} of {qmpi.COMM_WORLD.size}: {sys.argv[1:]}\n")  # in one piece, as print does not
sys.exit(int(sys.argv[1]))
