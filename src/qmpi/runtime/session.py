"""The session of this rank: the compiled one, and what Python adds to it. Knows neither communicators' methods nor gates."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from typing import Any

from .._core import Session as Core
from .._core import Ticket
from ..errors import ObligationError, OutstandingWarning, WaitTimeout, set_rank
from ..world.base import Universe
from .ledger import Book
from .obligations import Obligations


class Session:
    """One rank's session.

    Attributes:
        core: the compiled session: handles, gate buffer, messages.
        book: what this rank has spent.
        obligations: what this rank must undo.
    """

    def __init__(self, universe: Universe) -> None:
        """Registers the rank; at exit it reports what was left undone."""
        self.universe = universe
        self.core = Core(universe.arena, universe.rank)
        self.book = Book(self.core, universe.arena)
        self.obligations = Obligations()
        self.core.on_discharge = self.obligations.discharge
        self.timeout_s = universe.settings.timeout_s
        set_rank(universe.rank)
        self._process = os.getpid()
        atexit.register(self._leave)

    def wait(self, ticket: Ticket) -> None:
        """Waits until the ticket is finished; Ctrl-C interrupts within 100 ms.

        Raises:
            WaitTimeout: it took longer than QMPI_TIMEOUT_S. What was posted is still posted.
        """
        if not ticket.wait(self.timeout_s):
            raise WaitTimeout(f"nothing came for {self.timeout_s:g} s (QMPI_TIMEOUT_S)")

    def wait_or_withdraw(self, ticket: Ticket) -> None:
        """The same for a blocking call: what it posted does not outlive it."""
        try:
            self.wait(ticket)
        except BaseException:
            ticket.withdraw()
            raise

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
        for line in self.obligations.outstanding(None):
            print(f"qmpi: rank {self.universe.rank} leaves without undoing {line}", file=sys.stderr)
        left = self.universe.arena.leave()
        if left:
            print(f"qmpi: {left} message(s) were never received", file=sys.stderr)
        self.core.close()


_session: Session | None = None


def session_of(universe: Universe) -> Session:
    """This rank's session; made at the first call."""
    global _session
    if _session is None:
        _session = Session(universe)
    return _session
