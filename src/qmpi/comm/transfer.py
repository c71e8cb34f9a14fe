"""How copies, moves and EPR pairs are posted, completed and undone. What each public call means is written in point_to_point.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from .._core import ANY_SOURCE as _CORE_ANY_SOURCE
from .._core import ANY_TAG as _CORE_ANY_TAG
from .._core import Mode, Qubit, Ticket, Verb, call_site, describe_site
from ..errors import Closed, DuplicateQubit, FreedQubit, RankOutOfRange, TagOutOfRange
from ..runtime.collective import Group
from ..runtime.obligations import Operation, Side
from ..runtime.session import Session
from ..whole import whole
from ..world.wildcards import ANY_SOURCE, ANY_TAG, PROC_NULL, Wildcard, means
from .register import Operand, Register, qubits_of
from .request import Request, Result, Status, check

MAX_TAG = 2**31 - 1
USER, INVERSE, EPR, COLLECTIVE = range(4)  # the contexts of a communicator


_INVERSES = {
    Side.ORIGINAL: "unsend",
    Side.COPY: "unrecv",
    Side.SOURCE: "unsend_move",
    Side.DESTINATION: "unrecv_move",
}


class Sent:
    """What `send` and `send_move` return: a context manager that undoes them at the end of its block.

    Attributes:
        operation: the copy or move; `operation.open` until it is undone, or its qubits measured, reset or freed.
    """

    __slots__ = ("operation",)

    def __init__(self, operation: Operation) -> None:
        """Of the given operation."""
        self.operation = operation

    def __enter__(self) -> Sent:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Undoes the operation; after an exception, gives it up."""
        self.operation.comm._leave(self.operation, error)


@dataclass(slots=True)
class Message:
    """A message that `mprobe` has found: nobody else receives it. `mrecv` or `mrecv_move` does.

    Attributes:
        comm: the communicator it came through.
        source: rank of its sender.
        tag: its tag.
        count: its number of qubits.
        found: the core's name of it; 0 once it has been received.
    """

    comm: Transfer
    source: int | Wildcard
    tag: int | Wildcard
    count: int
    found: int


