"""What is known of a program without running it: who holds which qubits, what is under way, what must be undone.

Everything is numbered by the program: qubits (handles), communicators, transfers, requests. Ranks are those of the world. Where the order
of events on different ranks is open, the model allows only steps whose outcome does not depend on it. Amplitudes are the oracle's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

ANY = -1  # in place of a source or a tag
NULL = -2  # in place of a rank: PROC_NULL

ORIGINAL, COPY, SOURCE, DESTINATION = "original", "copy", "source", "destination"  # sides of a copy, of a move


class Impossible(Exception):
    """The step cannot be done here; the model is as before."""


@dataclass(slots=True)
class Place:
    """A handle: a place in a rank's quantum memory."""

    rank: int
    zero: bool = True  # surely |0>
    basis: bool = True  # surely a basis state
    frozen: int | None = None  # the request that names it
    reserved: bool = False  # for the undoing of a move that the other side waits for


@dataclass(slots=True, eq=False)
class Transfer:
    """A copy or a move, from its posting to its undoing."""

    id: int
    copies: bool  # else it moves
    comm: int
    source: int
    dest: int
    tag: int
    originals: tuple[int, ...]
    arrived: tuple[int, ...] = ()
    allocated: bool = False  # what arrived came into new places, which the end of a `with` block frees
    sent: str = "posted"  # then "open", then "over"
    received: str = "flying"  # likewise
    inverse: str = ""  # what has been sent back: "bits", "state" or "note"
    left: dict[str, set[int]] = field(default_factory=lambda: {ORIGINAL: set(), COPY: set()})  # neither measured, reset nor freed

    @property
    def null(self) -> bool:
        return NULL in (self.source, self.dest)

    @property
    def promised(self) -> bool:
        """What was moved is on its way back, or a word that it will not be: its owner must ask for it."""
        return not self.copies and self.inverse != "" and self.sent == "open"

    def sides(self) -> tuple[str, str]:
        return (ORIGINAL, COPY) if self.copies else (SOURCE, DESTINATION)

    def register(self, side: str) -> tuple[int, ...]:
        return self.originals if side in (ORIGINAL, SOURCE) else self.arrived

    def state(self, side: str) -> str:
        return self.sent if side in (ORIGINAL, SOURCE) else self.received

    def end(self, side: str) -> None:
        if side in (ORIGINAL, SOURCE):
            self.sent = "over"
        else:
            self.received = "over"


@dataclass(slots=True, eq=False)
class Pending:
    """A request, or a call that waits."""

    id: int
    rank: int
    kind: str  # "send", "receive", "meet", "undo"
    comm: int
    labels: tuple[int, ...] = ()  # frozen by it
    transfer: Transfer | None = None
    side: str = ""  # of an undoing
    copies: bool = True  # of a receive: recv, else recv_move
    source: int = ANY
    tag: int = ANY
    allocates: bool = False
    outcome: str = ""  # "done", or the name of the error that wait will raise; empty while it is open
    polled: bool = False  # test() has been called: it may be finished already


@dataclass(slots=True)
class Box:
    """What waits for one rank in one communicator."""

    posted: list[Pending] = field(default_factory=list)
    messages: list[Transfer] = field(default_factory=list)
    closed_to: list[tuple[int, int]] = field(default_factory=list)  # (source, tag) of sends that would race with what was done


@dataclass(slots=True)
class Circle:
    """A communicator."""

    members: tuple[int, ...]
    open_at: set[int]


@dataclass(slots=True)
class Bill:
    """What `ledger.total()` must show."""

    epr_pairs: int = 0
    classical_bits: int = 0
    measurements: int = 0
    gates: int = 0


def overlaps(a: int, b: int) -> bool:
    return ANY in (a, b) or a == b


