"""Point to point: EPR pairs, copies, moves and their inverses. Says what each call means; transfer.py says how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .._core import Mode, Verb, call_site
from ..errors import InvalidArgument
from ..runtime.obligations import Operation, Side
from ..world.wildcards import ANY_SOURCE, ANY_TAG, PROC_NULL, Wildcard
from .collective import Collective
from .naming import named
from .persistent import Persistent
from .register import Operand, Register
from .request import Joined, Request, Status
from .steps import Plan, Receive, Send, Writer
from .transfer import Message, Sent, is_tag

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def _also(name: str, call: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """The inverse of another mode: a mode says how a message finds its receive, but an inverse finds its operation."""

    def same(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        return call(*args, **kwargs)

    undo, handled = call.__name__.removeprefix("i"), name.removeprefix("i").replace("un", "", 1)
    doc = f"`{undo}` of a message that `{handled}` handled{', without waiting' if name.startswith('i') else ''}."
    return named(same, name, call, doc, str(call.__annotations__["return"]))


class PointToPoint(Collective):
    """The calls between two ranks of a communicator."""

    _channels: Counter[tuple[object, ...]]  # of persistent messages

    # --- EPR pairs ---------------------------------------------------------------------------------------------------------------

    def prepare_epr(self, q: Operand, peer: int | Wildcard, tag: int = 0) -> None:
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
        self._prepare_epr("prepare_epr", q, peer, tag).block()

    def iprepare_epr(self, q: Operand, peer: int | Wildcard, tag: int = 0) -> Request[None]:
        """`prepare_epr` that does not wait; `q` is frozen until the request is finished."""
        return self._prepare_epr("iprepare_epr", q, peer, tag)

    # --- copies ------------------------------------------------------------------------------------------------------------------

    def send(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """Sends an entangled copy (fan-out): a|0⟩+b|1⟩ becomes a|00⟩+b|11⟩ over both ranks.

        Returns when the qubits may be used again, possibly before the receive is posted; at most S (QMPI_EPR_BUFFER, 64) unreceived
        qubits wait per receiver, then it waits. A classical message sent afterwards is never received before it.

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
        return self._send("send", Verb.copy, q, dest, tag).block()

    def isend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send` that does not wait; `q` is frozen until the request is finished."""
        return self._send("isend", Verb.copy, q, dest, tag)

    def recv(
        self,
        q: Operand | None = None,
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
        return self._recv("recv", Verb.copy, q, source, tag, status).block()

    def irecv(
        self,
        q: Operand | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Request[Register]:
        """`recv` that does not wait; `q` is frozen until the request is finished."""
        return self._recv("irecv", Verb.copy, q, source, tag, status)

    def unsend(self, q: Operand, dest: int | Wildcard | None = None, tag: int | None = None) -> None:
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
        self._unsend("unsend", q, dest, tag).block()

    def iunsend(self, q: Operand, dest: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unsend` that does not wait; `q` is frozen until the request is finished."""
        return self._unsend("iunsend", q, dest, tag)

    def unrecv(self, q: Operand, source: int | Wildcard | None = None, tag: int | Wildcard | None = None) -> None:
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
        self._unrecv("unrecv", q, source, tag).block()

    def iunrecv(self, q: Operand, source: int | Wildcard | None = None, tag: int | Wildcard | None = None) -> Request[None]:
        """`unrecv`, which never waits anyway, as a request."""
        return self._unrecv("iunrecv", q, source, tag)

    # --- moves -------------------------------------------------------------------------------------------------------------------

    def send_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
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
        return self._send("send_move", Verb.move, q, dest, tag).block()

    def isend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send_move` that does not wait; `q` is frozen until the request is finished."""
        return self._send("isend_move", Verb.move, q, dest, tag)

    def recv_move(
        self,
        q: Operand | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Register:
        """Receives a moved state.

        Args:
            q: where it goes: qubits in |0⟩, at least as many as arrive; None allocates what arrives.
            source: a rank, ANY_SOURCE or PROC_NULL (nothing arrives).
            tag: a tag or ANY_TAG.
            status: filled with source, tag and count.

        Returns:
            The qubits that arrived. They oblige to nothing; `with comm.recv_move(…) as q:` moves the state back at the end.

        Pairs with: send_move. Inverse: unrecv_move.

        Raises:
            NotZero: the target is not in |0⟩.
            Truncated, MismatchedMessage: the message does not fit; it stays in the mailbox.
            RankOutOfRange, TagOutOfRange: bad source or tag.

        Cost: 1 EPR pair, 2 bits per qubit.
        """
        return self._recv("recv_move", Verb.move, q, source, tag, status).block()

    def irecv_move(
        self,
        q: Operand | None = None,
        source: int | Wildcard = ANY_SOURCE,
        tag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Request[Register]:
        """`recv_move` that does not wait; `q` is frozen until the request is finished."""
        return self._recv("irecv_move", Verb.move, q, source, tag, status)

    def unsend_move(self, q: Operand, dest: int | Wildcard | None = None, tag: int | None = None) -> None:
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
        self._unsend_move("unsend_move", q, dest, tag).block()

    def iunsend_move(self, q: Operand, dest: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unsend_move` that does not wait; `q` is frozen until the request is finished."""
        return self._unsend_move("iunsend_move", q, dest, tag)

    def unrecv_move(self, q: Operand, source: int | Wildcard | None = None, tag: int | Wildcard | None = None) -> None:
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
        self._unrecv_move("unrecv_move", q, source, tag).block()

    def iunrecv_move(self, q: Operand, source: int | Wildcard | None = None, tag: int | Wildcard | None = None) -> Request[None]:
        """`unrecv_move` that does not wait; `q` is frozen until the request is finished."""
        return self._unrecv_move("iunrecv_move", q, source, tag)

    # --- send modes --------------------------------------------------------------------------------------------------------------

    def bsend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """`send` that never waits: where the receiver's buffer has no room it raises BufferFull."""
        return self._send("bsend", Verb.copy, q, dest, tag, Mode.buffered).block()

    def ssend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """`send` that returns once its receive has been posted."""
        return self._send("ssend", Verb.copy, q, dest, tag, Mode.synchronous).block()

    def rsend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """`send` to a receive that has been posted; raises NotReady if there is none."""
        return self._send("rsend", Verb.copy, q, dest, tag, Mode.ready).block()

    def ibsend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send`, buffered, as a request; raises BufferFull at once."""
        return self._send("ibsend", Verb.copy, q, dest, tag, Mode.buffered)

    def issend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send`, synchronous, that does not wait: the request is complete once the receive has been posted."""
        return self._send("issend", Verb.copy, q, dest, tag, Mode.synchronous)

    def irsend(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send`, ready, as a request; raises NotReady at once."""
        return self._send("irsend", Verb.copy, q, dest, tag, Mode.ready)

    def bsend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """`send_move` that never waits: where the receiver's buffer has no room it raises BufferFull."""
        return self._send("bsend_move", Verb.move, q, dest, tag, Mode.buffered).block()

    def ssend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """`send_move` that returns once its receive has been posted."""
        return self._send("ssend_move", Verb.move, q, dest, tag, Mode.synchronous).block()

    def rsend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Sent:
        """`send_move` to a receive that has been posted; raises NotReady if there is none."""
        return self._send("rsend_move", Verb.move, q, dest, tag, Mode.ready).block()

    def ibsend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send_move`, buffered, as a request; raises BufferFull at once."""
        return self._send("ibsend_move", Verb.move, q, dest, tag, Mode.buffered)

    def issend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send_move`, synchronous, that does not wait: the request is complete once the receive has been posted."""
        return self._send("issend_move", Verb.move, q, dest, tag, Mode.synchronous)

    def irsend_move(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send_move`, ready, as a request; raises NotReady at once."""
        return self._send("irsend_move", Verb.move, q, dest, tag, Mode.ready)

    bunsend, ibunsend = _also("bunsend", unsend), _also("ibunsend", iunsend)
    sunsend, isunsend = _also("sunsend", unsend), _also("isunsend", iunsend)
    runsend, irunsend = _also("runsend", unsend), _also("irunsend", iunsend)
    bunsend_move, ibunsend_move = _also("bunsend_move", unsend_move), _also("ibunsend_move", iunsend_move)
    sunsend_move, isunsend_move = _also("sunsend_move", unsend_move), _also("isunsend_move", iunsend_move)
    runsend_move, irunsend_move = _also("runsend_move", unsend_move), _also("irunsend_move", iunsend_move)
    munrecv, imunrecv = _also("munrecv", unrecv), _also("imunrecv", iunrecv)
    munrecv_move, imunrecv_move = _also("munrecv_move", unrecv_move), _also("imunrecv_move", iunrecv_move)

    # --- looking for messages ----------------------------------------------------------------------------------------------------

    def probe(self, source: int | Wildcard = ANY_SOURCE, tag: int | Wildcard = ANY_TAG, status: Status | None = None) -> bool:
        """Waits until a copy or move is there that `recv` or `recv_move` would take, and leaves it.

        Args:
            source: a rank, ANY_SOURCE or PROC_NULL.
            tag: a tag or ANY_TAG.
            status: filled with source, tag and count.

        Returns:
            True.

        Raises:
            RankOutOfRange, TagOutOfRange: bad source or tag.

        Cost: 0 EPR pairs, 0 bits.
        """
        return self._probe("probe", source, tag, status, claims=False, waits=True) is not None

    def iprobe(self, source: int | Wildcard = ANY_SOURCE, tag: int | Wildcard = ANY_TAG, status: Status | None = None) -> bool:
        """`probe` that does not wait: False if there is no such message."""
        return self._probe("iprobe", source, tag, status, claims=False, waits=False) is not None

    def mprobe(self, source: int | Wildcard = ANY_SOURCE, tag: int | Wildcard = ANY_TAG, status: Status | None = None) -> Message:
        """Waits until a copy or move is there, and takes it for `mrecv` or `mrecv_move`: no other receive gets it.

        Args:
            source: a rank, ANY_SOURCE or PROC_NULL.
            tag: a tag or ANY_TAG.
            status: filled with source, tag and count.

        Returns:
            The message.

        Raises:
            RankOutOfRange, TagOutOfRange: bad source or tag.

        Cost: 0 EPR pairs, 0 bits.
        """
        message = self._probe("mprobe", source, tag, status, claims=True, waits=True)
        assert message is not None
        return message

    def improbe(self, source: int | Wildcard = ANY_SOURCE, tag: int | Wildcard = ANY_TAG, status: Status | None = None) -> Message | None:
        """`mprobe` that does not wait: None if there is no such message."""
        return self._probe("improbe", source, tag, status, claims=True, waits=False)

    def mrecv(self, message: Message, q: Operand | None = None, status: Status | None = None) -> Register:
        """Receives the copy that `mprobe` has found.

        Args:
            message: what mprobe returned.
            q: where it goes: qubits in |0⟩, at least as many as arrive; None allocates what arrives.
            status: filled with source, tag and count.

        Returns:
            The qubits that arrived, as a Register that knows its operation.

        Pairs with: send. Inverse: munrecv.

        Raises:
            NotZero: the target is not in |0⟩.
            Truncated, MismatchedMessage: the message does not fit; it can still be received.
            InvalidArgument: the message has been received, or came through another communicator.

        Cost: 1 EPR pair, 1 bit per qubit.
        """
        return self._mrecv("mrecv", Verb.copy, message, q, status).block()

    def imrecv(self, message: Message, q: Operand | None = None, status: Status | None = None) -> Request[Register]:
        """`mrecv`, which never waits anyway, as a request."""
        return self._mrecv("imrecv", Verb.copy, message, q, status)

    def mrecv_move(self, message: Message, q: Operand | None = None, status: Status | None = None) -> Register:
        """Receives the moved state that `mprobe` has found.

        Args:
            message: what mprobe returned.
            q: where it goes: qubits in |0⟩, at least as many as arrive; None allocates what arrives.
            status: filled with source, tag and count.

        Returns:
            The qubits that arrived, as a Register that knows its operation.

        Pairs with: send_move. Inverse: munrecv_move.

        Raises:
            NotZero: the target is not in |0⟩.
            Truncated, MismatchedMessage: the message does not fit; it can still be received.
            InvalidArgument: the message has been received, or came through another communicator.

        Cost: 1 EPR pair, 2 bits per qubit.
        """
        return self._mrecv("mrecv_move", Verb.move, message, q, status).block()

    def imrecv_move(self, message: Message, q: Operand | None = None, status: Status | None = None) -> Request[Register]:
        """`mrecv_move`, which never waits anyway, as a request."""
        return self._mrecv("imrecv_move", Verb.move, message, q, status)

    def _mrecv(self, call: str, verb: Verb, message: Message, q: Operand | None, status: Status | None) -> Request[Register]:
        if message.comm is not self:
            raise InvalidArgument("the message came through another communicator")
        if isinstance(message.source, int) and not message.found:
            raise InvalidArgument("the message has been received")
        request = self._recv(call, verb, q, message.source, message.tag, status, message.found)
        if request.test():  # it was there; if it does not fit, the line above raises and it can still be received
            message.found = 0
        return request

    # --- both ways ---------------------------------------------------------------------------------------------------------------

    def sendrecv(
        self,
        sendq: Operand,
        dest: int | Wildcard,
        sendtag: int = 0,
        recvq: Operand | None = None,
        source: int | Wildcard = ANY_SOURCE,
        recvtag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Register:
        """Sends a copy and receives one, in either order: no ring of these waits for itself.

        Args:
            sendq: what is copied; it stays here.
            dest: the receiver's rank; PROC_NULL sends nothing.
            sendtag: 0 … 2³¹-1.
            recvq: where the other copy goes: qubits in |0⟩; None allocates what arrives.
            source: a rank, ANY_SOURCE or PROC_NULL (nothing arrives).
            recvtag: a tag or ANY_TAG.
            status: filled with source, tag and count.

        Returns:
            The qubits that arrived, a context manager that undoes both copies.

        Pairs with: sendrecv, send and recv. Inverse: unsendrecv.

        Raises:
            NotZero: recvq is not in |0⟩.
            Truncated, MismatchedMessage: the message does not fit; it stays in the mailbox.
            RankOutOfRange, TagOutOfRange: bad rank or tag.

        Cost: 1 EPR pair, 1 bit per qubit and way.
        """
        return self._sendrecv("sendrecv", sendq, dest, sendtag, recvq, source, recvtag, status).block()

    def isendrecv(
        self,
        sendq: Operand,
        dest: int | Wildcard,
        sendtag: int = 0,
        recvq: Operand | None = None,
        source: int | Wildcard = ANY_SOURCE,
        recvtag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Request[Register]:
        """`sendrecv` that does not wait; its qubits are frozen until the request is finished."""
        return self._sendrecv("isendrecv", sendq, dest, sendtag, recvq, source, recvtag, status)

    def unsendrecv(
        self,
        sendq: Operand,
        dest: int | Wildcard | None = None,
        sendtag: int | None = None,
        recvq: Operand | None = None,
        source: int | Wildcard | None = None,
        recvtag: int | Wildcard | None = None,
    ) -> None:
        """Undoes `sendrecv`, both copies.

        Args:
            sendq: exactly the register that was sent.
            dest: checked against the copy's, if given.
            sendtag: checked likewise.
            recvq: the register that was received, checked likewise; needed if no qubits were sent.
            source: checked likewise.
            recvtag: checked likewise.

        Pairs with: unsendrecv, unsend and unrecv.

        Raises:
            UnmatchedInverse: there are no such copies.
            OutstandingCopies: recvq has been copied on: undo that first.
            PeerFailed: the peer will not undo its side.

        Cost: 0 EPR pairs, 1 bit per qubit and way.
        """
        self._unsendrecv("unsendrecv", Side.ORIGINAL, sendq, dest, sendtag, recvq, source, recvtag).block()

    def iunsendrecv(
        self,
        sendq: Operand,
        dest: int | Wildcard | None = None,
        sendtag: int | None = None,
        recvq: Operand | None = None,
        source: int | Wildcard | None = None,
        recvtag: int | Wildcard | None = None,
    ) -> Request[None]:
        """`unsendrecv` that does not wait."""
        return self._unsendrecv("iunsendrecv", Side.ORIGINAL, sendq, dest, sendtag, recvq, source, recvtag)

    def sendrecv_replace(
        self,
        q: Operand,
        dest: int | Wildcard,
        sendtag: int = 0,
        source: int | Wildcard = ANY_SOURCE,
        recvtag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Register:
        """Moves the qubits' state to one rank, and that of as many qubits of another rank to where it was.

        Args:
            q: qubits without outstanding copies.
            dest: the receiver's rank; PROC_NULL sends nothing: then what arrives needs qubits in |0⟩.
            sendtag: 0 … 2³¹-1.
            source: a rank, ANY_SOURCE or PROC_NULL (nothing arrives: the qubits are left in |0⟩).
            recvtag: a tag or ANY_TAG.
            status: filled with source, tag and count.

        Returns:
            The qubits, a context manager that moves both states back.

        Pairs with: sendrecv_replace, send_move and recv_move. Inverse: unsendrecv_replace.

        Raises:
            OutstandingCopies: a qubit is part of a copy that is not undone.
            Truncated, MismatchedMessage: the message does not fit; it stays in the mailbox.
            NotZero: dest is PROC_NULL, source is not, and a qubit is not in |0⟩.
            RankOutOfRange, TagOutOfRange: bad rank or tag.

        Cost: 1 EPR pair, 2 bits per qubit and way.
        """
        return self._sendrecv_replace("sendrecv_replace", q, dest, sendtag, source, recvtag, status).block()

    def isendrecv_replace(
        self,
        q: Operand,
        dest: int | Wildcard,
        sendtag: int = 0,
        source: int | Wildcard = ANY_SOURCE,
        recvtag: int | Wildcard = ANY_TAG,
        status: Status | None = None,
    ) -> Request[Register]:
        """`sendrecv_replace` that does not wait; the qubits are frozen until the request is finished."""
        return self._sendrecv_replace("isendrecv_replace", q, dest, sendtag, source, recvtag, status)

    def unsendrecv_replace(
        self,
        q: Operand,
        dest: int | Wildcard | None = None,
        sendtag: int | None = None,
        source: int | Wildcard | None = None,
        recvtag: int | Wildcard | None = None,
    ) -> None:
        """Undoes `sendrecv_replace`: moves both states back.

        Args:
            q: exactly the register that was exchanged.
            dest: checked against the operation's, if given.
            sendtag: checked likewise.
            source: checked likewise.
            recvtag: checked likewise.

        Pairs with: unsendrecv_replace, unsend_move and unrecv_move.

        Raises:
            UnmatchedInverse: there is no such exchange.
            OutstandingCopies: a qubit is part of a copy that is not undone.

        Cost: 1 EPR pair, 2 bits per qubit and way.
        """
        self._unsendrecv("unsendrecv_replace", Side.SOURCE, q, dest, sendtag, None, source, recvtag).block()

    def iunsendrecv_replace(
        self,
        q: Operand,
        dest: int | Wildcard | None = None,
        sendtag: int | None = None,
        source: int | Wildcard | None = None,
        recvtag: int | Wildcard | None = None,
    ) -> Request[None]:
        """`unsendrecv_replace` that does not wait."""
        return self._unsendrecv("iunsendrecv_replace", Side.SOURCE, q, dest, sendtag, None, source, recvtag)

    # --- persistent --------------------------------------------------------------------------------------------------------------

    def send_init(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Persistent[Sent]:
        """`send` as a persistent request, over EPR pairs shared beforehand. Pairs with: recv_init."""
        return self._persistent_send("send_init", Verb.copy, q, dest, tag)

    def send_move_init(self, q: Operand, dest: int | Wildcard, tag: int = 0) -> Persistent[Sent]:
        """`send_move` as a persistent request, over EPR pairs shared beforehand. Pairs with: recv_move_init."""
        return self._persistent_send("send_move_init", Verb.move, q, dest, tag)

    def recv_init(self, q: Operand, source: int | Wildcard, tag: int = 0) -> Persistent[Register]:
        """A persistent request that receives copies, over EPR pairs shared beforehand.

        Args:
            q: where they go, as many qubits as are sent; in |0⟩ whenever it is started.
            source: a rank, or PROC_NULL (nothing arrives).
            tag: the sender's.

        Returns:
            The request; each start receives one copy, which is undone as any other.

        Pairs with: send_init, matched in order by ranks and tag.

        Raises:
            RankOutOfRange, TagOutOfRange: bad source or tag; wildcards are not allowed.
            BufferFull: QMPI_EPR_FULL=refuse, and there is no room for the pairs.

        Cost: 1 EPR pair per qubit now and after each start but for the room that is given back; each start 1 bit per qubit.
        """
        return self._persistent_receive("recv_init", Verb.copy, q, source, tag)

    def recv_move_init(self, q: Operand, source: int | Wildcard, tag: int = 0) -> Persistent[Register]:
        """A persistent request that receives moved states, over EPR pairs shared beforehand.

        Args:
            q: where they go, as many qubits as are sent; in |0⟩ whenever it is started.
            source: a rank, or PROC_NULL (nothing arrives).
            tag: the sender's.

        Returns:
            The request; each start receives one state.

        Pairs with: send_move_init, matched in order by ranks and tag.

        Raises:
            RankOutOfRange, TagOutOfRange: bad source or tag; wildcards are not allowed.
            BufferFull: QMPI_EPR_FULL=refuse, and there is no room for the pairs.

        Cost: 1 EPR pair per qubit now and after each start; each start 2 bits per qubit.
        """
        return self._persistent_receive("recv_move_init", Verb.move, q, source, tag)

    def _persistent_send(self, call: str, verb: Verb, q: Operand, dest: int | Wildcard, tag: int) -> Persistent[Sent]:
        qubits, peer, tag = self._operand(q), self._peer(dest), self._tag(tag)
        side = Side.ORIGINAL if verb == Verb.copy else Side.SOURCE
        plan = Plan(sources=qubits, moves=verb == Verb.move)
        end = PROC_NULL if peer is None else self._comm_rank[peer]
        if peer is not None:
            plan.steps.append(Send(verb, qubits, self._comm_rank[peer]))
        site = call_site()

        def enter(operation: int, _: Writer) -> Sent:
            return Sent(self._operation(operation if peer is not None else 0, side, peer, tag, qubits, site))

        return Persistent(self, call, call, lambda: self._channel(call, verb, self.rank, end, tag), plan, enter)

    def _persistent_receive(self, call: str, verb: Verb, q: Operand, source: int | Wildcard, tag: int) -> Persistent[Register]:
        qubits, peer, tag = self._operand(q), self._peer(source), self._tag(tag)
        side = Side.COPY if verb == Verb.copy else Side.DESTINATION
        plan = Plan(targets=qubits, zero=qubits)
        end = PROC_NULL if peer is None else self._comm_rank[peer]
        if peer is not None:
            plan.steps.append(Receive(verb, qubits, self._comm_rank[peer]))
        site = call_site()

        def enter(operation: int, _: Writer) -> Register:
            return Register(qubits, self._operation(operation if peer is not None else 0, side, peer, tag, qubits, site))

        name = call.replace("recv", "send")
        return Persistent(self, call, name, lambda: self._channel(call, verb, end, self.rank, tag), plan, enter)

    def _channel(self, call: str, verb: Verb, source: int | Wildcard, dest: int | Wildcard, tag: int) -> tuple[object, ...]:
        """What both sides of a persistent message know it by: they make their requests in the same order."""
        ends = ("move" if verb == Verb.move else "copy", self._context, source, dest, tag)
        self._channels[call, ends] += 1
        return (*ends, self._channels[call, ends])

    def _sendrecv(
        self,
        call: str,
        sendq: Operand,
        dest: int | Wildcard,
        sendtag: int,
        recvq: Operand | None,
        source: int | Wildcard,
        recvtag: int | Wildcard,
        status: Status | None,
        verb: Verb = Verb.copy,
    ) -> Request[Register]:
        arrives, leaves = self._both_ways(call, verb, sendq, dest, sendtag, recvq, source, recvtag, status)

        def finish() -> Register:
            register, sent = arrives.wait(), leaves.wait().operation
            assert register.operation is not None
            register.operation.partner, sent.partner = sent, register.operation
            return register

        return Joined([arrives, leaves], finish)

    def _sendrecv_replace(
        self,
        call: str,
        q: Operand,
        dest: int | Wildcard,
        sendtag: int,
        source: int | Wildcard,
        recvtag: int | Wildcard,
        status: Status | None,
    ) -> Request[Register]:
        """What arrives waits in spare qubits until its place has been left."""
        core, qubits = self._session.core, self._operand(q)
        nothing_leaves, nothing_arrives = self._peer(dest) is None, self._source(source) is None
        if nothing_leaves and not nothing_arrives:
            return self._sendrecv(call, q, dest, sendtag, q, source, recvtag, status, Verb.move)
        spare = Register(core.alloc(len(qubits)))
        try:
            arrives, leaves = self._both_ways(call, Verb.move, q, dest, sendtag, spare, source, recvtag, status)
        except BaseException:
            core.free(spare)
            raise

        def finish() -> Register:
            register, sent = arrives.wait(), leaves.wait().operation
            came = register.operation
            assert came is not None
            if not nothing_arrives:
                core.exchange(qubits, spare)
            core.free(spare)
            count = len(qubits) if nothing_arrives and nothing_leaves else len(register)
            came.qubits = qubits[:count]
            came.partner, sent.partner = sent, came
            return Register(came.qubits, came)

        return Joined([arrives, leaves], finish, lambda: self._give_back(spare))

    def _both_ways(
        self,
        call: str,
        verb: Verb,
        sendq: Operand,
        dest: int | Wildcard,
        sendtag: int,
        recvq: Operand | None,
        source: int | Wildcard,
        recvtag: int | Wildcard,
        status: Status | None,
    ) -> tuple[Request[Register], Request[Sent]]:
        """Posts a receive, then a send; both or none."""
        arrives = self._recv(call, verb, recvq, source, recvtag, status)
        try:
            return arrives, self._send(call, verb, sendq, dest, sendtag)
        except BaseException:
            arrives.cancel()
            raise

    def _unsendrecv(
        self,
        call: str,
        side: Side,
        sendq: Operand,
        dest: int | Wildcard | None,
        sendtag: int | None,
        recvq: Operand | None,
        source: int | Wildcard | None,
        recvtag: int | Wildcard | None,
    ) -> Request[None]:
        received = None if recvq is None else self._operand(recvq)
        came_from = None if source is None else self._peer(source)

        def fits(sent: Operation) -> bool:
            came = sent.partner
            return came is not None and (
                (received is None or came.qubits == received)
                and (source is None or came.peer == (None if came_from is None else self._comm_rank[came_from]))
                and is_tag(came.tag, recvtag)
            )

        sent = self._find(side, sendq, dest, sendtag, fits)
        if sent.partner is None and received:  # no qubits were sent: what came tells which call it was
            came = self._find(Side.COPY, Register(received), source, recvtag, lambda came: came.partner is not None)
            sent = came.partner or sent
        return self._nothing(None) if sent.partner is None else self._undo_both(call, sent)

    def _undo_both(self, call: str, sent: Operation) -> Request[None]:
        """Undoes a send and the receive that was one call with it, as far as they are open; both or none."""
        core, qubits, came = self._session.core, sent.qubits, sent.partner
        assert came is not None
        if sent.side is Side.ORIGINAL or None in (sent.peer, came.peer):
            if sent.open and sent.peer is not None:
                core.ids(qubits)  # raises what would be refused after the copy has been sent back
            ways = (sent, came) if came.peer is None else (came, sent)  # what can be refused comes first
            return Joined([self._undo(call, way) for way in ways if way.open], lambda: None)
        self._session.obligations.refuse_any(qubits, "moving it back")
        core.require_zero(qubits[len(came.qubits) :])
        spare = core.alloc(len(qubits))
        try:
            leaves = self._undo(call, came)
        except BaseException:
            core.free(spare)
            raise
        sent.qubits = spare

        def finish() -> None:
            core.exchange(qubits, spare)
            core.free(spare)

        return Joined([leaves, self._undo(call, sent)], finish)

    def _undo_at_end(self, operation: Operation) -> None:
        if operation.partner is None:
            super()._undo_at_end(operation)
        else:
            sent = operation if operation.side in (Side.ORIGINAL, Side.SOURCE) else operation.partner
            self._undo_both("unsendrecv", sent).block()
