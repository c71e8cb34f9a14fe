"""One call of each kind, for tests in which none of them may succeed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reports import attempt

import qmpi


def errors(comm: qmpi.Comm, own: qmpi.Register, pending: qmpi.Request[Any]) -> dict[str, str]:
    """What each raises. `own`: three qubits of this rank; `pending`: a receive that nothing has matched."""
    peer = (comm.rank + 1) % comm.size
    calls: dict[str, Callable[[], Any]] = {
        "alloc": lambda: comm.alloc(1),
        "free": lambda: comm.free(own[2]),
        "gate": lambda: qmpi.h(own[2]),
        "measure": lambda: qmpi.measure(own[2]),
        "reset": lambda: qmpi.reset(own[2]),
        "probability": lambda: qmpi.probability(own[2]),
        "expectation": lambda: qmpi.expectation("ZZZ", own),
        "send": lambda: comm.send(own[2], peer),
        "isend": lambda: comm.isend(own[2], peer),
        "irecv": lambda: comm.irecv(tag=98),
        "recv": lambda: comm.recv(tag=97),
        "test": lambda: pending.test(),
        "wait": lambda: pending.wait(),
        "cancel": lambda: pending.cancel(),
        "prepare_epr": lambda: comm.prepare_epr(own[2], peer),
        "barrier": lambda: comm.barrier(),
        "all measure": lambda: comm.measure(own),
        "statevector": lambda: comm.statevector(own),
        "store_report": lambda: comm.store_report(),
    }
    return {name: attempt(call)["error"] for name, call in calls.items()}
