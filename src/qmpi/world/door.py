"""Which world the calling thread is in. Ranks that are threads know it from where they run; everything else is MPI's.

mpi4py is imported only when a communicating call finds no thread world: it may not be installed, and import costs time.
"""

from __future__ import annotations

import atexit
import os
import sys
from types import ModuleType
from typing import Any

from ..errors import FoundingError, SecondThread
from . import threads
from .base import Membership, Universe


def comm_world() -> Any:
    """The classical world communicator of the calling thread."""
    return threads.here.world if threads.here.world is not None else _mpi().comm_world()


def join(comm: Any) -> tuple[Universe, Membership]:
    """Makes this rank a member of a classical communicator; in MPI's world the first call founds the universe.

    **Collective** over `comm`.

    Raises:
        CommunicatorError: not a communicator of this world.
        OutsideUniverse: some of its ranks are in another universe, or in none.
        FoundingError: its ranks cannot be brought together.
    """
    return threads.join(comm) if threads.here.world is not None else _mpi().join(comm)


def dup(comm: Any) -> Any:
    """`comm.Dup`. **Collective** over `comm`."""
    return comm.Dup() if threads.here.world is not None else _mpi().dup(comm)


def split(comm: Any, color: int | None, key: int) -> Any | None:
    """`comm.Split`; None for ranks that take no part. **Collective** over `comm`."""
    return threads.split(comm, color, key) if threads.here.world is not None else _mpi().split(comm, color, key)


def give_up(comm: Any) -> None:
    """`comm`, which qmpi has made, is not needed any more; waits for nobody. (A communicator of the thread world needs no end.)"""
    if threads.here.world is None:
        _mpi().give_up(comm)


def _mpi() -> ModuleType:
    try:
        from . import mpi
    except (ImportError, RuntimeError) as error:  # mpi4py raises RuntimeError where it finds no MPI library
        raise FoundingError(
            f"no MPI here ({error}): install one (pip install 'qmpi[mpich]'), or run ranks as threads (qmpi run --threads, qmpi.run)"
        ) from None
    if threads.under_way() and not mpi.founded_here():
        raise SecondThread("a rank is one thread: this call comes from a thread that is none of the ranks qmpi.run has started")
    return mpi


_process = os.getpid()


@atexit.register
def _leave() -> None:
    """A program may have asked mpi4py for its rank and never have called qmpi."""
    if os.getpid() == _process and "mpi4py.MPI" in sys.modules:
        _mpi().leave()
