"""The library's own classical collectives, through the mailboxes: they work in every world and cost no MPI call.

The first member collects a row from each and answers each. Rows and answers carry the sender's count of calls, so that what belongs to a
call that somebody gave up (Ctrl-C, a deadlock) is recognised and dropped; and the name of the call, so that different ones do not mix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._core import Ticket
from ..errors import Deadlock, MismatchedCollective, PeerError, PeerFailed, WaitTimeout, user_frame
from .session import Session

_ROW, _TURN = 0, 1  # tags
_DONE, _FAILED, _DIFFERENT = b"+", b"-", b"/"


class Group:
    """The ranks of one communicator, as far as the library's own messages go.

    Attributes:
        session: this rank's session.
        rank: this rank's number in the group.
        members: universe rank of each member.
        context: the communicator's collective context.
    """

    def __init__(self, session: Session, rank: int, members: Sequence[int], context: int) -> None:
        """Sends nothing."""
        self.session = session
        self.rank = rank
        self.members = members
        self.context = context
        self._calls = 0  # of this rank
        self._round = 0  # the first member's count, of the last call that all completed

    def allgather(self, data: bytes) -> list[bytes]:
        """Everybody's data, in rank order. It also orders what comes before and after.

        Raises:
            MismatchedCollective, PeerFailed: the members made different calls, or one gave up.
        """
        self._calls += 1
        return self._collect(data) if self.rank == 0 else self._contribute(data)

    def gather_or_raise(self, make: Callable[[], bytes]) -> list[bytes]:
        """Everybody's `make()`. If it raises on one rank, all raise: that rank its own error, the others PeerFailed."""
        failure: Exception | None = None
        try:
            row = _DONE + make()
        except (Deadlock, PeerError, WaitTimeout):  # the others hear of it, or are in it
            raise
        except Exception as error:
            row, failure = _FAILED + str(error).encode(), error
        rows = self.allgather(row)
        if failure is not None:
            raise failure
        for other in rows:
            if other.startswith(_FAILED):
                raise PeerFailed(f"another rank could not do its part: {other[1:].decode()}")
        return [other[1:] for other in rows]

    def in_turn(self, act: Callable[[], bytes]) -> bytes:
        """Calls `act` on one member after the other. For members that have just completed an allgather."""
        if self.rank > 0:
            while self._take(self.rank - 1, _TURN)[0] != self._round:
                pass  # the turn of a call that somebody gave up
        try:
            return act()
        finally:
            if self.rank + 1 < len(self.members):
                self.session.core.send_bytes(_packed(self._round, b"", b""), self.members[self.rank + 1], self.context, _TURN)

    def barrier(self) -> None:
        """Returns once all members have come."""
        self.allgather(b"")

    def _contribute(self, data: bytes) -> list[bytes]:
        name = user_frame()[1].encode()
        row = self.session.core.post_bytes(_packed(self._calls, name, data), self.members[0], self.context, _ROW)
        answered = 0
        try:
            while answered != self._calls:
                answered, how, answer = self._take(0, _ROW, row)
        finally:
            row.wait(0)
        if how == _DIFFERENT:
            raise MismatchedCollective(answer.decode())
        if how == _FAILED:
            raise PeerFailed(f"rank 0 of the communicator gave up: {answer.decode()}")
        self._round, _, rows = _unpacked(answer)
        return _split(rows)

    def _collect(self, data: bytes) -> list[bytes]:
        name = user_frame()[1].encode()
        rows, calls = [data], [0]
        different = ""
        try:
            for rank in range(1, len(self.members)):
                call, other, row = self._take(rank, _ROW)
                rows.append(row)
                calls.append(call)
                if other != name:
                    different = f"rank {rank} is in {other.decode()}, rank 0 in {name.decode()}"
        except BaseException as error:
            self._answer(calls, _FAILED, str(error).encode())
            raise
        if different:
            text = f"all ranks must make the same collective calls in the same order, but {different}"
            self._answer(calls, _DIFFERENT, text.encode())
            raise MismatchedCollective(text)
        self._round = self._calls
        self._answer(calls, _DONE, _packed(self._round, b"", _joined(rows)))
        return rows

    def _answer(self, calls: list[int], how: bytes, answer: bytes) -> None:
        for rank, call in enumerate(calls[1:], 1):
            self.session.core.send_bytes(_packed(call, how, answer), self.members[rank], self.context, _ROW)

    def _take(self, source: int, tag: int, *given_up: Ticket) -> tuple[int, bytes, bytes]:
        """The next message of `source`; if the wait for it fails, what is given up is taken back."""
        ticket = self.session.core.receive_bytes(self.members[source], self.context, tag)
        self.session.wait(ticket, given_up=(ticket, *given_up))
        return _unpacked(ticket.data)


def _packed(number: int, name: bytes, data: bytes) -> bytes:
    return number.to_bytes(8, "little") + bytes([len(name)]) + name + data


def _unpacked(message: bytes) -> tuple[int, bytes, bytes]:
    end = 9 + message[8]
    return int.from_bytes(message[:8], "little"), message[9:end], message[end:]


def _joined(rows: list[bytes]) -> bytes:
    return b"".join(len(row).to_bytes(8, "little") + row for row in rows)


def _split(joined: bytes) -> list[bytes]:
    rows, begin = [], 0
    while begin < len(joined):
        end = begin + 8 + int.from_bytes(joined[begin : begin + 8], "little")
        rows.append(joined[begin + 8 : end])
        begin = end
    return rows
