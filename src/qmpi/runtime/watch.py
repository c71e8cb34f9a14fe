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
_ROLES = {"prepare_epr": "peer", "recv": "source", "send": "dest"}  # what a call's name contains, and how it calls the other rank


def wait(session: Session, ticket: Ticket, call: str, site: int, given_up: Sequence[Ticket]) -> None:
    """Waits until the ticket is finished; if it ends otherwise, takes back what is `given_up`. See `Session.wait`."""
    try:
        _wait(session, ticket, call, site, given_up)
    except BaseException as error:
        with suppress(QMPIError):  # if nothing can be taken back any more, the wait's own error says so
            if isinstance(error, WaitTimeout) and ticket in given_up and not ticket.withdraw():
                _finish(session, ticket)  # answered in the very moment in which time was up
                return
            for other in given_up:
                other.withdraw()
        raise


def _finish(session: Session, ticket: Ticket) -> None:
    """Waits for what another rank is about to finish."""
    while not ticket.wait(SLICE_S):
        session.core.look(())


def _wait(session: Session, ticket: Ticket, call: str, site: int, given_up: Sequence[Ticket]) -> None:
    limit_s = session.timeout_s
    begin = time.monotonic()
    longest_s = SLICE_S * max(1, session.universe.size / CROWD)

    def slice_s() -> float:
        left = longest_s if limit_s is None else begin + limit_s - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"nothing came for {limit_s:g} s (QMPI_TIMEOUT_S)")
        return min(left, longest_s)

    if ticket.wait(slice_s()):
        return
    slice_s()
    session.core.publish(ticket, *_line(session, ticket, call, site))
    try:
        session.core.look(given_up)
        while not ticket.wait(slice_s()):
            session.core.look(given_up)
    finally:
        with suppress(QMPIError):
            session.core.unpublish()


def _line(session: Session, ticket: Ticket, call: str, site: int) -> tuple[tuple[int, ...], str]:
    """Who could answer a receive from anybody, and the line that a report shows: call, arguments, source line."""
    peer, tag, context = ticket.awaits or (ANY_SOURCE, ANY_TAG, 0)
    membership = session.memberships[context // 4]
    call = call or user_frame()[1]
    here = source_line()
    issued = describe_site(site) if site else here
    role = next((role for part, role in _ROLES.items() if part in call), "")
    rank = "ANY_SOURCE" if peer == ANY_SOURCE else str(membership.members.index(peer))
    arguments = f"{role}={rank}" if role else ""
    if role and context % 4 in (0, 2):  # the user's own messages and EPR pairs have tags
        arguments += f", tag={'ANY_TAG' if tag == ANY_TAG else tag}"
    where = f"at {issued}" + (f", waited for at {here}" if here != issued else "")
    within = f" in {membership.name}" if context // 4 > 1 else ""
    return membership.members, f"{call}({arguments}) {where}{within}" + ("" if role else f", waiting for rank {rank}")
