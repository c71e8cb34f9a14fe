"""Point to point: EPR pairs, copies, moves and their inverses. Says what each call means; transfer.py says how."""

from __future__ import annotations

from .._core import Qubit, Verb
from ..runtime.obligations import Side
from ..world.wildcards import ANY_SOURCE, ANY_TAG, Wildcard
from .register import Register
from .request import Request, Status
from .transfer import Sent, Transfer


class PointToPoint(Transfer):
    """The calls between two ranks of a communicator."""

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
        self._prepare_epr("prepare_epr", q, peer, tag).block()

    def iprepare_epr(self, q: Register | Qubit, peer: int | Wildcard, tag: int = 0) -> Request[None]:
        """`prepare_epr` that does not wait; `q` is frozen until the request is finished."""
        return self._prepare_epr("iprepare_epr", q, peer, tag)

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
        return self._send("send", Verb.copy, Side.ORIGINAL, self._operand(q), dest, tag).block()

    def isend(self, q: Register | Qubit, dest: int | Wildcard, tag: int = 0) -> Request[Sent]:
        """`send` that does not wait; `q` is frozen until the request is finished."""
        return self._send("isend", Verb.copy, Side.ORIGINAL, self._operand(q), dest, tag)

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
        return self._recv("recv", Verb.copy, Side.COPY, q, source, tag, status).block()

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
        self._unsend("unsend", q, dest, tag).block()

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
        self._unrecv("unrecv", q, source, tag).block()

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
        return self._send_move("send_move", q, dest, tag).block()

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
        return self._recv("recv_move", Verb.move, Side.DESTINATION, q, source, tag, status).block()

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
        self._unsend_move("unsend_move", q, dest, tag).block()

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
        self._unrecv_move("unrecv_move", q, source, tag).block()

    def iunrecv_move(self, q: Register | Qubit, source: int | Wildcard | None = None, tag: int | None = None) -> Request[None]:
        """`unrecv_move` that does not wait; `q` is frozen until the request is finished."""
        return self._unrecv_move("iunrecv_move", q, source, tag)
