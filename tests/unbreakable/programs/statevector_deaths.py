"""One of three ranks that act on a state vector together is killed from outside; what the others' calls raise then. Started by
test_statevectors.py.

`statevector_deaths.py CASE RANK`: what the rank that is killed does; which one it is.
"""

from __future__ import annotations

import sys
import time

from reports import attempt, report, signals

import qmpi

KILLED_AFTER_S = 0.5
ENOUGH_S = 8.0  # by then a test has failed
QUBITS = 21

case, victim = sys.argv[1], int(sys.argv[2])
comm = qmpi.COMM_WORLD
state = qmpi.StateVector(comm, QUBITS)
layer = state.compile([("ry", (k,), (0.1 * k,)) for k in range(QUBITS)] + [("cx", (k, (k + 5) % QUBITS), ()) for k in range(QUBITS)])
state.apply(layer)


def works() -> None:
    """The first rank runs the gates, the others help."""
    end = time.monotonic() + ENOUGH_S
    while time.monotonic() < end:
        state.apply(layer)
        state.measure(0)


if comm.rank == victim:
    report(case)
    signals(("KILL", KILLED_AFTER_S))
    if case == "elsewhere":
        time.sleep(ENOUGH_S)
report(case, **attempt(works))
calls = {
    "gate": lambda: (state.h(0), state.flush()),
    "apply": lambda: (state.apply(layer), state.flush()),
    "measure": lambda: state.measure(0),
    "sample": lambda: state.sample(2),
    "norm": lambda: state.norm(),
    "another": lambda: qmpi.StateVector(comm, 3),
}
report("afterwards", **{name: attempt(call)["error"] for name, call in calls.items()})
state.close()
