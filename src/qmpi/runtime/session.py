"""The session of this rank: the compiled one, and what Python adds to it. Knows neither communicators' methods nor gates."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from .._core import Session as Core
from .._core import Ticket
from ..errors import ObligationError, OutstandingWarning, announce, set_rank
from ..world.base import Membership, Universe
from ..world.settings import threads_per_rank
from . import watch
from .ledger import Book
from .obligations import Obligations


class Session:
    """One rank's session.

    Attributes:
        core: the compiled session: handles, gate buffer, messages.
        book: what this rank has spent.
        obligations: what this rank must undo.
        memberships: this rank's place in each of its communicators that are still in use, by context.
    """

    def __init__(self, universe: Universe) -> None:
        """Registers the rank; at exit it reports what was left undone."""
        self.universe = universe
        self.core = Core(universe.arena, universe.rank)
        self.book = Book(self.core, universe.arena)
        self.obligations = Obligations()
        self.core.set_threads(threads_per_rank(universe.size))
        self.core.on_discharge = self.obligations.discharge
        self.memberships: WeakValueDictionary[int, Membership] = WeakValueDictionary()
        self.timeout_s = universe.settings.timeout_s
        order = universe.settings.order
        if order.recording is not None:
            self.core.replay_order(order.recording.measured)
        elif order.path:
            self.core.record_order(order.open())
        set_rank(universe.rank)
        self._process = os.getpid()
        universe.at_leave(self._leave)

    def wait(self, ticket: Ticket, call: str = "", site: int = 0, given_up: Sequence[Ticket] = ()) -> None:
        """Waits until the ticket is finished; Ctrl-C interrupts at once.

        Args:
            ticket: what to wait for.
            call: the function that issued it; by default the one the program is in.
            site: where it was issued; by default where the program is.
            given_up: what is taken back if the wait ends otherwise. (What a blocking call posted does not outlive it.)

        Raises:
            Deadlock, PeerLeft, RankLost, PeerFailed: it can never be finished.
            WaitTimeout: it took longer than QMPI_TIMEOUT_S.
        """
        watch.wait(self, (ticket,), call, site, given_up)

    def wait_any(self, tickets: Sequence[Ticket], call: str) -> None:
        """`wait` for any of several, none of which is given up.

        Args:
            tickets: what to wait for, at least one.
            call: the function that waits.

        Raises:
            Deadlock, PeerLeft, RankLost, PeerFailed: none of them can ever be finished.
            WaitTimeout: it took longer than QMPI_TIMEOUT_S.
        """
        watch.wait(self, tickets, call, 0, ())

    def report_outstanding(self, comm: Any = None) -> None:
        """Warns of copies that were never undone (of one communicator, or of all); an error under QMPI_STRICT=1."""
        lines = self.obligations.outstanding(comm)
        if not lines:
            return
        text = f"{len(lines)} operation(s) were never undone:\n  " + "\n  ".join(lines)
        if self.universe.settings.strict:
            raise ObligationError(text)
        warnings.warn(text, OutstandingWarning, stacklevel=2)

    def _leave(self) -> None:
        if os.getpid() != self._process or self.core.closed:
            return
        if not self.universe.arena.ended:
            for line in self.obligations.outstanding(None):
                announce(f"qmpi: rank {self.universe.rank} leaves without undoing {line}")
        if never_received := self.core.close():
            announce(f"qmpi: {never_received} message(s) were never received")
        self.obligations = Obligations()  # operations and what they belong to would keep each other
        _sessions.pop(self.universe, None)


_sessions: dict[Universe, Session] = {}


def session_of(universe: Universe) -> Session:
    """This rank's session; made at the first call."""
    if universe not in _sessions:
        _sessions[universe] = Session(universe)
    return _sessions[universe]
