"""Requests: operations that have been posted and may still be under way. Whoever completes a match executes it, so a request makes
progress while its owner does something else, classical MPI included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from .._core import Failure, Ticket
from ..errors import InvalidArgument, MismatchedMessage, PeerFailed, QMPIError, StateTooLarge, Truncated
from ..runtime.session import Session

if TYPE_CHECKING:
    from .persistent import Persistent

Result = TypeVar("Result")
AnyRequest: TypeAlias = "Request[Any] | Persistent[Any]"


@dataclass(slots=True)
class Status:
    """What a receive got.

    Attributes:
        source: rank of the sender in the communicator; PROC_NULL for a receive from it.
        tag: the message's tag.
        count: its number of qubits.
    """

    source: object = None
    tag: object = None
    count: int = 0


class Request(Generic[Result]):
    """One operation in flight. The qubits it names are frozen until it has been waited for (or `test` was true).

    `wait` and `test` give the operation's result: a Register for receives, a `Sent` for copies, None otherwise.
    """

    __slots__ = ("_call", "_cancellable", "_comm", "_failure", "_finish", "_result", "_session", "_site", "_ticket", "_withdrawn")

    def __init__(
        self,
        session: Session,
        ticket: Ticket | None,
        finish: Callable[[], Result],
        call: str = "",
        site: int = 0,
        comm: str = "",
        withdrawn: Callable[[], None] | None = None,
        cancellable: bool = True,
    ) -> None:
        """`finish` checks and books the ticket and makes the result; no ticket means that nothing had to be done.

        `withdrawn` is called when a blocking call has been given up as if it had never begun.
        """
        self._session = session
        self._ticket = ticket
        self._call = call
        self._site = site
        self._finish: Callable[[], Result] | None = finish
        self._result: Result | None = None
        self._failure: Exception | None = None
        self._comm = comm
        self._withdrawn = withdrawn
        self._cancellable = cancellable

    def wait(self) -> Result:
        """Waits until the operation is complete.

        Returns:
            The operation's result; the same when called again, as is what it raises.

        Raises:
            Truncated, MismatchedMessage: the message does not fit this receive; it stays in the mailbox.
            PeerFailed: the peer will not undo the operation.
            Deadlock, PeerLeft, RankLost: it can never be complete.
            WaitTimeout: it took longer than QMPI_TIMEOUT_S.
        """
        if self._ticket is not None and not self._ticket.finished:
            self._session.wait(self._ticket, self._call, self._site)
        return self._complete()

    def block(self) -> Result:
        """`wait` for a blocking call: what it posted is withdrawn if the wait ends by Ctrl-C or a time-out."""
        if self._ticket is not None and not self._ticket.finished:
            try:
                self._session.wait(self._ticket, self._call, self._site, (self._ticket,))
            except BaseException:
                if self._withdrawn is not None and self._ticket.untouched:
                    self._withdrawn()
                raise
        return self._complete()

    def test(self) -> bool:
        """True once the operation is complete; does not wait. The result is then `wait()`'s.

        Raises:
            Truncated, MismatchedMessage, PeerFailed: as `wait`.
        """
        if self._finish is None:
            self._complete()
            return True
        if self._ticket is not None and not self._ticket.wait(0):
            return False
        self._complete()
        return True

    def cancel(self) -> bool:
        """Takes back what nothing has matched: a receive, prepare_epr, or a send, whose copy or move is undone (its pair stays charged).

        Collectives and inverses cannot be cancelled, as in MPI.

        Returns:
            True if it was taken back, False if it was matched first and completes as usual.
        """
        if self._finish is None or self._ticket is None or not self._cancellable:
            return False
        if self._ticket.take_back():
            self._session.book.charge(self._call, self._site, self._comm, self._ticket.settle())
        elif not self._ticket.withdraw():
            return False
        self._finish = None
        return True

    @property
    def complete(self) -> bool:
        """True once it has been waited for, or `test` was true."""
        return self._finish is None

    @property
    def _active(self) -> Request[Result]:
        """What is to be waited for. (A persistent request has nothing as long as it is not started.)"""
        return self

    @property
    def _awaited(self) -> list[Ticket]:
        """The tickets that this request still waits for."""
        return [] if self._ticket is None or self._ticket.finished else [self._ticket]

    def _complete(self) -> Result:
        if self._finish is not None:
            finish, self._finish, self._ticket = self._finish, None, None
            try:
                self._result = finish()
            except Exception as failure:
                self._failure = failure
        if self._failure is not None:
            raise self._failure
        return self._result  # type: ignore[return-value]


class Joined(Request[Result]):
    """Several operations as one request: complete when all are."""

    __slots__ = ("_given_up", "_parts")

    def __init__(self, parts: Sequence[Request[Any]], finish: Callable[[], Result], given_up: Callable[[], None] = lambda: None) -> None:
        """finish(): called once all parts are complete, makes the result; given_up(): called instead if that will never be."""
        super().__init__(parts[0]._session, None, finish)
        self._parts = parts
        self._given_up = given_up

    def wait(self) -> Result:
        """Waits until all parts are complete.

        Returns:
            The operation's result.
        """
        self._each(lambda part: part.wait())
        return self._complete()

    def block(self) -> Result:
        """`wait` for a blocking call: what has not been matched is withdrawn if the wait ends by Ctrl-C or a time-out."""
        self._each(lambda part: part.block(), gives_up=True)
        return self._complete()

    def test(self) -> bool:
        """True once all parts are complete; does not wait."""
        if not all(self._each(lambda part: part.test())):
            return False
        self._complete()
        return True

    def cancel(self) -> bool:
        """Takes back the parts that nothing has matched.

        Returns:
            True if that were all of them; False if the first one was matched: then it completes as usual. If only the other one was, it is
            over, and `wait` says so.
        """
        if self._finish is None or not self._parts[0].cancel():
            return False
        taken_back = all([part.cancel() for part in self._parts[1:]])
        self._finish = None
        if not taken_back:
            self._failure = PeerFailed("the request was cancelled, but what it sent had been received already")
        self._given_up()
        return taken_back

    def _each(self, call: Callable[[Request[Any]], Any], gives_up: bool = False) -> list[Any]:
        """Calls it with each part. If one fails for good, or on request in any case, the others are taken back or completed."""
        results = []
        for part in self._parts:
            try:
                results.append(call(part))
            except BaseException:
                if self._finish is not None and (gives_up or part.complete):
                    self._finish = None
                    for other in self._parts:
                        if other is not part and other._cancellable and not other.cancel():
                            with suppress(QMPIError):
                                other.wait()
                    self._given_up()
                raise
        return results

    @property
    def _awaited(self) -> list[Ticket]:
        waiting = (part._awaited for part in self._parts)
        return next((tickets for tickets in waiting if tickets), [])


# --- several at once -----------------------------------------------------------------------------------------------------------------


def waitall(requests: Sequence[AnyRequest]) -> list[Any]:
    """Waits until all requests are complete.

    Args:
        requests: any number; a persistent one that is not started is not waited for.

    Returns:
        Their results, in their order; None for what was not started.

    Raises:
        QMPIError: whatever the first one that fails raises; the others can still be waited for.
    """
    return [None if (active := request._active) is None else active.wait() for request in requests]


def waitany(requests: Sequence[AnyRequest]) -> tuple[int, Any]:
    """Waits until one of the requests is complete.

    Args:
        requests: at least one; persistent ones that are not started are passed over.

    Returns:
        Its index, and its result.

    Raises:
        InvalidArgument: there is none, or none that is started.
        QMPIError: whatever that one raises.
    """
    index, request = _any_of(requests, "waitany")[0]
    return index, request.wait()


def waitsome(requests: Sequence[AnyRequest]) -> list[tuple[int, Any]]:
    """Waits until one of the requests is complete, and takes all that are.

    Args:
        requests: at least one; persistent ones that are not started are passed over.

    Returns:
        Index and result of each.

    Raises:
        InvalidArgument: there is none, or none that is started.
        QMPIError: whatever the first one that fails raises.
    """
    return [(index, request.wait()) for index, request in _any_of(requests, "waitsome")]


def testall(requests: Sequence[AnyRequest]) -> bool:
    """Whether all requests are complete; does not wait.

    Args:
        requests: any number; a persistent one that is not started is complete.

    Returns:
        True if all are; their results are then `wait()`'s.

    Raises:
        QMPIError: whatever the first one that fails raises.
    """
    return all([request.test() for request in requests])


def _any_of(requests: Sequence[AnyRequest], call: str) -> list[tuple[int, Request[Any]]]:
    """Index and request of those that are complete, at least one."""
    active = [(index, request._active) for index, request in enumerate(requests)]
    waiting = [(index, request) for index, request in active if request is not None]
    if not waiting:
        raise InvalidArgument(f"{call} needs at least one request, and one that is started if they are persistent")
    while True:
        if done := [(index, request) for index, request in waiting if not request._awaited]:
            return done
        waiting[0][1]._session.wait_any([ticket for _, request in waiting for ticket in request._awaited], call)


def check(ticket: Ticket) -> None:
    """Raises what a finished ticket failed with."""
    if not ticket.failed:
        return
    failure = ticket.failure
    if failure == Failure.truncated:
        raise Truncated(f"the message has {ticket.count} qubit(s), more than the target; it stays in the mailbox")
    if failure == Failure.other_verb:
        raise MismatchedMessage(
            "the message that fits is a move where a copy is received, or the other way round: "
            "pair send with recv, send_move with recv_move; it stays in the mailbox"
        )
    if failure == Failure.memory:
        raise StateTooLarge("the message does not fit into memory; it stays in the mailbox")
    if failure == Failure.counts:
        raise InvalidArgument(f"prepare_epr: the other rank brought {ticket.count} qubit(s), another number than this one")
    raise PeerFailed(f"this cannot be undone: {ticket.data.decode(errors='replace')}")
