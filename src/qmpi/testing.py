"""For tests of programs: outcomes that are prescribed, and what a rank holds and owes. None of it is part of the standard.

Example:
    >>> testing.force_outcomes(comm, [1, 0])  # what this rank finds next
    >>> with testing.timeout(comm, 5.0):
    ...     comm.recv(source=1)
    >>> assert testing.qubits_held(comm) == 0
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .comm.communicator import Comm
from .errors import InvalidArgument
from .runtime.ledger import Charges
from .world.settings import Settings

__all__ = [
    "flush",
    "force_outcomes",
    "outstanding",
    "pending_gates",
    "plan_from",
    "postings",
    "qubits_held",
    "settings",
    "spent",
    "timeout",
]

_PLANNED_FROM = 13  # qubits, as architecture.md has it
_MOST_FORCED = 64


def force_outcomes(comm: Comm, outcomes: Sequence[int]) -> None:
    """Prescribes what this rank's next draws give: those of `measure`, and those of the protocols that it runs.

    An outcome that cannot occur is not forced: the other one is found.

    Args:
        comm: any communicator of this rank.
        outcomes: 0 or 1 each, at most 64; the next draw takes the first. They replace those that are still to come.

    Raises:
        InvalidArgument: something else than 0 or 1, or too many.
    """
    if len(outcomes) > _MOST_FORCED or any(outcome not in (0, 1) for outcome in outcomes):
        raise InvalidArgument(f"force_outcomes takes at most {_MOST_FORCED} outcomes, each 0 or 1, not {list(outcomes)!r}")
    comm._session.core.force(sum(int(outcome) << k for k, outcome in enumerate(outcomes)), len(outcomes))


def qubits_held(comm: Comm) -> int:
    """How many qubits this rank holds, in all communicators: those of the program, and those that the library keeps for inverses.

    Args:
        comm: any communicator of this rank.
    """
    return int(comm._session.core.held)


def outstanding(comm: Comm) -> list[str]:
    """A line for each copy of a communicator that this rank has neither undone nor measured away.

    Args:
        comm: the communicator.
    """
    return comm._session.obligations.outstanding(comm)


def spent(comm: Comm) -> Charges:
    """What this rank has spent through a communicator; `comm.ledger` has the sum over all of them.

    Args:
        comm: the communicator.
    """
    return comm.ledger.by_comm.get(comm._name, Charges())


def settings(comm: Comm) -> Settings:
    """The settings in force: mode, precision, memory and the like.

    Args:
        comm: any communicator.
    """
    return comm._session.universe.settings


def pending_gates(comm: Comm) -> int:
    """How many gates of this rank wait in its buffer.

    Args:
        comm: any communicator of this rank.
    """
    return int(comm._session.core.pending)


def flush(comm: Comm) -> None:
    """Applies the gates that wait in this rank's buffer.

    Args:
        comm: any communicator of this rank.

    Raises:
        StateTooLarge: a gate did not fit into memory.
    """
    comm._session.core.flush()


def postings(comm: Comm) -> int:
    """How many messages and receives wait in the mailboxes of all ranks of the node.

    Args:
        comm: any communicator.
    """
    return int(comm._session.universe.arena.postings())


@contextmanager
def plan_from(comm: Comm, qubits: int) -> Iterator[None]:
    """In the block, gates on components of at least so many qubits are planned together, as otherwise only those on large ones are.

    Args:
        comm: any communicator of this rank.
        qubits: 2 and more.
    """
    comm._session.core.set_planned_from(qubits)
    try:
        yield
    finally:
        comm._session.core.set_planned_from(_PLANNED_FROM)


@contextmanager
def timeout(comm: Comm, timeout_s: float) -> Iterator[None]:
    """Bounds every single wait of this rank in the block, as QMPI_TIMEOUT_S does.

    Args:
        comm: any communicator of this rank.
        timeout_s: in seconds; longer waits raise `WaitTimeout`.
    """
    session = comm._session
    usual, session.timeout_s = session.timeout_s, timeout_s
    try:
        yield
    finally:
        session.timeout_s = usual
