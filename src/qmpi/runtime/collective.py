"""The library's own classical collectives, through the mailboxes: they work in every world and cost no MPI call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import PeerFailed, QMPIError
from .session import Session


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

    def send(self, data: bytes, dest: int) -> None:
        """Never waits."""
        self.session.core.send_bytes(data, self.members[dest], self.context, 0)

    def receive(self, source: int) -> bytes:
        """The next message of `source`."""
        ticket = self.session.core.receive_bytes(self.members[source], self.context, 0)
        self.session.wait_or_withdraw(ticket)
        return ticket.data

    def allgather(self, data: bytes) -> list[bytes]:
        """Everybody's data, in rank order. Rank 0 collects and distributes; it also orders what comes before and after."""
        if self.rank != 0:
            self.send(data, 0)
            packed = self.receive(0)
        else:
            rows = [data, *(self.receive(rank) for rank in range(1, len(self.members)))]
            lengths = b"".join(len(row).to_bytes(8, "little") for row in rows)
            packed = lengths + b"".join(rows)
            for rank in range(1, len(self.members)):
                self.send(packed, rank)
        begin = 8 * len(self.members)
        result = []
        for rank in range(len(self.members)):
            end = begin + int.from_bytes(packed[8 * rank : 8 * rank + 8], "little")
            result.append(packed[begin:end])
            begin = end
        return result

    def gather_or_raise(self, make: Callable[[], bytes]) -> list[bytes]:
        """Everybody's `make()`. If it raises on one rank, all raise: that rank its own error, the others PeerFailed."""
        failure: QMPIError | None = None
        try:
            row = b"+" + make()
        except QMPIError as error:
            row, failure = b"-" + str(error).encode(), error
        rows = self.allgather(row)
        if failure is not None:
            raise failure
        for other in rows:
            if other.startswith(b"-"):
                raise PeerFailed(f"another rank could not do its part: {other[1:].decode()}")
        return [other[1:] for other in rows]

    def barrier(self) -> None:
        """Returns once all members have come."""
        self.allgather(b"")
