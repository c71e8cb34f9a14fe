"""qmpi: MPI for quantum computers.

Each rank owns registers of qubits; ranks exchange quantum states through EPR pairs. Run a program with `mpiexec -n 4 python program.py`:

    import qmpi
    from qmpi import cx, h, measure

    comm = qmpi.COMM_WORLD
    q = comm.alloc(1)
    if comm.rank == 0:
        h(q)
        comm.send(q, dest=1)        # rank 1 now holds an entangled copy
    elif comm.rank == 1:
        q = comm.recv(source=0)

Source of the standard: arXiv:2105.01109 (SC '21).
"""

from os import environ as _environ

from . import errors, gates
from ._core import VERSION, Qubit
from .api import Bits, expectation, measure, probability, reset
from .comm.communicator import COMM_WORLD, Comm, StoreReport
from .comm.operators import BAND, BOR, MAX, MIN, PARITY, SUM, Op
from .comm.register import Register
from .comm.request import Request, Status, testall, waitall, waitany, waitsome
from .engine.statevector import StateVector
from .errors import QMPIError
from .gates import *  # noqa: F403
from .world.threads import run
from .world.wildcards import ANY_SOURCE, ANY_TAG, IN_PLACE, PROC_NULL, UNDEFINED

__version__ = VERSION

# One-letter names and `id` stay in qmpi.gates: `from qmpi import *` must not take them from a program.
__all__ = [
    "ANY_SOURCE",
    "ANY_TAG",
    "BAND",
    "BOR",
    "COMM_WORLD",
    "IN_PLACE",
    "MAX",
    "MIN",
    "PARITY",
    "PROC_NULL",
    "SUM",
    "UNDEFINED",
    "Bits",
    "Comm",
    "Op",
    "QMPIError",
    "Qubit",
    "Register",
    "Request",
    "StateVector",
    "Status",
    "StoreReport",
    "errors",
    "expectation",
    "gates",
    "measure",
    "probability",
    "reset",
    "run",
    "testall",
    "waitall",
    "waitany",
    "waitsome",
    *(name for name in gates.TABLE if len(name) > 1 and name != "id"),
]

if _environ.get("QMPI_LOG") == "debug":
    from .telemetry import log as _log

    _log.install()
