"""Runs the example's annealing and saves the joint state: `annealing_state.py spins_per_rank steps file.npy`."""

import sys
from pathlib import Path

import numpy as np

import qmpi

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from ising_annealing import anneal

spins_per_rank, steps, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
comm = qmpi.COMM_WORLD
state = comm.statevector(anneal(comm, spins_per_rank, steps))
if comm.rank == 0:
    np.save(file, state)
