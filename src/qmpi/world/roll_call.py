"""Who has come to the founding, asked without MPI: its collective calls say only that somebody is missing, never who.

Each rank that has come holds a name in the abstract socket namespace. Nothing is sent and no file is left; where the ranks cannot tell that
they belong to one job, nothing is said.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import announce

PATIENCE_S = 10.0


@contextmanager
def present(rank: int, members: Sequence[int]) -> Iterator[None]:
    """Within the block this rank counts as present; if it lasts long, the first one present prints who is missing.

    Args:
        rank: this rank's number in MPI.COMM_WORLD.
        members: the numbers of all that should come.
    """
    founded = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        try:
            name.bind(_name(rank))
        except OSError:  # somebody else's: ranks are not distinguished by what we know
            yield
            return
        threading.Thread(target=_report, args=(founded, rank, members), daemon=True).start()
        try:
            yield
        finally:
            founded.set()


def _report(founded: threading.Event, rank: int, members: Sequence[int]) -> None:
    if founded.wait(PATIENCE_S):
        return
    there = [member for member in members if _is_there(member)]
    missing = [str(member) for member in members if member not in there]
    if missing and rank == min(there):
        who = f"rank {missing[0]}" if len(missing) == 1 else f"ranks {', '.join(missing)}"
        announce(f"qmpi: {who} of {len(members)} made no qmpi call within {PATIENCE_S:g} s; the others wait")


def _is_there(rank: int) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(_name(rank)) == 0


def _name(rank: int) -> str:
    """Of a rank of this job: launchers name their jobs, or are the parent of all their processes on a node."""
    step = "-".join(os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID")).strip("-")
    job = os.environ.get("PMIX_NAMESPACE") or step or str(os.getppid())
    return f"\0qmpi-{os.getuid()}-{job}-{rank}"
