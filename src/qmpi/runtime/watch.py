"""How a rank waits: a moment unseen, then so that all ranks see what for, and whether anybody is left who could end it.

Finding deadlocks and deaths is the core's work (csrc/runtime/watch.h); this file decides when, and says what the rank is in.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .._core import ANY_SOURCE, ANY_TAG, Ticket, describe_site
from ..errors import QMPIError, WaitTimeout, source_line, user_frame

if TYPE_CHECKING:
    from .session import Session

SLICE_S, CROWD = 0.05, 100  # between two looks; more ranks than that look the less often, else nobody would come to anything else
_ROLES = {
    "prepare_epr": "peer",
    "recv": "source",
    "probe": "source",
    "send": "dest",
}  # what a call's name contains, and how it calls the other rank


def wait(session: Session, tickets: Sequence[Ticket], call: str, site: int, given_up: Sequence[Ticket]) -> None:
    """Waits until one of the tickets is finished; if it ends otherwise, takes back what is `given_up`. See `Session.wait`."""
    try:
        _wait(session, tickets, call, site, given_up)
    except BaseException as error:
        with suppress(QMPIError):  # if nothing can be taken back any more, the wait's own error says so
            if isinstance(error, WaitTimeout) and set(tickets) & set(given_up) and not all(ticket.withdraw() for ticket in tickets):
                _finish(session, tickets)  # answered in the very moment in which time was up
                return
            for other in given_up:
                other.withdraw()
        raise


def _finished(session: Session, tickets: Sequence[Ticket], seconds: float) -> bool:
    return tickets[0].wait(seconds) if len(tickets) == 1 else session.core.wait_any(tickets, seconds)


def _finish(session: Session, tickets: Sequence[Ticket]) -> None:
    """Waits for what another rank is about to finish."""
    while not _finished(session, tickets, SLICE_S):
        session.core.look(())


def _wait(session: Session, tickets: Sequence[Ticket], call: str, site: int, given_up: Sequence[Ticket]) -> None:
    limit_s = session.timeout_s
    begin = time.monotonic()
    longest_s = SLICE_S * max(1, session.universe.size / CROWD)

    def slice_s() -> float:
        left = longest_s if limit_s is None else begin + limit_s - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"nothing came for {limit_s:g} s (QMPI_TIMEOUT_S)")
        return min(left, longest_s)

    if _finished(session, tickets, slice_s()):
        return
    slice_s()
    session.core.publish(tickets, *_line(session, tickets, call, site))
    try:
        session.core.look(given_up)
        while not _finished(session, tickets, slice_s()):
            session.core.look(given_up)
    finally:
        with suppress(QMPIError):
            session.core.unpublish()


def _line(session: Session, tickets: Sequence[Ticket], call: str, site: int) -> tuple[tuple[int, ...], str]:
    """Who could answer a receive from anybody, and the line that a report shows: call, arguments, source line."""
    awaited = [ticket.awaits or (ANY_SOURCE, ANY_TAG, 0) for ticket in tickets]
    memberships = [session.memberships[context // 4] for _, _, context in awaited]
    call = call or user_frame()[1]
    here = source_line()
    if len(tickets) > 1:
        members = tuple({member: None for membership in memberships for member in membership.members})
        return members, f"{call}({len(tickets)} requests) at {here}"
    (peer, tag, context), membership = awaited[0], memberships[0]
    issued = describe_site(site) if site else here
    joint = context % 4 == 3  # a collective's part has no peer of its own
    role = "" if joint else next((role for part, role in _ROLES.items() if part in call), "")
    rank = "ANY_SOURCE" if peer == ANY_SOURCE else str(membership.members.index(peer))
    arguments = f"{role}={rank}" if role else ""
    if role and context % 4 in (0, 2):  # the user's own messages and EPR pairs have tags
        arguments += f", tag={'ANY_TAG' if tag == ANY_TAG else tag}"
    where = f"at {issued}" + (f", waited for at {here}" if here != issued else "")
    within = f" in {membership.name}" if context // 4 > 1 else ""
    whom = "" if role else ", waiting for " + ("the others" if peer == ANY_SOURCE else f"rank {rank}")
    return membership.members, f"{call}({arguments}) {where}{within}{whom}"
