"""Ctrl-C while a long list of gates runs on a state vector: what has begun goes on, or is forgotten as a whole. Started by
test_statevectors.py.

`statevector_interrupts.py`. The rank that runs the gates, the first, is interrupted by a timer; others wait, and help.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from reports import attempt, report

import qmpi
from tests import dense

QUBITS, LARGER = 19, 22
AFTER_S = 0.02  # the gates take several times as long
LOOKED_AT = np.arange(0, 2**QUBITS, 97)

comm = qmpi.COMM_WORLD
gates = dense.random_gates(np.random.default_rng(73), QUBITS, 800, widest=4)


def interrupted(call: Callable[[], Any]) -> str:
    """The error with which it ends on the first rank."""
    if comm.rank == 0:
        signal.setitimer(signal.ITIMER_REAL, AFTER_S)
    error = attempt(call)["error"]
    signal.setitimer(signal.ITIMER_REAL, 0)
    return error


def distance(state: qmpi.StateVector) -> float:
    return float(np.abs(state.amplitudes(LOOKED_AT) - expected).max())


signal.signal(signal.SIGALRM, signal.default_int_handler)
state = qmpi.StateVector(comm, QUBITS)
compiled = state.compile(gates)
state.apply(compiled)
expected = state.amplitudes(LOOKED_AT)
norm = state.norm()
report("before", norm=norm, largest=float(np.abs(expected).max()))

state.reset()
state.apply(gates)
error = interrupted(state.flush)
if comm.rank == 0:
    state.flush()  # which the others are still in
report("goes on", error=error, distance=distance(state))

if comm.size == 1:
    state.reset()
    error = interrupted(lambda: state.apply(compiled))
    report("goes on with compiled gates", error=error, distance=distance(state))

    state.reset()
    error = interrupted(lambda: state.apply(compiled))
    state.reset()
    state.apply(compiled)
    report("starts anew", error=error, distance=distance(state))

    state.reset()
    error = interrupted(lambda: state.apply(compiled))
    with qmpi.StateVector(comm, QUBITS) as other:
        other.apply(compiled)
        report("on another state", error=error, distance=distance(other))
    report("meanwhile", error=error, distance=distance(state))

    state.reset()
    error = interrupted(lambda: state.apply(compiled))
    state.close()
    with qmpi.StateVector(comm, QUBITS) as other:
        other.apply(compiled)
        report("after the end of the first", error=error, distance=distance(other))

    state, larger = qmpi.StateVector(comm, QUBITS), qmpi.StateVector(comm, LARGER)
    state.apply(gates)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.h5"
        state.save(path)
        error = interrupted(lambda: larger.save(path))
        left = [file.name for file in Path(folder).iterdir()]
        state.reset()
        state.load(path)
        report("a file", error=error, distance=distance(state), left=left)
