"""What becomes of a message that has come: an object, an array's memory; or, taken by a matched probe, one of the two later."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import InvalidArgument
from ..wildcards import ANY_SOURCE, ANY_TAG
from .buffers import fill_front, writable
from .mailbox import Message
from .request import Request, report, report_nothing

if TYPE_CHECKING:
    from .messages import Messages


def packed(obj: Any) -> bytes:
    """An object as it travels."""
    return pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)


def unpacked(message: Message | None) -> Any:
    """The object in a message; None of PROC_NULL."""
    return None if message is None else pickle.loads(message.data)


def reader(buf: Any) -> Callable[[Message | None], None]:
    """What writes a message, which may be shorter, into a buffer."""
    target = writable(buf)
    return lambda message: None if message is None else fill_front(target, message.data)


class Matched:
    """A message that a matched probe has taken, for nobody else to receive: mpi4py's `Message`. True until it is received."""

    def __init__(self, check: Callable[[], None], message: Message | None, source: Any) -> None:
        """Of this message; None of PROC_NULL, spelled as `source`."""
        self._check = check
        self._message = message
        self._source = source
        self._received = False

    @classmethod
    def probe(cls, comm: Messages, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> Matched:
        """As `comm.mprobe`."""
        return comm.mprobe(source, tag, status)

    @classmethod
    def iprobe(cls, comm: Messages, source: Any = ANY_SOURCE, tag: Any = ANY_TAG, status: Any = None) -> Matched | None:
        """As `comm.improbe`."""
        return comm.improbe(source, tag, status)

    Probe = probe
    Iprobe = iprobe

    def recv(self, status: Any = None) -> Any:
        """Receives the object."""
        return self.irecv().wait(status)

    def irecv(self) -> Request:
        """Receives the object, which is the result of `wait`."""
        return self._receive(unpacked)

    def Recv(self, buf: Any, status: Any = None) -> None:
        """Receives into an array; the message may be shorter."""
        self.Irecv(buf).wait(status)

    def Irecv(self, buf: Any) -> Request:
        """Receives into an array, which is written when the request is waited for."""
        return self._receive(reader(buf))

    def _receive(self, read: Callable[[Message | None], Any]) -> Request:
        self._check()
        if self._received:
            raise InvalidArgument("the message that a matched probe took has been received: each is received once")
        message = self._message
        self._received = message is not None
        if message is not None and message.received is not None:
            message.received.happen()

        def finish(status: Any) -> Any:
            if message is None:
                report_nothing(status, self._source)
            else:
                report(status, message.source, message.tag, len(message.data))
            return read(message)

        return Request(self._check, None, finish)

    def __bool__(self) -> bool:
        return not self._received
