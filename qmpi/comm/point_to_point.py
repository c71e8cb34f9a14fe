"""Point to point: EPR pairs, copies, moves and their inverses. Says what each call means; the session's core executes it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any

from .._core import ANY_SOURCE as _CORE_ANY_SOURCE
from .._core import ANY_TAG as _CORE_ANY_TAG
from .._core import Qubit, Ticket, Verb, call_site, describe_site
from ..errors import Closed, InvalidArgument, RankOutOfRange, TagOutOfRange
from ..runtime.collective import Group
from ..runtime.obligations import Operation, Side
from ..runtime.session import Session
from .register import Register, qubits_of
from .request import Request, Status

MAX_TAG = 2**31 - 1
USER, INVERSE, EPR, COLLECTIVE = range(4)  # the contexts of a communicator


class Wildcard(Enum):
    """Special ranks and tags. They are objects, because MPI libraries disagree on the numbers."""

    ANY_SOURCE = "ANY_SOURCE"
    ANY_TAG = "ANY_TAG"
    PROC_NULL = "PROC_NULL"

    def __repr__(self) -> str:
        return f"qmpi.{self.value}"


ANY_SOURCE = Wildcard.ANY_SOURCE
ANY_TAG = Wildcard.ANY_TAG
PROC_NULL = Wildcard.PROC_NULL


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
        self.operation.comm.leave(self.operation, error)


class PointToPoint:
    """The calls between two ranks of a communicator."""

    rank: int
    size: int
    _session: Session
    _group: Group
    _members: tuple[int, ...]
    _comm_rank: dict[int, int]  # universe rank -> rank here
    _context: int
    _null: int
    _name: str
    _closed: bool

    # --- EPR pairs ---------------------------------------------------------------------------------------------------------------

    def prepare_epr(self, q: Register | Qubit, peer: int | Wildcard, tag: int = 0) -> None:
        """Shares an EPR pair (|00⟩+|11⟩)/√2 per qubit with another rank.

        Synchronous: returns once both have called. Matched by (communicator, the two ranks, tag) in order, never by a receive.

        Args:
            q: qubits in |0⟩, as many as the peer brings.
            peer: the other rank; PROC_NULL does nothing.
            tag: distinguishes calls.

        Pairs with: prepare_epr. It has no inverse and obliges to nothing.

        Raises:
            NotZero: a qubit is not in |0⟩.
            RankOutOfRange, TagOutOfRange, InvalidArgument: bad peer (this rank itself included), tag, or number of qubits.

        Cost: 1 EPR pair, 0 bits per qubit.
        """
        self._prepare_epr("prepare_epr", q, peer, tag).wait()

    def iprepare_epr(self, q: Register | Qubit, peer: int | Wildcard, tag: int = 0) -> Request[None]:
        """`prepare_epr` that does not wait; `q` is frozen until the request is finished."""
        return self._prepare_epr("iprepare_epr", q, peer, tag)

    def _prepare_epr(self, call: str, q: Register | Qubit, peer: int | Wildcard, tag: int) -> Request[None]:
        qubits = self._operand(q)
        other, tag = self._peer(peer), self._tag(tag)
        if other is None:
            return self._nothing(None)
        if other == self._members[self.rank]:
            raise RankOutOfRange("prepare_epr needs another rank: within a rank use h and cx")
        self._session.obligations.refuse_any(qubits, "using it as an EPR half")
        self._session.core.require_zero(qubits)
        ticket = self._session.core.meet(qubits, other, self._context + EPR, tag)
        return self._request(call, ticket, lambda _: None)

    # --- copies ------------------------------------------------------------------------------------------------------------------

    def send(self, q: Register | Qubit, dest: int | Wildcard, tag: int = 0) -> Sent:
        """Sends an entangled copy (fan-out): a|0⟩+b|1⟩ becomes a|00⟩+b|11⟩ over both ranks.

        Returns when the qubits may be used again, possibly before the receive is posted; at most S = 64 unreceived qubits wait per
        receiver, then it waits. A classical message sent afterwards is never received before it.

        Args:
            q: a Qubit or Register; it stays here, entangled with the copy.
            dest: the receiver's rank; PROC_NULL does nothing.
            tag: 0 … 2³¹-1.

        Returns:
            A context manager: `with comm.send(q, 1): …` undoes the copy at the end.

        Pairs with: recv. Inverse: unsend.

        Raises:
            RankOutOfRange, TagOutOfRange: bad destination or tag.
            StateTooLarge: the copy does not fit into memory; nothing has happened.

        Cost: 1 EPR pair, 1 bit per qubit. Source: arXiv:2105.01109, section 4.
        """
        return self._send("send", Verb.copy, Side.ORIGINAL, q, dest, tag).wait()

    def isend(self, q: Register | Qubit, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send` that does not wait; `q` is frozen until the request is finished."""
        return self._send("isend", Verb.copy, Side.ORIGINAL, q, dest, tag)

    def recv(
        self,
        q: Register | Qubit | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Register:
        """Receives an entangled copy.

        Args:
            q: where it goes: qubits in |0⟩, at least as many as arrive; None allocates what arrives.
            source: a rank, ANY_SOURCE or PROC_NULL (nothing arrives).
            tag: a tag or ANY_TAG.
            status: filled with source, tag and count.

        Returns:
            The qubits that arrived, as a Register that knows its operation: `with comm.recv(…) as copy:` undoes it at the end.

        Pairs with: send. Inverse: unrecv.

        Raises:
            NotZero: the target is not in |0⟩.
            Truncated, MismatchedMessage: the message does not fit; it stays in the mailbox.
            RankOutOfRange, TagOutOfRange: bad source or tag.

        Cost: 1 EPR pair, 1 bit per qubit (the pair and the bit that the sender's ledger shows, too).
        """
        return self._recv("recv", Verb.copy, Side.COPY, q, source, tag, status).wait()

    def irecv(
        self,
        q: Register | Qubit | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Request[Register]:
        """`recv` that does not wait; `q` is frozen until the request is finished."""
        return self._recv("irecv", Verb.copy, Side.COPY, q, source, tag, status)

    def unsend(self, q: Register | Qubit, dest: int | Wildcard | None = None, tag: int | None = None) -> None:
        """Undoes `send`: waits for the bits of the holder's `unrecv` and applies Z where they are 1.

        Args:
            q: exactly the register that was sent.
            dest: checked against the copy's, if given.
            tag: checked likewise.

        Pairs with: unrecv, by operation, in any order among independent copies.

        Raises:
            UnmatchedInverse: there is no open copy of exactly this register.
            PeerFailed: the holder measured, reset or freed its copy, or gave up.

        Cost: 0 EPR pairs, 1 bit per qubit.
        """
        self._unsend("unsend", q, dest, tag).wait()

    def iunsend(self, q: Register | Qubit, dest: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unsend` that does not wait; `q` is frozen until the request is finished."""
        return self._unsend("iunsend", q, dest, tag)

    def unrecv(self, q: Register | Qubit, source: int | Wildcard | None = None, tag: int | None = None) -> None:
        """Undoes `recv`: applies H, measures, sends the bits; the qubits stay here in |0⟩. Never waits for the peer.

        Args:
            q: exactly the register that was received.
            source: checked against the copy's, if given.
            tag: checked likewise.

        Pairs with: unsend.

        Raises:
            UnmatchedInverse: there is no open copy in exactly this register.
            OutstandingCopies: it has been copied on: undo that first.

        Cost: 0 EPR pairs, 1 bit per qubit.
        """
        self._unrecv("unrecv", q, source, tag).wait()

    def iunrecv(self, q: Register | Qubit, source: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unrecv`, which never waits anyway, as a request."""
        return self._unrecv("iunrecv", q, source, tag)

    # --- moves -------------------------------------------------------------------------------------------------------------------

    def send_move(self, q: Register | Qubit, dest: int | Wildcard, tag: int = 0) -> Sent:
        """Moves a state to another rank (teleportation); the qubits stay here, in |0⟩. Returns like `send`.

        Args:
            q: a Qubit or Register without outstanding copies.
            dest: the receiver's rank; PROC_NULL does nothing.
            tag: 0 … 2³¹-1.

        Returns:
            A context manager that moves the state back at the end of its block.

        Pairs with: recv_move. Inverse: unsend_move.

        Raises:
            OutstandingCopies: a qubit is part of a copy that is not undone.
            RankOutOfRange, TagOutOfRange: bad destination or tag.
            StateTooLarge: the protocol does not fit into memory; nothing has happened.

        Cost: 1 EPR pair, 2 bits per qubit. Source: arXiv:2105.01109, section 4.
        """
        return self._send_move("send_move", q, dest, tag).wait()

    def isend_move(self, q: Register | Qubit, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send_move` that does not wait; `q` is frozen until the request is finished."""
        return self._send_move("isend_move", q, dest, tag)

    def recv_move(
        self,
        q: Register | Qubit | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Register:
        """Receives a moved state. Arguments and errors as `recv`.

        Returns:
            The qubits that arrived. They oblige to nothing.

        Pairs with: send_move. Inverse: unrecv_move.

        Cost: 1 EPR pair, 2 bits per qubit.
        """
        return self._recv("recv_move", Verb.move, Side.DESTINATION, q, source, tag, status).wait()

    def irecv_move(
        self,
        q: Register | Qubit | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Request[Register]:
        """`recv_move` that does not wait; `q` is frozen until the request is finished."""
        return self._recv("irecv_move", Verb.move, Side.DESTINATION, q, source, tag, status)

    def unsend_move(self, q: Register | Qubit, dest: int | Wildcard | None = None, tag: int | None = None) -> None:
        """Undoes `send_move`: receives the state back into the same qubits, which must be in |0⟩.

        The 256 most recent moves of a rank can be undone.

        Args:
            q: exactly the register that was moved.
            dest: checked against the move's, if given.
            tag: checked likewise.

        Pairs with: unrecv_move.

        Raises:
            UnmatchedInverse: there is no such move.
            NotZero: the register is in use.

        Cost: 1 EPR pair, 2 bits per qubit.
        """
        self._unsend_move("unsend_move", q, dest, tag).wait()

    def iunsend_move(self, q: Register | Qubit, dest: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unsend_move` that does not wait; `q` is frozen until the request is finished."""
        return self._unsend_move("iunsend_move", q, dest, tag)

    def unrecv_move(self, q: Register | Qubit, source: int | Wildcard | None = None, tag: int | None = None) -> None:
        """Undoes `recv_move`: moves the state back; the qubits stay here in |0⟩.

        Args:
            q: exactly the register that received it.
            source: checked against the move's, if given.
            tag: checked likewise.

        Pairs with: unsend_move.

        Raises:
            UnmatchedInverse: there is no such move.
            OutstandingCopies: a qubit is part of a copy that is not undone.

        Cost: 1 EPR pair, 2 bits per qubit.
        """
        self._unrecv_move("unrecv_move", q, source, tag).wait()

    def iunrecv_move(self, q: Register | Qubit, source: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unrecv_move` that does not wait; `q` is frozen until the request is finished."""
        return self._unrecv_move("iunrecv_move", q, source, tag)

    # --- how ---------------------------------------------------------------------------------------------------------------------

    def _send(self, call: str, verb: Verb, side: Side, q: Register | Qubit, dest: int | Wildcard, tag: int) -> Request[Sent]:
        qubits = self._operand(q)
        peer, tag = self._peer(dest), self._tag(tag)
        site = call_site()
        if peer is None:
            return self._nothing(Sent(self._operation(0, side, None, tag, qubits, site)))
        ticket = self._session.core.send(verb, qubits, peer, self._context + USER, tag)

        def finish(finished: Ticket | None) -> Sent:
            return Sent(self._operation(ticket.operation, side, peer, tag, qubits, site))

        return self._request(call, ticket, finish, site)

    def _send_move(self, call: str, q: Register | Qubit, dest: int | Wildcard, tag: int) -> Request[Sent]:
        self._session.obligations.refuse_any(self._operand(q), "moving it away")
        return self._send(call, Verb.move, Side.SOURCE, q, dest, tag)

    def _recv(
        self,
        call: str,
        verb: Verb,
        side: Side,
        q: Register | Qubit | None,
        source: int | Wildcard,
        tag: int | Wildcard,
        status: Status | None,
    ) -> Request[Register]:
        target = None if q is None else Register(self._operand(q))
        peer = _CORE_ANY_SOURCE if source is ANY_SOURCE else self._peer(source)
        wanted_tag = _CORE_ANY_TAG if tag is ANY_TAG else self._tag(tag)
        site = call_site()
        if target is not None:
            self._session.obligations.refuse_any(target, "receiving into it")
            self._session.core.require_zero(target)
        if peer is None:
            if status is not None:
                status.source, status.tag, status.count = PROC_NULL, ANY_TAG, 0
            qubits = () if target is None else tuple(target)
            return self._nothing(Register(qubits, self._operation(0, side, None, 0, qubits, site)))
        ticket = self._session.core.receive(verb, target, peer, self._context + USER, wanted_tag)

        def finish(_: Ticket | None) -> Register:
            qubits = tuple(ticket.arrived)
            if status is not None:
                status.source, status.tag, status.count = self._comm_rank[ticket.source], ticket.tag, len(qubits)
            return Register(qubits, self._operation(ticket.operation, side, ticket.source, ticket.tag, qubits, site))

        return self._request(call, ticket, finish, site)

    def _unsend(self, call: str, q: Register | Qubit, dest: int | Wildcard | None, tag: int | None) -> Request[None]:
        return self._undo(call, self._find(Side.ORIGINAL, q, dest, tag))

    def _unrecv(self, call: str, q: Register | Qubit, source: int | Wildcard | None, tag: int | None) -> Request[None]:
        return self._undo(call, self._find(Side.COPY, q, source, tag))

    def _unsend_move(self, call: str, q: Register | Qubit, dest: int | Wildcard | None, tag: int | None) -> Request[None]:
        return self._undo(call, self._find(Side.SOURCE, q, dest, tag))

    def _unrecv_move(self, call: str, q: Register | Qubit, source: int | Wildcard | None, tag: int | None) -> Request[None]:
        return self._undo(call, self._find(Side.DESTINATION, q, source, tag))

    def leave(self, operation: Operation, error: BaseException | None) -> None:
        """Ends the `with` block of an operation: undoes it, or after an exception gives it up. What the block's manager calls."""
        try:
            if error is None and operation.open:
                self._undo(_INVERSES[operation.side], operation).wait()
        except BaseException as failure:
            self._session.obligations.abandon(operation, failure)
            raise
        if error is not None:
            self._session.obligations.abandon(operation, error)

    def _undo(self, call: str, operation: Operation) -> Request[None]:
        """This side's part of the inverse; the other side does its own."""
        obligations, core = self._session.obligations, self._session.core
        qubits, side = operation.qubits, operation.side
        if operation.peer is None or not qubits:
            obligations.close(operation)
            return self._nothing(None)
        if side is Side.COPY:
            obligations.refuse_originals(qubits, "undoing the copy")
        elif not side.obliges:
            obligations.refuse_any(qubits, "moving it back")
        peer, context = self._members[operation.peer], self._context + INVERSE
        verb = Verb.uncopy if side.obliges else Verb.unmove
        if side in (Side.COPY, Side.DESTINATION):  # returns bits, or the state
            ticket = core.send(verb, qubits, peer, context, 0, operation.id)
            obligations.close(operation)
            return self._request(call, ticket, lambda _: None)
        if side is Side.SOURCE:
            core.require_zero(qubits)
        ticket = core.receive(verb, qubits, peer, context, _CORE_ANY_TAG, operation.id)
        return self._request(call, ticket, lambda _: obligations.close(operation) if operation.open else None)

    def _operation(self, number: int, side: Side, peer: int | None, tag: int, qubits: tuple[Qubit, ...], site: int) -> Operation:
        """Enters an operation; `peer` is a universe rank."""
        rank = None if peer is None else self._comm_rank[peer]
        operation = Operation(number, side, self, rank, tag, qubits, site)
        self._session.obligations.record(operation)
        return operation

    def tell(self, operation: Operation, how: str) -> None:
        """Tells the peer why a copy will not be undone. What the obligations call."""
        if operation.peer is not None:
            text = f"rank {self.rank}, which received it at {describe_site(operation.site)}, {how}"
            peer, context = self._members[operation.peer], self._context + INVERSE
            self._session.core.send_note(text, peer, context, 0, operation.id)

    def _find(self, side: Side, q: Register | Qubit, peer: int | Wildcard | None, tag: int | None) -> Operation:
        qubits = self._operand(q)
        if not qubits:  # what a receive from PROC_NULL returned
            return self._operation(0, side, None, 0, qubits, 0)
        rank = None if peer is None else self._peer(peer)
        wanted = None if rank is None else self._comm_rank[rank]
        return self._session.obligations.find(
            side, qubits, self, lambda o: (peer is None or o.peer == wanted) and (tag is None or o.tag == tag)
        )

    def _request(self, call: str, ticket: Ticket, finish: Callable[[Ticket | None], Any], site: int | None = None) -> Request[Any]:
        where = call_site() if site is None else site

        def book(finished: Ticket | None) -> Any:
            self._session.book.charge(call, where, self._name, ticket.charges)
            return finish(finished)

        return Request(self._session, ticket, book)

    def _nothing(self, result: Any) -> Request[Any]:
        return Request(self._session, None, lambda _: result)

    # --- checks ------------------------------------------------------------------------------------------------------------------

    def _operand(self, q: Register | Qubit) -> tuple[Qubit, ...]:
        if self._closed:
            raise Closed("the communicator has been closed")
        qubits = qubits_of(q)
        if len(qubits) > 1 and len(set(qubits)) < len(qubits):
            raise InvalidArgument("a qubit is given twice in one message")
        return qubits

    def _peer(self, rank: int | Wildcard) -> int | None:
        """The universe rank; None for PROC_NULL."""
        if rank is PROC_NULL or (isinstance(rank, int) and rank == self._null):
            return None
        if not isinstance(rank, int) or not 0 <= rank < self.size:
            raise RankOutOfRange(f"rank {rank!r} is not one of 0 … {self.size - 1} (or PROC_NULL)")
        return self._members[rank]

    def _tag(self, tag: int | Wildcard) -> int:
        if not isinstance(tag, int) or not 0 <= tag <= MAX_TAG:
            raise TagOutOfRange(f"tag {tag!r} is not one of 0 … {MAX_TAG}")
        return tag
