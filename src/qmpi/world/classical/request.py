"""Requests of classical messages, and what a receive reports: mpi4py's `Request` and `Status` between ranks that are threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..wildcards import ANY_SOURCE, ANY_TAG, PROC_NULL, of_mpi4py, spelled_like
from .mailbox import Event


class Status:
    """What a receive or a probe found. mpi4py's own `Status` may be given as well.

    Attributes:
        source: rank of the sender; PROC_NULL for a receive from it.
        tag: the message's tag.
        count: its length in bytes.
        cancelled: whether it was cancelled instead.
    """

    __slots__ = ("cancelled", "count", "source", "tag")

    def __init__(self) -> None:
        """Of nothing yet."""
        self.source: Any = ANY_SOURCE
        self.tag: Any = ANY_TAG
        self.count = 0
        self.cancelled = False

    def Get_source(self) -> Any:
        """Rank of the sender."""
        return self.source

    def Get_tag(self) -> Any:
        """The message's tag."""
        return self.tag

    def Get_count(self, datatype: Any = None) -> int:
        """The message's length, in bytes or in items of an mpi4py datatype."""
        return self.count if datatype is None else self.count // int(datatype.Get_size())

    def Is_cancelled(self) -> bool:
        """Whether the operation was cancelled."""
        return self.cancelled

    def Set_source(self, source: Any) -> None:
        """Sets the sender."""
        self.source = source

    def Set_tag(self, tag: Any) -> None:
        """Sets the tag."""
        self.tag = tag

    def Set_elements(self, datatype: Any, count: int) -> None:
        """Sets the length, in bytes."""
        self.count = count

    def Set_cancelled(self, flag: bool) -> None:
        """Sets whether it was cancelled."""
        self.cancelled = flag


def report(status: Any, source: Any, tag: Any, length: int) -> None:
    """Fills a status, if there is one; `length` is in bytes."""
    if status is not None:
        status.Set_source(source)
        status.Set_tag(tag)
        status.Set_elements(of_mpi4py("BYTE"), length)


def report_nothing(status: Any, source: Any) -> None:
    """What a receive from PROC_NULL, which was spelled as `source`, reports."""
    example = source if isinstance(status, Status) else None
    report(status, spelled_like(example, PROC_NULL), spelled_like(example, ANY_TAG), 0)


class Request:
    """One operation in flight. Once it has been waited for, it does nothing more and gives None."""

    __slots__ = ("_cannot", "_check", "_event", "_finish", "_withdraw")

    def __init__(
        self,
        check: Callable[[], None],
        event: Event | None = None,
        finish: Callable[[Any], Any] = lambda status: None,
        withdraw: Callable[[], bool] = lambda: False,
        cannot: Callable[[], str] = lambda: "",
    ) -> None:
        """Of an operation that is over when `event` has happened (at once if None), unless it cannot, for the reason that is told.

        `finish` fills the status and makes the result.
        """
        self._cannot = cannot
        self._check = check
        self._event = event
        self._finish: Callable[[Any], Any] | None = finish
        self._withdraw = withdraw

    def wait(self, status: Any = None) -> Any:
        """Waits; returns the object received, None for other operations."""
        self._check()
        if self._event is not None:
            self._event.wait(self._check, self._cannot)
        return self._complete(status)

    def test(self, status: Any = None) -> tuple[bool, Any]:
        """Whether it is over, and the object received; does not wait."""
        self._check()
        if self._event is not None and not self._event.happened:
            return False, None
        return True, self._complete(status)

    def Wait(self, status: Any = None) -> Literal[True]:
        """Waits."""
        self.wait(status)
        return True

    def Test(self, status: Any = None) -> bool:
        """Whether it is over; does not wait."""
        return self.test(status)[0]

    def Cancel(self) -> None:
        """Takes back a receive that nothing has matched. It must be waited for all the same."""
        if self._withdraw():
            self._event = None
            self._finish = lambda status: None if status is None else status.Set_cancelled(True)

    @classmethod
    def waitall(cls, requests: Sequence[Request], statuses: list[Any] | None = None) -> list[Any]:
        """Waits for all; returns the objects received. `statuses` grows to the number of requests."""
        if statuses is None:
            return [request.wait() for request in requests]
        statuses.extend(Status() for _ in requests[len(statuses) :])
        return [request.wait(status) for request, status in zip(requests, statuses, strict=False)]

    @classmethod
    def Waitall(cls, requests: Sequence[Request], statuses: list[Any] | None = None) -> Literal[True]:
        """Waits for all."""
        cls.waitall(requests, statuses)
        return True

    def block(self, status: Any = None) -> Any:
        """`wait` for a blocking call: what nothing has matched is taken back if the wait ends by an exception."""
        try:
            return self.wait(status)
        except BaseException:
            self._withdraw()
            raise

    def poll(self, status: Any = None) -> tuple[bool, Any]:
        """`test` for a call that does not wait: what nothing has matched is taken back."""
        found, result = self.test(status)
        if found or self._withdraw():
            return found, result
        return True, self.wait(status)  # matched in this very moment

    def _complete(self, status: Any) -> Any:
        finish, self._finish = self._finish, None
        return None if finish is None else finish(status)
