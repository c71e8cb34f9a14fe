"""What a rank does in a collective operation: steps over its qubits, and how they are undone. Knows no algorithm.

An operation is written down once, as the steps of its forward direction. Its inverse is the same list backwards, each step inverted: a
copy that was sent is taken back, a gate is undone. Only what measures on the way (a cat state) writes its inverse down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from .._core import Part, Qubit, Verb
from ..gates import cx
from .register import Register

_INVERSE = {Verb.copy: Verb.uncopy, Verb.move: Verb.unmove}


class Spare:
    """A qubit that the library takes for an operation: in |0⟩ before it and after its inverse.

    Attributes:
        held: True if it is kept until the inverse; else it is in |0⟩ after the operation, and given back.
    """

    __slots__ = ("held",)

    def __init__(self, held: bool = True) -> None:
        """Not taken yet."""
        self.held = held


Place = Qubit | Spare
Places = tuple[Place, ...]


def spares(count: int, held: bool = True) -> tuple[Spare, ...]:
    """So many qubits that the library takes."""
    return tuple(Spare(held) for _ in range(count))


class Step(Protocol):
    """One step."""

    def inverse(self) -> Step:
        """What undoes it."""
        ...

    def named(self) -> Places:
        """The places it touches, as far as they are known."""
        ...

    def write(self, writer: Writer) -> None:
        """Adds it to a part."""
        ...


class Writer:
    """Turns steps into a part of the compiled core.

    Attributes:
        part: what has been written.
        spares: the qubits that stand for the spares met so far.
        fixed: those that stand for spares which outlive the operation.
    """

    def __init__(
        self,
        part: Part,
        members: Sequence[int],
        tag: int,
        alloc: Callable[[int], Sequence[Qubit]],
        spares: dict[Spare, Qubit],
        arrived: Places | None,
    ) -> None:
        """`arrived`: what stands for places that were not known before; None as long as they are not."""
        self.part = part
        self.spares = spares
        self.fixed: dict[Spare, Qubit] = {}
        self.tag = tag
        self._members = members
        self._alloc = alloc
        self._arrived = arrived

    def write(self, steps: Iterable[Step]) -> None:
        """Adds steps in their order."""
        for step in steps:
            step.write(self)

    def qubits(self, places: Places) -> tuple[Qubit, ...]:
        """The qubits at these places; spares are taken now."""
        new = [place for place in places if isinstance(place, Spare) and place not in self.spares and place not in self.fixed]
        if new:
            self.spares.update(zip(new, self._alloc(len(new)), strict=True))
        return tuple(map(self._qubit, places))

    def _qubit(self, place: Place) -> Qubit:
        if not isinstance(place, Spare):
            return place
        return self.fixed[place] if place in self.fixed else self.spares[place]

    def known(self, places: Places | None) -> tuple[Qubit, ...] | None:
        """The same for places that may be those of whatever arrives; None as long as nothing has."""
        places = self._arrived if places is None else places
        return None if places is None else self.qubits(places)

    def peer(self, rank: int) -> int:
        """The universe rank."""
        return self._members[rank]


@dataclass(frozen=True, slots=True)
class Send:
    """Copies or moves qubits to a rank, or undoes what came from it. Places None: whatever arrived.

    An exact one waits for its receive, and where that has another number of qubits nothing happens and both ranks are told: so a rank that
    sends nothing says so by an exact message of no qubits.
    """

    verb: Verb
    places: Places | None
    peer: int
    exact: bool = False

    def named(self) -> Places:
        """Its places."""
        return self.places or ()

    def inverse(self) -> Step:
        """What comes back."""
        return Receive(_INVERSE[self.verb], self.places, self.peer)

    def write(self, writer: Writer) -> None:
        """A message."""
        writer.part.send(self.verb, writer.known(self.places), writer.peer(self.peer), writer.tag, self.exact)


@dataclass(frozen=True, slots=True)
class Receive:
    """The other side of `Send`, exact if that is. Places None: whatever arrives."""

    verb: Verb
    places: Places | None
    peer: int
    exact: bool = False

    def named(self) -> Places:
        """Its places."""
        return self.places or ()

    def inverse(self) -> Step:
        """What goes back."""
        return Send(_INVERSE[self.verb], self.places, self.peer)

    def write(self, writer: Writer) -> None:
        """A receive."""
        writer.part.receive(self.verb, writer.known(self.places), writer.peer(self.peer), writer.tag, self.exact)


@dataclass(frozen=True, slots=True)
class Gates:
    """A circuit on this rank's qubits: `do(*registers)`, undone by `undo(*registers)`."""

    do: Callable[..., object]
    undo: Callable[..., object]
    registers: tuple[Places, ...]

    def named(self) -> Places:
        """Those of all registers."""
        return tuple(place for places in self.registers for place in places)

    def inverse(self) -> Step:
        """The inverse circuit."""
        return Gates(self.undo, self.do, self.registers)

    def write(self, writer: Writer) -> None:
        """Calls the circuit and keeps its gates."""
        registers = [Register(writer.qubits(places)) for places in self.registers]
        writer.part.record()
        try:
            self.do(*registers)
        except BaseException:
            writer.part.drop_recorded()
            raise
        writer.part.recorded(tuple(qubit for register in registers for qubit in register))


def fan_out(places: Places, onto: Places) -> Gates:
    """A copy within the rank."""
    return Gates(cx, cx, (places, onto))


