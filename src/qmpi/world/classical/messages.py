"""Classical messages between ranks that are threads: sends, receives and probes with mpi4py's names, arguments, defaults and results.

Objects travel pickled and buffers as bytes, so ranks never share what they send. A send never waits, a synchronous one until a receive
has taken it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ...errors import Closed, RankOutOfRange, TagOutOfRange
from ...whole import whole
from ..wildcards import ANY_SOURCE, ANY_TAG, PROC_NULL, means
from .buffers import flat
from .context import Context
from .mailbox import ANY, Event, Message, Receive
from .matched import Matched, packed, reader, unpacked
from .request import Request, report, report_nothing

MAX_TAG = 2**31 - 1


class Messages:
    """One rank's point-to-point calls in one communicator. See mpi4py for what each argument means.

    Attributes:
        rank: this rank's number.
        size: how many ranks there are.
        members: world rank of each.
        context: the communicator's number, the same on all its ranks.
    """

    def __init__(self, shared: Context, rank: int) -> None:
        """Of the given rank."""
        self.rank = rank
        self.size = len(shared.members)
        self.members = shared.members
        self.context = shared.number
        self._shared = shared
        self._inbox = shared.messages[rank]
        self._freed = False

    def Get_rank(self) -> int:
        """This rank's number."""
        return self.rank

    def Get_size(self) -> int:
        """How many ranks there are."""
        return self.size

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def send(self, obj: Any, dest: Any, tag: int = 0) -> None:
        """Sends an object; never waits."""
        self._start(packed(obj), dest, tag)

    def ssend(self, obj: Any, dest: Any, tag: int = 0) -> None:
        """Sends an object; waits until a receive has taken it."""
        self._start(packed(obj), dest, tag, Event()).wait()

    def isend(self, obj: Any, dest: Any, tag: int = 0) -> Request:
        """Sends an object; the request is over at once."""
        return self._start(packed(obj), dest, tag)

    def issend(self, obj: Any, dest: Any, tag: int = 0) -> Request:
        """Sends an object; the request is over when a receive has taken it."""
        return self._start(packed(obj), dest, tag, Event())

    def recv(self, buf: Any = None, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> Any:
        """Receives an object. `buf` is ignored."""
        return self._expect(source, tag, unpacked).block(status)

    def irecv(self, buf: Any = None, source: Any = ANY_SOURCE, tag: Any = ANY_TAG) -> Request:
        """Starts to receive an object, which is the result of `wait`. `buf` is ignored."""
        return self._expect(source, tag, unpacked)

    def sendrecv(
        self,
        sendobj: Any,
        dest: Any,
        sendtag: int = 0,
        recvbuf: Any = None,
        source: Any = ANY_SOURCE,
        recvtag: Any = ANY_TAG,
        status: Any = None,
    ) -> Any:
        """Sends an object and receives one."""
        self.send(sendobj, dest, sendtag)
        return self.recv(recvbuf, source, recvtag, status)

    # --- buffers -----------------------------------------------------------------------------------------------------------------

    def Send(self, buf: Any, dest: Any, tag: int = 0) -> None:
        """Sends an array; never waits."""
        self._start(flat(buf).tobytes(), dest, tag)

    def Ssend(self, buf: Any, dest: Any, tag: int = 0) -> None:
        """Sends an array; waits until a receive has taken it."""
        self._start(flat(buf).tobytes(), dest, tag, Event()).wait()

    def Isend(self, buf: Any, dest: Any, tag: int = 0) -> Request:
        """Sends an array; the request is over at once, and the array free again."""
        return self._start(flat(buf).tobytes(), dest, tag)

    def Issend(self, buf: Any, dest: Any, tag: int = 0) -> Request:
        """Sends an array; the request is over when a receive has taken it."""
        return self._start(flat(buf).tobytes(), dest, tag, Event())

    def Recv(self, buf: Any, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> None:
        """Receives into an array; the message may be shorter."""
        self.Irecv(buf, source, tag).block(status)

    def Irecv(self, buf: Any, source: Any = ANY_SOURCE, tag: Any = ANY_TAG) -> Request:
        """Starts to receive into an array, which is written when the request is waited for."""
        return self._expect(source, tag, reader(buf))

    def Sendrecv(
        self,
        sendbuf: Any,
        dest: Any,
        sendtag: int = 0,
        recvbuf: Any = None,
        source: Any = ANY_SOURCE,
        recvtag: Any = ANY_TAG,
        status: Any = None,
    ) -> None:
        """Sends an array and receives into one, which may be the same."""
        self.Send(sendbuf, dest, sendtag)
        self.Recv(recvbuf, source, recvtag, status)

    # --- probes ------------------------------------------------------------------------------------------------------------------

    def probe(self, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> Literal[True]:
        """Waits until there is a message to receive."""
        self._look(source, tag).block(status)
        return True

    def iprobe(self, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> bool:
        """Whether there is a message to receive; does not wait."""
        return self._look(source, tag).poll(status)[0]

    def mprobe(self, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> Matched:
        """Waits until there is a message to receive, and takes it: only who has the result can receive it."""
        return self._take(source, tag).block(status)  # type: ignore[no-any-return]

    def improbe(self, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> Matched | None:
        """Takes a message to receive, if there is one; does not wait."""
        return self._take(source, tag).poll(status)[1]  # type: ignore[no-any-return]

    Probe = probe
    Iprobe = iprobe
    Mprobe = mprobe
    Improbe = improbe

    # --- matching ----------------------------------------------------------------------------------------------------------------

    def _start(self, data: bytes, dest: Any, tag: int, received: Event | None = None) -> Request:
        self._check()
        peer, tag = self._peer(dest), self._tag(tag)
        if peer is None:
            return Request(self._check)
        self._shared.messages[peer].deliver(Message(self.rank, tag, data, received))
        return Request(self._check, received, cannot=lambda: self._shared.ended([peer]))

    def _expect(self, source: Any, tag: Any, read: Callable[[Message | None], Any]) -> Request:
        return self._match(self._inbox.receive, source, tag, read)

    def _look(self, source: Any, tag: Any) -> Request:
        return self._match(self._inbox.probe, source, tag, lambda message: None)

    def _take(self, source: Any, tag: Any) -> Request:
        return self._match(self._inbox.claim, source, tag, lambda message: Matched(self._check, message, source))

    def _match(self, post: Callable[[int, int], Receive], source: Any, tag: Any, read: Callable[[Message | None], Any]) -> Request:
        self._check()
        peer = ANY if means(source, ANY_SOURCE) else self._peer(source)
        wanted_tag = ANY if means(tag, ANY_TAG) else self._tag(tag)
        if peer is None:

            def nothing(status: Any) -> Any:
                report_nothing(status, source)
                return read(None)

            return Request(self._check, None, nothing)
        wanted = post(peer, wanted_tag)

        def finish(status: Any) -> Any:
            message = wanted.message
            report(status, message.source, message.tag, len(message.data))
            return read(message)

        senders = range(self.size) if peer == ANY else [peer]
        return Request(
            self._check,
            wanted.arrival,
            finish,
            lambda: self._inbox.withdraw(wanted),
            lambda: self._shared.ended((sender for sender in senders if sender != self.rank), all_of_them=True),
        )

    # --- checks ------------------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raises if the run has ended, or this communicator."""
        self._shared.check()
        if self._freed:
            raise Closed("the communicator has been freed")

    def _peer(self, rank: Any) -> int | None:
        """None for PROC_NULL."""
        if means(rank, PROC_NULL):
            return None
        number = whole(rank)
        if not 0 <= number < self.size:
            raise RankOutOfRange(f"rank {rank!r} is not one of 0 to {self.size - 1} (or PROC_NULL)")
        return number

    def _tag(self, tag: Any) -> int:
        number = whole(tag)
        if not 0 <= number <= MAX_TAG:
            raise TagOutOfRange(f"tag {tag!r} is not one of 0 to {MAX_TAG}")
        return number
