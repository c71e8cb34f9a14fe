"""Who has come to where all must come, and who never will, asked without MPI: its collective calls say only that somebody is missing, never
who.

Each rank that has come holds a name in the abstract socket namespace, and so does each that has left, until its process has ended. Nothing
is sent and no file is left; where the ranks cannot tell that they belong to one job, nothing is said.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..errors import PeerLeft, announce

PATIENCE_S = 10.0
_BRISK_S = 0.02  # so long a wait only gives its core to others; then it sleeps
_PAUSE_S = 0.001
_LOOK_S = 0.05  # between two looks for ranks that have left


def meet(rank: int, members: Sequence[int], complete: Callable[[], bool], patience_s: float) -> None:
    """Returns once `complete()`; until then this rank counts as present. Ctrl-C ends the wait.

    Args:
        rank: this rank's number in MPI.COMM_WORLD.
        members: the numbers of all that should come.
        complete: whether they have.
        patience_s: then the first one present prints who is missing.

    Raises:
        PeerLeft: one of them has left, and will not come.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        with suppress(OSError):  # somebody else's: ranks are not distinguished by what we know
            name.bind(_name(rank, "present"))
        begin = look = time.monotonic()
        report = begin + patience_s
        while not complete():
            now = time.monotonic()
            if now >= look:
                _refuse_if_left(members)
                look = now + _LOOK_S
            if now >= report:
                _tell_missing(rank, members, patience_s)
                report = float("inf")
            if now < begin + _BRISK_S:
                os.sched_yield()
            else:
                time.sleep(_PAUSE_S)


def leave(rank: int) -> None:
    """Until this process has ended, which outlasts its interpreter and MPI's farewell, the rank counts as one that has left."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with suppress(OSError):
        name.bind(_name(rank, "left"))
    name.detach()


def _refuse_if_left(members: Sequence[int]) -> None:
    if left := [member for member in members if _holds(member, "left")]:
        have = "has" if len(left) == 1 else "have"
        raise PeerLeft(f"{_ranks(left)} of {len(members)} {have} ended, and a communicator of qmpi is made by all its ranks together")


def _tell_missing(rank: int, members: Sequence[int], patience_s: float) -> None:
    there = [member for member in members if _holds(member, "present")]
    missing = [member for member in members if member not in there]
    if missing and there and rank == min(there):
        announce(f"qmpi: {_ranks(missing)} of {len(members)} made no qmpi call within {patience_s:g} s; the others wait")


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"


def _holds(rank: int, what: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(_name(rank, what)) == 0


def _name(rank: int, what: str) -> str:
    """Of a rank of this job: launchers name their jobs, or are the parent of all their processes on a node."""
    step = "-".join(os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID")).strip("-")
    job = os.environ.get("PMIX_NAMESPACE") or step or str(os.getppid())
    return f"\0qmpi-{os.getuid()}-{hashlib.sha256(os.fsencode(job)).hexdigest()[:32]}-{rank}-{what}"  # a name has at most 107 bytes
