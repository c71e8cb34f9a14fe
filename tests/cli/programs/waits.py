"""Rank 0 waits for what rank 1, which sleeps, never sends. Each leaves its process's number in the folder given, once it is about to."""

import os
import sys
import time
from pathlib import Path

import qmpi

comm = qmpi.COMM_WORLD
comm.barrier()
Path(sys.argv[1], str(comm.rank)).write_text(str(os.getpid()))
if comm.rank == 0:
    comm.recv(source=1)
else:
    time.sleep(50)