class Model:
    """The state of a program after some of its steps."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.places: dict[int, Place] = {}
        self.circles = {0: Circle(tuple(range(size)), set(range(size)))}
        self.transfers: dict[int, Transfer] = {}
        self.requests: dict[int, Pending] = {}
        self.boxes: defaultdict[tuple[int, int], Box] = defaultdict(Box)
        self.meetings: defaultdict[tuple[int, frozenset[int], int], list[Pending]] = defaultdict(list)
        self.books: list[list[tuple[Transfer, str]]] = [[] for _ in range(size)]  # operations of each rank, oldest first
        self.names: dict[int, tuple[int, ...]] = {}  # of what arrives with a transfer where the receiver allocates
        self.burnt: set[tuple[int, frozenset[int], int]] = set()  # meetings that would race with one that was taken back
        self.bill = Bill()
        self.hidden = 0  # outcomes of resets and undoings that nobody has been told
        self.squeezed = False
        self.last = 0  # the highest number in use

    # --- what a step asks for ------------------------------------------------------------------------------------------------------

    def need(self, condition: object) -> None:
        if not condition:
            raise Impossible

    def new(self, *numbers: int) -> None:
        self.need(all(number not in self.places and number not in self.transfers and number not in self.requests for number in numbers))

    def fresh(self, count: int = 1) -> tuple[int, ...]:
        """Numbers that no step has used."""
        self.last += count
        return tuple(range(self.last - count + 1, self.last + 1))

    def usable(self, rank: int) -> list[int]:
        return [label for label, place in self.places.items() if place.rank == rank and place.frozen is None and not place.reserved]

    def need_usable(self, rank: int, labels: Iterable[int]) -> None:
        labels = tuple(labels)
        self.need(len(set(labels)) == len(labels))
        for label in labels:
            place = self.places.get(label)
            self.need(place and place.rank == rank and place.frozen is None and not place.reserved)

    def need_unpromised(self, labels: Iterable[int]) -> None:
        """No state is on its way back to these places."""
        self.need(not {label for t in self.transfers.values() if t.promised for label in t.originals} & set(labels))

    def need_comm(self, comm: int, *ranks: int) -> None:
        self.need(comm in self.circles)
        circle = self.circles[comm]
        self.need(all(rank == NULL or (rank in circle.members and rank in circle.open_at) for rank in ranks))

    def quiet(self) -> bool:
        """Nothing flies, nothing is frozen: the state of all qubits is a pure state."""
        flying = any(t.received == "flying" or (t.inverse == "state" and t.sent == "open") for t in self.transfers.values())
        return not flying and all(place.frozen is None for place in self.places.values())

    def weight(self) -> int:
        """Qubits that the oracle has to carry."""
        flying = sum(
            len(t.originals) for t in self.transfers.values() if t.received == "flying" or (t.inverse == "state" and t.sent == "open")
        )
        return len(self.places) + flying

    # --- obligations -----------------------------------------------------------------------------------------------------------------

    def owing(self, label: int, sides: tuple[str, ...] = (ORIGINAL, COPY)) -> list[Transfer]:
        """Open copies that the label is part of."""
        return [
            t
            for t, side in self.books[self.places[label].rank]
            if side in sides and not t.null and label in t.left[side] and t.state(side) == "open"
        ]

    def record(self, transfer: Transfer, side: str) -> None:
        """The rank has an operation that it can undo."""
        if side in (ORIGINAL, SOURCE):
            transfer.sent = "open"
        else:
            transfer.received = "open"
        if side in (ORIGINAL, COPY):
            transfer.left[side] = set(transfer.register(side))
        self.books[transfer.source if side in (ORIGINAL, SOURCE) else transfer.dest].append((transfer, side))

    def find(self, rank: int, side: str, labels: tuple[int, ...], comm: int, peer: int | None, tag: int | None) -> Transfer | None:
        """What an inverse undoes: the most recent operation that fits."""
        for transfer, its_side in reversed(self.books[rank]):
            if its_side != side or transfer.comm != comm or transfer.state(side) != "open" or transfer.register(side) != labels:
                continue
            other = transfer.dest if side in (ORIGINAL, SOURCE) else transfer.source
            if (peer is None or peer == other) and (tag is None or tag == transfer.tag):
                return transfer
        return None

    def close(self, transfer: Transfer, side: str) -> None:
        transfer.end(side)
        rank = transfer.source if side in (ORIGINAL, SOURCE) else transfer.dest
        self.books[rank] = [(t, s) for t, s in self.books[rank] if t is not transfer or s != side]

    def discharge(self, label: int) -> None:
        """Measured, reset or freed: it owes nothing any more."""
        for transfer, side in list(self.books[self.places[label].rank]):
            if side not in (ORIGINAL, COPY) or label not in transfer.left[side]:
                continue
            transfer.left[side].discard(label)
            if not transfer.left[side]:
                self.close(transfer, side)
                if side == COPY and not transfer.null:
                    transfer.inverse = "note"

    def outstanding(self, rank: int, comm: int) -> list[Transfer]:
        """What `close` must complain of."""
        return [t for t, side in self.books[rank] if side in (ORIGINAL, COPY) and t.comm == comm and not t.null and t.left[side]]

    # --- matching --------------------------------------------------------------------------------------------------------------------

    def fits(self, receive: Pending, message: Transfer) -> bool:
        return overlaps(receive.source, message.source) and overlaps(receive.tag, message.tag)

    def refusal(self, receive: Pending, message: Transfer) -> str:
        if receive.copies != message.copies:
            return "MismatchedMessage"
        return "Truncated" if not receive.allocates and len(message.originals) > len(receive.labels) else ""

    def first_message(self, receive: Pending) -> Transfer | None:
        box = self.boxes[receive.comm, receive.rank]
        return next((message for message in box.messages if self.fits(receive, message)), None)

    def need_unlocked(self, comm: int, source: int, dest: int, tag: int) -> None:
        """A message from there would not race with what has been done."""
        self.need(not any(overlaps(s, source) and overlaps(t, tag) for s, t in self.boxes[comm, dest].closed_to))

    def post_message(self, message: Transfer) -> None:
        box = self.boxes[message.comm, message.dest]
        for receive in list(box.posted):
            if not self.fits(receive, message):
                continue
            box.posted.remove(receive)
            receive.outcome = self.refusal(receive, message) or "done"
            if receive.outcome == "done":
                receive.transfer = message
                return
        box.messages.append(message)

    def post_receive(self, receive: Pending) -> None:
        box = self.boxes[receive.comm, receive.rank]
        message = self.first_message(receive)
        if message is None:
            box.posted.append(receive)
            return
        receive.outcome = self.refusal(receive, message) or "done"
        if receive.outcome == "done":
            box.messages.remove(message)
            receive.transfer = message

    def sync(self, members: Iterable[int]) -> None:
        """These ranks have waited for each other: what was a race among them is over."""
        everybody = set(members)
        for (comm, _), box in self.boxes.items():
            if everybody.issuperset(self.circles[comm].members):
                box.closed_to.clear()

    # --- requests --------------------------------------------------------------------------------------------------------------------

    def freeze(self, pending: Pending) -> None:
        self.requests[pending.id] = pending
        for label in pending.labels:
            self.places[label].frozen = pending.id

    def thaw(self, pending: Pending) -> None:
        self.requests.pop(pending.id, None)
        for label in pending.labels:
            if label in self.places:
                self.places[label].frozen = None
