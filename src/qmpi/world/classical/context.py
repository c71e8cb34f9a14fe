"""What the ranks of one communicator share when they are threads: mailboxes and barriers. Knows nothing of what the messages mean."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from threading import Lock

from .mailbox import Event, Mailbox


class Context:
    """What the ranks of one communicator share.

    Attributes:
        number: unique among the contexts of a hub.
        members: world rank of each rank.
        check: raises if the run has ended.
        messages: each rank's mailbox for its own messages.
        collectives: each rank's mailbox for those of collective calls.
    """

    def __init__(self, number: int, members: tuple[int, ...], check: Callable[[], None]) -> None:
        """With empty mailboxes."""
        self.number = number
        self.members = members
        self.check = check
        self.messages = [Mailbox() for _ in members]
        self.collectives = [Mailbox() for _ in members]
        self._lock = Lock()
        self._turns = [count() for _ in members]
        self._barriers: dict[int, list[Event]] = {}

    def come(self, rank: int) -> Event:
        """Enters this rank's next barrier; what is returned happens when all ranks have entered it."""
        turn, event = next(self._turns[rank]), Event()
        with self._lock:
            here = self._barriers.setdefault(turn, [])
            here.append(event)
            if len(here) == len(self.members):
                for each in self._barriers.pop(turn):
                    each.happen()
        return event
