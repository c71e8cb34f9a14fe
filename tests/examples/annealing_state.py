"""Runs an example's annealing and saves the joint state: `annealing_state.py example spins_per_rank steps file.npy`."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

import qmpi

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

example, spins_per_rank, steps, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
comm = qmpi.COMM_WORLD
state = comm.statevector(import_module(example).anneal(comm, spins_per_rank, steps))
if comm.rank == 0:
    np.save(file, state)
