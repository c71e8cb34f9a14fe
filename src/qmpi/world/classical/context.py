"""What the ranks of one communicator share when they are threads: mailboxes and barriers. Knows nothing of what the messages mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from itertools import count
from threading import Lock

from .mailbox import Event, Mailbox


class Context:
    """What the ranks of one communicator share.

    Attributes:
        number: unique among the contexts of a hub.
        members: world rank of each rank.
        check: raises if the run has ended.
        gone: world ranks that have ended.
        messages: each rank's mailbox for its own messages.
        collectives: each rank's mailbox for those of collective calls.
    """

    def __init__(self, number: int, members: tuple[int, ...], check: Callable[[], None], gone: Set[int]) -> None:
        """With empty mailboxes."""
        self.number = number
        self.members = members
        self.check = check
        self.gone = gone
        self.messages = [Mailbox() for _ in members]
        self.collectives = [Mailbox() for _ in members]
        self._lock = Lock()
        self._turns = [count() for _ in members]
        self._barriers: dict[int, dict[int, Event]] = {}
        self._calls = [count() for _ in members]
        self._agreed: dict[int, tuple[int, int]] = {}  # by call: the number, and how many ranks will still ask for it

    def agree(self, rank: int, draw: Callable[[], int]) -> int:
        """A number that the ranks' n-th calls have in common, drawn by the first of them. Nobody waits, and no message is sent."""
        call = next(self._calls[rank])
        with self._lock:
            number, left = self._agreed.pop(call) if call in self._agreed else (draw(), len(self.members))
            if left > 1:
                self._agreed[call] = number, left - 1
        return number

    def come(self, rank: int) -> tuple[Event, Callable[[], str]]:
        """Enters this rank's next barrier; what is returned happens when all ranks have entered it, unless one of them has ended."""
        turn, event = next(self._turns[rank]), Event()
        with self._lock:
            here = self._barriers.setdefault(turn, {})
            here[rank] = event
            if len(here) == len(self.members):
                for each in self._barriers.pop(turn).values():
                    each.happen()
        return event, lambda: self.ended(rank for rank in range(len(self.members)) if rank not in here)

    def ended(self, ranks: Iterable[int], all_of_them: bool = False) -> str:
        """Says which of the ranks have ended; nothing if none has, or not all of them."""
        if not self.gone:  # asked in every wait, every 50 ms: a thousand ranks would have no time for anything else
            return ""
        asked = list(ranks)
        gone = [str(rank) for rank in asked if self.members[rank] in self.gone]
        if not gone or (all_of_them and len(gone) < len(asked)):
            return ""
        return f"this waits for rank {', '.join(gone)} of the communicator, which has ended"
