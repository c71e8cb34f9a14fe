"""Persistent requests: an operation that is started again and again, over EPR pairs that are shared before it starts.

The steps of any plan can be carried over such pairs. What was sent becomes a measurement and its bits, what was received the bits and the
half of the pair; each pair that was used is shared anew at the end. So between `start` and completion only bits are needed, and the next
pairs are made at once after it. A rank keeps at most S halves (QMPI_EPR_BUFFER), and leaves one slot to ordinary calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from .._core import Qubit, Ticket, Verb, call_site
from ..errors import BufferFull, InvalidArgument
from ..gates import h
from .request import Request
from .steps import (
    Exchange,
    Flip,
    Gates,
    Measure,
    Meet,
    Negate,
    Parity,
    Places,
    Plan,
    Receive,
    ReceiveBits,
    Send,
    SendBits,
    SetBits,
    Spare,
    Step,
    Writer,
    spares,
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Link:
    """A pair for each qubit that one step carries to a peer or brings from it.

    Attributes:
        halves: this rank's halves.
        peer: the other rank.
        way: tells the pairs of both directions apart.
    """

    halves: tuple[Spare, ...]
    peer: int
    way: int


def over_pairs(steps: Sequence[Step], rank: int) -> tuple[list[Step], list[Link]]:
    """The same steps, carried over pairs that are there already; and these.

    What arrives is put in its place when a later step needs it, so that nobody waits before it has sent. An exact message of no qubits is
    left out: both sides know of it once its pairs, which are none, have been shared.
    """
    carried: list[Step] = []
    links: list[Link] = []
    arriving: list[tuple[Places, list[Step]]] = []
    bit = 0

    def link(places: Places | None, peer: int, sends: bool) -> tuple[Places, tuple[Spare, ...]]:
        if places is None:
            raise InvalidArgument("a persistent request shares its pairs before anything arrives: give the qubits on every rank, not None")
        links.append(Link(spares(len(places)), peer, 1 if sends == (rank < peer) else 2))
        return places, links[-1].halves

    for step in steps:
        needed = set(step.named())
        for entry in [entry for entry in arriving if needed & set(entry[0])]:
            carried += entry[1]
            arriving.remove(entry)
        match step:
            case Send(verb=Verb.copy | Verb.move) if step.peer != rank:  # to itself it goes as any message
                places, halves = link(step.places, step.peer, sends=True)
                if step.exact and not places:
                    continue
                count = len(places)
                carried.append(Parity(places, halves, bit))
                if step.verb == Verb.move:
                    carried += [Gates(h, h, (places,)), Measure(places, bit + count)]
                    count *= 2
                carried.append(SendBits(bit, count, step.peer))
                bit += count
            case Receive(verb=Verb.copy | Verb.move) if step.peer != rank:
                places, halves = link(step.places, step.peer, sends=False)
                if step.exact and not places:
                    continue
                count = len(places) * (1 if step.verb == Verb.copy else 2)
                carried.append(ReceiveBits(bit, count, step.peer))
                fixes: list[Step] = [Flip(halves, bit)]
                if step.verb == Verb.move:
                    fixes.append(Negate(halves, bit + len(places)))
                arriving.append((places, [*fixes, Exchange(halves, places)]))
                bit += count
            case Meet():
                links.append(Link(spares(len(step.places)), step.peer, 0))
                carried.append(Exchange(links[-1].halves, step.places))
            case _:
                carried.append(step)
    return carried + [fix for _, fixes in arriving for fix in fixes], links


class Persistent(Generic[Result]):
    """An operation that can be started any number of times, one at a time. A context manager that frees it."""

    def __init__(
        self,
        comm: Any,
        call: str,
        name: str,
        channel: tuple[object, ...] | Callable[[], tuple[object, ...]],
        plan: Plan,
        enter: Callable[[int, Writer], Result],
    ) -> None:
        """Matches the partners' requests and shares the first pairs, without waiting.

        Args:
            comm: the communicator.
            call: the call that made it.
            name: the operation.
            channel: what all partners know it by; called, if it counts requests, once this one is not refused.
            plan: this rank's side.
            enter: the end of an operation of this number: its result.

        Raises:
            BufferFull: QMPI_EPR_FULL=refuse, and there is no room for the pairs.
        """
        self._comm = comm
        self._call = call
        self._name = name
        self._plan = plan
        self._enter = enter
        self._site = call_site()
        self._starts = 0
        self._started: Request[Result] | None = None
        self._steps, self._links = over_pairs(plan.steps, comm.rank)
        self._halves: dict[Spare, Qubit] = {}
        self._has_room, self._room = self._reserve()
        self._channel = channel() if callable(channel) else channel
        self._shared: set[int] | None = None  # peers whose pairs are there; not known before all have answered
        self._open = True
        self._failed = False
        try:
            self._greeting: Request[None] = self._greet()
        except BaseException:
            self._comm._session.core.give_back(self._room)
            raise

    def _reserve(self) -> tuple[bool, int]:
        """Takes room for all pairs, or for none. Whether there is some, and how many halves it is for."""
        session = self._comm._session
        count = sum(len(link.halves) for link in self._links)
        if session.core.reserve(count):
            return True, count
        if session.universe.settings.refuses_when_full:
            raise BufferFull(
                f"{count} EPR halves find no room in this rank's buffer of {session.universe.arena.epr_buffer} (one is left to the rest): "
                "free other persistent requests, set QMPI_EPR_BUFFER, or QMPI_EPR_FULL=wait to make the pairs when the request starts"
            )
        return False, 0

    def _greet(self) -> Request[None]:
        """Tells the peers whether this rank has room, hears whether they have, and shares the pairs that both have room for."""
        peers = list(dict.fromkeys(link.peer for link in self._links))
        mine = len(peers)
        steps: list[Step] = [SetBits(mine, 1)] if self._has_room else []
        steps += [SendBits(mine, 1, peer) for peer in peers] + [ReceiveBits(k, 1, peer) for k, peer in enumerate(peers)]
        if self._has_room:
            steps += [Meet(link.halves, link.peer, link.way, peers.index(link.peer), exact=True) for link in self._links]
        ticket = self._comm._begin(self._writer(), steps, _number(*self._channel))

        def heard() -> None:
            self._shared = {peer for peer, has_room in zip(peers, ticket.bits, strict=False) if has_room and self._has_room}
            kept = sum(len(link.halves) for link in self._links if link.peer in self._shared)
            if kept < self._room:
                self._comm._session.core.give_back(self._room - kept)
                self._room = kept

        def complete() -> None:  # what the ranks tell each other here is not part of a quantum protocol
            pairs, halves, *_ = ticket.settle()
            self._comm._session.book.charge(self._call, self._site, self._comm._name, (pairs, halves, 0, 0, 0))
            self._comm._check_ticket(ticket, self._call)
            heard()

        return Request(self._comm._session, ticket, complete, self._call, self._site, self._comm._name, cancellable=False)

    def _writer(self) -> Writer:
        writer: Writer = self._comm._writer(self._name)
        writer.fixed = self._halves
        missing = [half for link in self._links for half in link.halves if half not in self._halves]
        if missing:
            self._halves.update(zip(missing, self._comm._session.core.alloc(len(missing)), strict=True))
        return writer

    def start(self) -> Request[Result]:
        """Starts the operation: the data are there.

        Waits, if need be, until the partners have made their requests.

        Returns:
            The request to wait for. It is complete once the partners have started theirs.

        Raises:
            InvalidArgument: it has been started and not been waited for, has been freed, or an earlier start has failed.
            MismatchedCollective: a partner's request has another number of qubits.
            NotZero, OutstandingCopies, FrozenQubit: as the operation that is not persistent.
        """
        if not self._open:
            raise InvalidArgument("the persistent request has been freed")
        if self._active is not None:
            raise InvalidArgument("the persistent request has been started: wait for it before it is started again")
        self._meet_partners()
        if self._failed:  # nobody knows in which state its pairs are
            raise InvalidArgument("a start of the persistent request has failed: free it and make it anew")
        assert self._shared is not None
        comm, site = self._comm, call_site()
        comm._refuse_if_closed()
        comm._check_plan(self._plan)
        now = [link for link in self._links if link.peer not in self._shared and (link.halves or not self._starts)]
        anew = [link for link in self._links if link.peer in self._shared and link.halves]
        operation = _number(*self._channel, self._starts)
        writer = self._writer()
        ticket = comm._begin(writer, [*map(_meeting, now), *self._steps, *map(_meeting, anew)], operation)
        self._starts += 1

        def complete() -> Result:
            self._book(ticket, site, any(link.halves for link in now))
            self._failed = ticket.failed
            comm._check_ticket(ticket, self._name)
            return self._enter(operation, writer)

        self._started = Request(comm._session, ticket, complete, f"{self._name}: start", site, comm._name, cancellable=False)
        return self._started

    def _book(self, ticket: Ticket, site: int, makes_pairs: bool) -> None:
        """Pairs belong to the request that shares them, bits to the start that needs them; so do pairs that found no room before."""
        pairs, halves, sent, received, measured = ticket.settle()
        book, name = self._comm._session.book, self._comm._name
        if not makes_pairs:
            book.charge(self._call, self._site, name, (pairs, halves, 0, 0, 0))
            pairs = halves = 0
        book.charge("start", site, name, (pairs, halves, sent, received, measured))

    @property
    def _active(self) -> Request[Result] | None:
        return None if self._started is None or self._started.complete else self._started

    def wait(self) -> Result:
        """Waits for what was started.

        Returns:
            The operation's result.

        Raises:
            InvalidArgument: it has not been started.
            QMPIError: whatever the operation raises.
        """
        if self._started is None:
            raise InvalidArgument("the persistent request has not been started")
        return self._started.wait()

    def test(self) -> bool:
        """True if what was started is complete, or nothing was.

        Raises:
            QMPIError: whatever the operation raises.
        """
        return self._started is None or self._started.test()

    def free(self) -> None:
        """Gives its pairs and their room back. What it has copied stays, and can be undone.

        Raises:
            InvalidArgument: it has been started and not been waited for.
        """
        if not self._open:
            return
        if self._active is not None:
            raise InvalidArgument("the persistent request has been started: wait for it before it is freed")
        self._open = False
        if self._shared is None and self._failed:  # it has given everything back
            return
        self._meet_partners()
        self._give_back()

    def _meet_partners(self) -> None:
        """Waits for the partners' requests. If they do not come or do not fit, everything is given back."""
        try:
            self._greeting.block()
        except BaseException:
            if not self._failed:
                self._failed = True
                self._give_back()
            raise

    def _give_back(self) -> None:
        core = self._comm._session.core
        self._comm._give_back(qubit for qubit in self._plan.taken if not qubit.freed and not qubit._obliged)
        if self._halves:
            halves = tuple(self._halves)
            ticket = self._comm._begin(self._writer(), [Measure(halves, 0)], _number(*self._channel))
            self._comm._joint_request(self._call, ticket, lambda: None, self._site).block()
            core.free(tuple(self._halves.values()))
        core.give_back(self._room)

    def __repr__(self) -> str:
        """As `<qmpi.Persistent bcast, 3 starts>`."""
        return f"<qmpi.Persistent {self._name}, {self._starts} starts>"

    def __enter__(self) -> Persistent[Result]:
        """Itself."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Frees it; not after an exception."""
        if error is None:
            self.free()


def _meeting(link: Link) -> Meet:
    return Meet(link.halves, link.peer, link.way)


def _number(*channel: object) -> int:
    """An operation's number that all partners find by themselves. (Others have the highest bit, or not the second.)"""
    return int.from_bytes(blake2b(repr(channel).encode(), digest_size=8).digest(), "little") >> 2 | 1 << 62
