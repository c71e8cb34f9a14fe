"""An exception inside the block of a copy, and a program that forgets to undo one. Started by test_interrupts.py."""

from __future__ import annotations

from reports import attempt, here, report

import qmpi

comm = qmpi.COMM_WORLD
q = comm.alloc(1)


def owner() -> None:
    with comm.send(q, 1):
        pass


def holder() -> None:
    with comm.recv(source=0):
        raise KeyError("on purpose")


def owner_raises() -> None:
    with comm.send(q, 1):
        raise KeyError("on purpose")


def holder_waits_for_nobody() -> None:
    with comm.recv(source=0):
        pass


line = holder.__code__.co_firstlineno + 1
report("holder raises", **attempt(holder if comm.rank else owner), line=f"{__file__}:{line}")
qmpi.reset(q)
report("owner raises", **attempt(holder_waits_for_nobody if comm.rank else owner_raises))
qmpi.reset(q)
forgotten, where = (comm.recv(source=0), here()) if comm.rank else (comm.send(q, 1), here())
report("forgotten", where=where)
