"""What has come to one rank and what it waits for: MPI's matching, among threads of one process.

Whoever comes second, message or receive, makes the match; messages and receives are looked through oldest first. Knows nothing of
communicators, objects or buffers, nor of how a run ends: who waits calls, every now and then, the check it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ...errors import PeerLeft

ANY = -1  # matches every source, or every tag
_LOOK_UP_S = 0.05  # how long a wait may keep Ctrl-C, or the end of the run, from the waiting thread


class Event:
    """Something that happens once.

    A bare lock: an exception thrown into the waiting thread from outside cannot leave it half locked, as it can a `Condition`.

    Attributes:
        happened: whether it has.
    """

    __slots__ = ("_door", "happened")

    def __init__(self) -> None:
        """Has not happened yet."""
        self.happened = False
        self._door = Lock()
        self._door.acquire()

    def happen(self) -> None:
        """Wakes who waits; once only."""
        self.happened = True
        self._door.release()

    def wait(self, check: Callable[[], None], cannot: Callable[[], str]) -> None:
        """Returns once it has happened; calls `check` at least every 50 ms, which may raise.

        Raises:
            PeerLeft: it will never happen; `cannot` said why.
        """
        while not self.happened:
            self._door.acquire(timeout=_LOOK_UP_S)
            why = cannot()  # before the last look: who has left did before what it had to do
            if self.happened:
                return
            check()
            if why:
                raise PeerLeft(why)


@dataclass(slots=True, eq=False)
class Message:
    """One message on its way.

    Attributes:
        source: rank of the sender.
        tag: its tag.
        data: what it carries; nobody changes it.
        received: what a synchronous sender waits for.
    """

    source: int
    tag: int
    data: Any
    received: Event | None = None


@dataclass(slots=True, eq=False)
class Receive:
    """One receive or probe.

    Attributes:
        source: rank wanted, or ANY.
        tag: tag wanted, or ANY.
        message: what it got, once `arrival` has happened.
        arrival: the match.
    """

    source: int
    tag: int
    message: Message = field(init=False)
    arrival: Event = field(default_factory=Event)

    def fits(self, message: Message) -> bool:
        """Whether the message is one of those wanted."""
        return self.source in (ANY, message.source) and self.tag in (ANY, message.tag)

    def see(self, message: Message) -> None:
        """Ends a probe."""
        self.message = message
        self.arrival.happen()

    def take(self, message: Message) -> None:
        """Ends a receive, and its sender's wait."""
        self.see(message)
        if message.received is not None:
            message.received.happen()


class Claim(Receive):
    """A matched probe: takes the message, whose sender waits until it is received."""

    __slots__ = ()

    def take(self, message: Message) -> None:
        """Ends the probe."""
        self.see(message)


class Mailbox:
    """The messages that one rank has not received, and its receives and probes that nothing has matched, in one context."""

    __slots__ = ("_arrived", "_lock", "_probes", "_receives")

    def __init__(self) -> None:
        """Empty."""
        self._lock = Lock()  # held for list operations only
        self._arrived: list[Message] = []
        self._receives: list[Receive] = []
        self._probes: list[Receive] = []

    def deliver(self, message: Message) -> None:
        """Hands a message to the oldest receive that wants it, or keeps it and shows it to the probes."""
        with self._lock:
            for receive in self._receives:
                if receive.fits(message):
                    self._receives.remove(receive)
                    receive.take(message)
                    return
            self._arrived.append(message)
            for probe in [probe for probe in self._probes if probe.fits(message)]:
                self._probes.remove(probe)
                probe.see(message)

    def receive(self, source: int, tag: int) -> Receive:
        """Takes the oldest message that fits, now or when it comes."""
        return self._take(Receive(source, tag))

    def claim(self, source: int, tag: int) -> Receive:
        """`receive` for a matched probe."""
        return self._take(Claim(source, tag))

    def _take(self, wanted: Receive) -> Receive:
        with self._lock:
            message = self._oldest(wanted)
            if message is None:
                self._receives.append(wanted)
            else:
                self._arrived.remove(message)
                wanted.take(message)
        return wanted

    def probe(self, source: int, tag: int) -> Receive:
        """Shows the oldest message that fits, now or when it comes, and leaves it where it is."""
        wanted = Receive(source, tag)
        with self._lock:
            message = self._oldest(wanted)
            if message is None:
                self._probes.append(wanted)
            else:
                wanted.see(message)
        return wanted

    def withdraw(self, wanted: Receive) -> bool:
        """Takes back a receive or probe; False if it has its message."""
        with self._lock:
            for waiting in (self._receives, self._probes):
                if wanted in waiting:
                    waiting.remove(wanted)
                    return True
        return False

    def _oldest(self, wanted: Receive) -> Message | None:
        return next((message for message in self._arrived if wanted.fits(message)), None)