@dataclass(frozen=True, slots=True)
class Exchange:
    """The contents of two groups of qubits change places. No gate: names only."""

    ours: Places
    others: Places

    def named(self) -> Places:
        """Both groups."""
        return self.ours + self.others

    def inverse(self) -> Step:
        """Itself."""
        return self

    def write(self, writer: Writer) -> None:
        """An exchange of names."""
        writer.part.exchange(writer.qubits(self.ours + self.others))


@dataclass(frozen=True, slots=True)
class Final:
    """A step of a protocol that measures: its operation writes its inverse down."""

    def named(self) -> Places:
        """What stands in its fields."""
        groups = (getattr(self, name, ()) for name in ("places", "onto"))
        return tuple(place for group in groups for place in group)

    def inverse(self) -> Step:
        """None."""
        raise AssertionError(f"{type(self).__name__} has no inverse of its own")


@dataclass(frozen=True, slots=True)
class Fence(Final):
    """What follows waits for all that was begun. (Steps that share places or bits wait for each other without one.)"""

    def write(self, writer: Writer) -> None:
        """A fence."""
        writer.part.fence()


@dataclass(frozen=True, slots=True)
class Meet(Final):
    """Shares EPR pairs with a rank; `way` tells several apart. Left out where bit `condition` is 0.

    Nothing that follows needs an exact one: it may fail by itself.
    """

    places: Places
    peer: int
    way: int = 0
    condition: int = -1
    exact: bool = False

    def write(self, writer: Writer) -> None:
        """A meeting."""
        writer.part.meet(writer.qubits(self.places), writer.peer(self.peer), writer.tag + self.way, self.condition, self.exact)


@dataclass(frozen=True, slots=True)
class Measure(Final):
    """Measures qubits into bits `bit` …; they are in |0⟩ then."""

    places: Places
    bit: int

    def write(self, writer: Writer) -> None:
        """A measurement."""
        writer.part.measure(writer.qubits(self.places), self.bit)


@dataclass(frozen=True, slots=True)
class Parity(Final):
    """CX from `places` onto `onto`, which are measured into bits `bit` …; they are in |0⟩ then."""

    places: Places
    onto: Places
    bit: int

    def write(self, writer: Writer) -> None:
        """One step, which needs no room for both."""
        writer.part.parity(writer.qubits(self.places + self.onto), self.bit)


@dataclass(frozen=True, slots=True)
class SendBits(Final):
    """Sends bits `first` … to a rank."""

    first: int
    count: int
    peer: int

    def write(self, writer: Writer) -> None:
        """A message."""
        writer.part.send_bits(self.first, self.count, writer.peer(self.peer), writer.tag)


@dataclass(frozen=True, slots=True)
class ReceiveBits(Final):
    """The other side of `SendBits`."""

    first: int
    count: int
    peer: int

    def write(self, writer: Writer) -> None:
        """A receive."""
        writer.part.receive_bits(self.first, self.count, writer.peer(self.peer), writer.tag)


@dataclass(frozen=True, slots=True)
class Flip(Final):
    """X on each qubit whose bit is 1."""

    places: Places
    bit: int

    def write(self, writer: Writer) -> None:
        """A correction."""
        writer.part.flip(writer.qubits(self.places), self.bit)


@dataclass(frozen=True, slots=True)
class Negate(Final):
    """Z on each qubit whose bit is 1."""

    places: Places
    bit: int

    def write(self, writer: Writer) -> None:
        """A correction."""
        writer.part.negate(writer.qubits(self.places), self.bit)


@dataclass(frozen=True, slots=True)
class SetBits(Final):
    """Bits `first` … become 1."""

    first: int
    count: int

    def write(self, writer: Writer) -> None:
        """A constant."""
        writer.part.set_bits(self.first, self.count)


@dataclass(frozen=True, slots=True)
class AddBits(Final):
    """Bits `to` … become their sum with bits `and_` …, modulo 2."""

    to: int
    and_: int
    count: int

    def write(self, writer: Writer) -> None:
        """A sum."""
        writer.part.add(self.to, self.and_, self.count)


@dataclass(slots=True)
class Plan:
    """One rank's side of an operation.

    Attributes:
        sources: the rank's qubits that it sends, or that enter the result.
        targets: the rank's qubits that it receives into.
        zero: those of them that must be in |0⟩ at the beginning.
        result: what the call returns; None: whatever arrives.
        steps: what is to be done.
        undo: what undoes it; by default the steps backwards.
        moves: True if the sources' states leave: then nothing obliges to undo it.
        allocated: True if the library took the qubits of the result.
        final: True if nothing undoes it.
        taken: of a persistent request, the qubits that the library took for the result.
    """

    sources: tuple[Qubit, ...] = ()
    targets: tuple[Qubit, ...] = ()
    zero: tuple[Qubit, ...] = ()
    result: tuple[Qubit, ...] | None = ()
    steps: list[Step] = field(default_factory=list)
    undo: list[Step] | None = None
    moves: bool = False
    allocated: bool = False
    final: bool = False
    taken: tuple[Qubit, ...] = ()

    def exactly(self) -> Plan:
        """Itself, with exact messages only: for operations whose ranks do not bring equal numbers of qubits."""
        self.steps = [replace(step, exact=True) if isinstance(step, Send | Receive) else step for step in self.steps]
        return self

    def inverse(self) -> list[Step]:
        """The steps that undo it."""
        return [step.inverse() for step in reversed(self.steps)] if self.undo is None else self.undo