class Transfer:
    """This rank's side of every transfer in a communicator."""

    rank: int
    size: int
    mpi: Any
    _session: Session
    _group: Group
    _members: tuple[int, ...]
    _comm_rank: dict[int, int]  # universe rank -> rank here
    _context: int
    _name: str
    _closed: bool

    def _prepare_epr(self, call: str, q: Operand, peer: int | Wildcard, tag: int) -> Request[None]:
        qubits = self._operand(q)
        other, tag = self._peer(peer), self._tag(tag)
        if other is None:
            return self._nothing(None)
        if other == self._members[self.rank]:
            raise RankOutOfRange("prepare_epr needs another rank: within a rank use h and cx")
        self._session.obligations.refuse_any(qubits, "using it as an EPR half")
        self._session.core.require_zero(qubits)
        ticket = self._session.core.meet(qubits, other, self._context + EPR, tag)
        return self._request(call, ticket, lambda: None)

    def _send(self, call: str, verb: Verb, q: Operand, dest: int | Wildcard, tag: int, mode: Mode = Mode.standard) -> Request[Sent]:
        qubits = self._operand(q)
        side = Side.ORIGINAL if verb == Verb.copy else Side.SOURCE
        if side is Side.SOURCE:
            self._session.obligations.refuse_any(qubits, "moving it away")
        peer, tag = self._peer(dest), self._tag(tag)
        site = call_site()
        if peer is None:
            return self._nothing(Sent(self._operation(0, side, None, tag, qubits, site)))
        ticket = self._session.core.send(verb, qubits, peer, self._context + USER, tag, mode=mode)

        def finish() -> Sent:
            return Sent(self._operation(ticket.operation, side, peer, tag, qubits, site))

        return self._request(call, ticket, finish, site)

    def _recv(
        self,
        call: str,
        verb: Verb,
        q: Operand | None,
        source: int | Wildcard,
        tag: int | Wildcard,
        status: Status | None,
        wanted: int = 0,
    ) -> Request[Register]:
        self._refuse_if_closed()
        side = Side.COPY if verb == Verb.copy else Side.DESTINATION
        target = None if q is None else self._operand(q)
        peer, wanted_tag = self._source(source), self._any_tag(tag)
        site = call_site()
        if target is not None:
            self._session.obligations.refuse_any(target, "receiving into it")
            self._session.core.require_zero(target)
        if peer is None:
            if status is not None:
                status.source, status.tag, status.count = PROC_NULL, ANY_TAG, 0
            qubits = target or ()
            asked = ANY_TAG if wanted_tag == _CORE_ANY_TAG else wanted_tag
            return self._nothing(Register(qubits, self._operation(0, side, None, asked, qubits, site)))
        ticket = self._session.core.receive(verb, target, peer, self._context + USER, wanted_tag, wanted=wanted)

        def finish() -> Register:
            qubits = tuple(ticket.arrived)
            if status is not None:
                status.source, status.tag, status.count = self._comm_rank[ticket.source], ticket.tag, len(qubits)
            operation = self._operation(ticket.operation, side, ticket.source, ticket.tag, qubits, site)
            operation.allocated = qubits if target is None else ()
            return Register(qubits, operation)

        return self._request(call, ticket, finish, site)

    def _unsend(self, call: str, q: Operand, dest: int | Wildcard | None, tag: int | None) -> Request[None]:
        return self._undo(call, self._find(Side.ORIGINAL, q, dest, tag))

    def _unrecv(self, call: str, q: Operand, source: int | Wildcard | None, tag: int | Wildcard | None) -> Request[None]:
        return self._undo(call, self._find(Side.COPY, q, source, tag))

    def _unsend_move(self, call: str, q: Operand, dest: int | Wildcard | None, tag: int | None) -> Request[None]:
        return self._undo(call, self._find(Side.SOURCE, q, dest, tag))

    def _unrecv_move(self, call: str, q: Operand, source: int | Wildcard | None, tag: int | Wildcard | None) -> Request[None]:
        return self._undo(call, self._find(Side.DESTINATION, q, source, tag))

    def _leave(self, operation: Operation, error: BaseException | None) -> None:
        """Ends the `with` block of an operation: undoes it and frees what it allocated, or after an exception gives it up.

        What the block's manager calls.

        Args:
            operation: what the block began with.
            error: the exception that left the block, if one did.

        Raises:
            FreedQubit: a qubit of the operation was freed in the block; the operation is given up.

        Cost: that of the operation's inverse; nothing after an exception.
        """
        sides = [side for side in (operation, operation.partner) if side is not None and side.open]
        try:
            if error is None and sides:
                self._refuse_freed(sides)
                self._undo_at_end(operation)
                if operation in sides and operation.allocated:
                    self._session.core.free(operation.allocated)
        except BaseException as failure:
            error = failure
            raise
        finally:
            if error is not None:
                for side in sides:
                    self._session.obligations.abandon(side, error)

    def _refuse_freed(self, sides: Sequence[Operation]) -> None:
        """Raises FreedQubit if what the end of a block is to undo lacks a qubit."""
        for side in sides:
            if side.id and any(qubit.freed for qubit in side.qubits):
                raise FreedQubit(f"a qubit has been freed that the end of its block needs, free it after the block: {side}")

    def _undo_at_end(self, operation: Operation) -> None:
        self._undo(_INVERSES[operation.side], operation).block()

    def _probe(
        self, call: str, source: int | Wildcard, tag: int | Wildcard, status: Status | None, claims: bool, waits: bool
    ) -> Message | None:
        """Looks for a message; one that is claimed is for this call's caller only."""
        self._refuse_if_closed()
        peer, wanted_tag = self._source(source), self._any_tag(tag)
        status = Status() if status is None else status
        if peer is None:
            status.source, status.tag, status.count = PROC_NULL, ANY_TAG, 0
            return Message(self, PROC_NULL, ANY_TAG, 0, 0)
        ticket = self._session.core.probe(peer, self._context + USER, wanted_tag, claims)

        def finish() -> Message:
            status.source, status.tag, status.count = self._comm_rank[ticket.source], ticket.tag, ticket.count
            return Message(self, self._comm_rank[ticket.source], ticket.tag, ticket.count, ticket.found)

        request = Request(self._session, ticket, finish, call, call_site())
        if waits or request.test():
            return request.block()
        if not request.cancel():  # it has come this very moment
            return request.block()
        return None

    def _undo(self, call: str, operation: Operation) -> Request[None]:
        """This side's part of the inverse; the other side does its own."""
        obligations, core = self._session.obligations, self._session.core
        qubits, side = operation.qubits, operation.side
        if operation.peer is None or not qubits:
            obligations.close(operation)
            return self._nothing(None)
        if side is Side.COPY:
            obligations.refuse_others(qubits, operation, "undoing the copy")
        elif not side.obliges:
            obligations.refuse_any(qubits, "moving it back")
        peer, context = self._members[operation.peer], self._context + INVERSE
        verb = Verb.uncopy if side.obliges else Verb.unmove
        if side in (Side.COPY, Side.DESTINATION):  # returns bits, or the state
            ticket = core.send(verb, qubits, peer, context, 0, operation.id)
            obligations.close(operation)
            return self._request(call, ticket, lambda: None, cancellable=False)
        if side is Side.SOURCE:
            core.require_zero(qubits)
        ticket = core.receive(verb, qubits, peer, context, _CORE_ANY_TAG, operation.id)
        # Over in any case: the peer has either done its part or told that it never will.

        def ending() -> None:
            if operation.open:
                obligations.close(operation)

        return self._request(call, ticket, lambda: None, ending=ending, cancellable=False)

    def _operation(self, number: int, side: Side, peer: int | None, tag: int | Wildcard, qubits: tuple[Qubit, ...], site: int) -> Operation:
        """Enters an operation; `peer` is a universe rank."""
        rank = None if peer is None else self._comm_rank[peer]
        operation = Operation(number, side, self, rank, tag, qubits, site)
        self._session.obligations.record(operation)
        return operation

    def _tell(self, operation: Operation, how: str) -> None:
        """Tells the peer why a copy will not be undone. What the obligations call.

        Args:
            operation: this side of the copy.
            how: what became of it, as the end of a sentence about this rank.

        Cost: 0 EPR pairs, 0 bits.
        """
        if operation.peer is not None:
            text = f"rank {self.rank}, which received it at {describe_site(operation.site)}, {how}"
            peer, context = self._members[operation.peer], self._context + INVERSE
            self._session.core.send_note(text, peer, context, 0, operation.id)

    def _disclaim(self, operation: Operation) -> None:
        """What the holder of a copy will do with it is of no interest any more."""
        if operation.peer is not None:
            self._session.core.disclaim(self._members[operation.peer], self._context + INVERSE, operation.id)

    def _find(
        self,
        side: Side,
        q: Operand,
        peer: int | Wildcard | None,
        tag: int | Wildcard | None,
        fits: Callable[[Operation], bool] = lambda operation: operation.partner is None or operation.side.obliges,
    ) -> Operation:
        qubits = self._operand(q)
        if not qubits:  # what a receive from PROC_NULL returned
            return self._operation(0, side, None, 0, qubits, 0)
        rank = None if peer is None else self._peer(peer)
        wanted = None if rank is None else self._comm_rank[rank]
        return self._session.obligations.find(
            side, qubits, self, lambda o: (peer is None or o.peer == wanted) and is_tag(o.tag, tag) and fits(o)
        )

    def _request(
        self,
        call: str,
        ticket: Ticket,
        finish: Callable[[], Result],
        site: int | None = None,
        ending: Callable[[], None] | None = None,
        cancellable: bool = True,
    ) -> Request[Result]:
        """Books the ticket when it is finished, then `ending`; `finish` makes the result unless the operation failed."""
        where = call_site() if site is None else site

        def complete() -> Result:
            self._session.book.charge(call, where, self._name, ticket.settle())
            if ending is not None:
                ending()
            check(ticket)
            return finish()

        return Request(self._session, ticket, complete, call, where, self._name, cancellable=cancellable)

    def _nothing(self, result: Result) -> Request[Result]:
        return Request(self._session, None, lambda: result)

    # --- checks ------------------------------------------------------------------------------------------------------------------

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Closed("the communicator has been closed")

    def _operand(self, q: Operand) -> tuple[Qubit, ...]:
        self._refuse_if_closed()
        qubits = qubits_of(q)
        if len(qubits) > 1 and len(set(qubits)) < len(qubits):
            raise DuplicateQubit("a qubit is given twice")
        return qubits

    def _peer(self, rank: int | Wildcard) -> int | None:
        """The universe rank; None for PROC_NULL."""
        number = whole(rank)
        if 0 <= number < self.size:
            return self._members[number]
        if means(rank, PROC_NULL):
            return None
        raise RankOutOfRange(f"rank {rank!r} is not one of 0 to {self.size - 1} (or PROC_NULL)")

    def _source(self, source: int | Wildcard) -> int | None:
        """The same for a receive, which may take a message from anybody."""
        if source is ANY_SOURCE or (whole(source) < 0 and means(source, ANY_SOURCE)):
            return _CORE_ANY_SOURCE
        return self._peer(source)

    def _any_tag(self, tag: int | Wildcard) -> int:
        if tag is ANY_TAG or (whole(tag) < 0 and means(tag, ANY_TAG)):
            return _CORE_ANY_TAG
        return self._tag(tag)

    def _tag(self, tag: int | Wildcard) -> int:
        number = whole(tag)
        if not 0 <= number <= MAX_TAG:
            raise TagOutOfRange(f"tag {tag!r} is not one of 0 to {MAX_TAG}")
        return number


def is_tag(tag: int | Wildcard, wanted: int | Wildcard | None) -> bool:
    """Whether an operation's tag is the one that its inverse names; None names none."""
    return wanted is None or tag == whole(wanted) or (tag is ANY_TAG and means(wanted, ANY_TAG))
