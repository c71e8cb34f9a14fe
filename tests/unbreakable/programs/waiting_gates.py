"""Ctrl-C while gates of rank 0 wait to be planned together and their component is locked: rank 1, which reads it all the time, is stopped
meanwhile. Started by test_waiting_gates.py.

`waiting_gates.py MANY OTHERS`: how many gates a list of rank 0 has on the component; how many come after them that only take time.
"""

from __future__ import annotations

import signal
import sys
import time

from reports import attempt, let_go_on, meet, report, signals, stop

import qmpi
from qmpi import testing

STOPPED_AFTER_S, INTERRUPTED_AFTER_S = 0.25, 0.5
ANGLE = 0.3
QUBITS = 21

many, others = map(int, sys.argv[1:])
comm = qmpi.COMM_WORLD
signal.signal(signal.SIGINT, signal.default_int_handler)
if comm.rank == 1:  # (|0…0⟩ + |1…1⟩)/√2, and its copy: a turn of the copy by z is one of all
    q = comm.alloc(QUBITS)
    qmpi.h(q[0])
    for k in range(QUBITS - 1):
        qmpi.cx(q[0], q[k + 1])
    comm.send(q[0], 0)
    qmpi.probability(q[0])
    meet("begin")
    stop(STOPPED_AFTER_S)
    end = time.monotonic() + STOPPED_AFTER_S + 0.2
    while time.monotonic() < end:
        qmpi.probability(q[1])
else:
    copy, own = comm.recv(source=1), comm.alloc(2)
    meet("begin")
    signals(("INT", INTERRUPTED_AFTER_S))

    def turns() -> None:
        while True:
            for _ in range(many):
                qmpi.rz(ANGLE, copy)
            for _ in range(others):
                qmpi.cu(0.1, 0.2, 0.3, 0.4, own[0], own[1])
            testing.flush(comm)

    report("interrupted", **attempt(turns))
    let_go_on(1)
meet("end")
if comm.rank == 0:
    testing.flush(comm)
    comm.unrecv(copy)
    report("afterwards", turned=ANGLE * comm.ledger.gates["rz"])
else:
    comm.unsend(q[0])
    for k in range(QUBITS - 1):
        qmpi.cx(q[0], q[k + 1])
    report("afterwards", x=qmpi.expectation("X", q[0]), y=qmpi.expectation("Y", q[0]))
