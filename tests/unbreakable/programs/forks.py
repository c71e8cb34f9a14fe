"""Rank 0 starts other processes in every way there is; what a child's calls raise, how it ends, and whether the parent is disturbed.
Started by test_interrupts.py as `forks.py CASE…`."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable

from calls import errors
from reports import attempt, report

import qmpi

CHILD = 100  # number of its reports
PATIENCE_S = 10.0

comm = qmpi.COMM_WORLD
own = comm.alloc(3)
pending = comm.irecv(source=comm.rank, tag=99)


def child(case: str) -> None:
    report(case, by=CHILD, **errors(comm, own, pending))


def forked(case: str, ends: Callable[[], None]) -> int:
    """The exit status of a child that calls everything and then `ends`; -1 if it does not end."""
    process = os.fork()
    if process == 0:
        child(case)
        ends()
        os._exit(77)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, 9)
    os.waitpid(process, 0)
    return -1


def by_multiprocessing(case: str) -> int:
    process = multiprocessing.get_context("fork").Process(target=child, args=(case,))
    process.start()
    process.join(PATIENCE_S)
    return -1 if process.exitcode is None else process.exitcode


def uncaught() -> None:
    """Ends the child as a program that does not know of Forked would."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    comm.alloc(1)


STARTS: dict[str, Callable[[str], int]] = {
    "os._exit": lambda case: forked(case, lambda: os._exit(0)),
    "sys.exit": lambda case: forked(case, lambda: sys.exit(0)),
    "uncaught": lambda case: forked(case, uncaught),
    "multiprocessing": by_multiprocessing,
    "subprocess": lambda case: subprocess.run([sys.executable, "-c", "import qmpi; print(qmpi.run(lambda: 7, 2))"], stdout=-3).returncode,
}


def talk() -> None:
    """A copy of rank 0's qubit goes to rank 1, which has waited for long, is measured there, and agrees."""
    q = comm.alloc(1)
    if comm.rank == 0:
        time.sleep(0.3)
        qmpi.h(q)
        comm.send(q, 1)
        bit = qmpi.measure(comm.recv_move(source=1)[0])
        assert qmpi.measure(q[0]) == bit
    else:
        copy = comm.recv(source=0)
        if qmpi.measure(copy[0]):
            qmpi.x(q)
        comm.send_move(q, 0)
    comm.barrier()


for case in sys.argv[1:]:
    comm.barrier()
    if comm.rank == 0:
        report(case, status=STARTS[case](case))
    report(case, talk=attempt(talk)["text"])
