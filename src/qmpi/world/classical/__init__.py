"""The classical communicator of ranks that are threads of one process: what `comm.mpi` is where mpi4py need not be installed.

It has mpi4py's names, arguments, defaults and results. Knows nothing of qubits, nor of how the threads are started.
"""

from .communicator import Cartesian, Classical, Hub
from .group import Group
from .matched import Matched
from .request import Request, Status

__all__ = ["Cartesian", "Classical", "Group", "Hub", "Matched", "Request", "Status"]
