"""A fixed program on two state vectors, whatever the ranks, nodes and threads: rank 0 prints what came of it, one JSON object per line.

`statevectors.py`. Started by tests/test_nodes.py and tests/unit/test_nodes.py, which compare the lines of different jobs.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import qmpi
from tests import dense

QUBITS = {"complex128": 17, "complex64": 9}  # 17 qubits are several chunks; of few amplitudes, rounding seldom decides an outcome
SHOTS = {"complex128": 1000, "complex64": 50}


def outcomes(comm: qmpi.Comm, dtype: str) -> dict[str, Any]:
    """Gates, reads and measurements in turns."""
    qubits, rng = QUBITS[dtype], np.random.default_rng(29)
    found: dict[str, Any] = {"dtype": dtype, "measured": [], "samples": [], "means": [], "probabilities": []}
    with qmpi.StateVector(comm, qubits, dtype) as state:
        for _ in range(4):
            state.apply([*dense.brickwork(rng, qubits, 2), *dense.random_gates(rng, qubits, 20, widest=4)])
            found["samples"] += state.sample(SHOTS[dtype]).tolist()
            found["measured"] += [state.measure(int(qubit)) for qubit in rng.permutation(qubits)[:3]]
            strings = ["".join(rng.choice(list("IXYZ"), qubits - 3)) + "ZIZ" for _ in range(3)]
            found["means"].append(state.expectation(strings, rng.normal(size=3)))
            found["probabilities"] += state.probabilities(rng.permutation(qubits)[:3].tolist()).tolist()
        amplitudes = state.amplitudes(rng.integers(0, 2**qubits, 200))
        found["norm"] = state.norm()
        found["amplitudes"] = np.concatenate([amplitudes.real, amplitudes.imag]).tolist()
        found["exchanges"] = state.traffic.exchanges
    return found


def main() -> None:
    """In each precision."""
    comm = qmpi.COMM_WORLD
    lines = [json.dumps(outcomes(comm, dtype)) for dtype in QUBITS]
    if comm.rank == 0:
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
