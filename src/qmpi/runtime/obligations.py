"""What must be undone: copies, from both sides. Pairs an inverse with its operation by id, never by arrival.

A copy obliges both ranks until it is undone, or until its holder measures, resets or frees it; so does a collective that copies. Moves,
and collectives whose results were measured, oblige to nothing; the most recent ones are remembered so that they can be undone. Knows no
messages: what has to be told to a peer, the operation's communicator tells.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .._core import Qubit, describe_site
from ..errors import OutstandingCopies, UnmatchedInverse, source_line
from ..world.wildcards import Wildcard

REMEMBERED = 256


class Side(Enum):
    """Which part of an operation a rank holds."""

    ORIGINAL = "copy sent"
    COPY = "copy received"
    SOURCE = "move sent"
    DESTINATION = "move received"
    JOINT = "collective"
    JOINT_MOVE = "collective move"

    @property
    def obliges(self) -> bool:
        """True for copies."""
        return self in (Side.ORIGINAL, Side.COPY, Side.JOINT)

    @property
    def joint(self) -> bool:
        """True for collectives."""
        return self in (Side.JOINT, Side.JOINT_MOVE)


@dataclass(slots=True, eq=False)
class Operation:
    """One rank's side of a copy, a move or a collective.

    Attributes:
        id: the same on both sides; 0 for an operation with PROC_NULL, which obliges to nothing.
        side: which part of it this rank holds.
        comm: the communicator it went through.
        peer: the other side's rank in the communicator, None for PROC_NULL and for collectives.
        tag: its message's tag; of a receive from PROC_NULL, what it asked for.
        qubits: this rank's handles, in the message's order.
        site: where in the program it was issued.
        name: the call.
        undo: of a collective: posts this rank's part of the inverse, and what the call was given.
        originals: its qubits that have copies elsewhere.
        allocated: its qubits that the library took for the result.
        partner: the other half of a `sendrecv`.
        open: True until it is undone, discharged or given up.
        untouched: of a copy, its qubits that have not been measured, reset or freed.
        number: of this rank's operations in the order in which they were entered.
    """

    id: int
    side: Side
    comm: Any
    peer: int | None
    tag: int | Wildcard
    qubits: tuple[Qubit, ...]
    site: int
    name: str = ""
    undo: Any = None
    originals: frozenset[Qubit] = frozenset()
    allocated: tuple[Qubit, ...] = ()
    partner: Operation | None = None
    open: bool = True
    untouched: set[Qubit] | None = None
    number: int = 0

    def __post_init__(self) -> None:
        if self.side is Side.ORIGINAL:
            self.originals = frozenset(self.qubits)

    def __str__(self) -> str:
        if self.side.joint:
            return f"{self.name} of {len(self.qubits)} qubit(s) of this rank, issued at {describe_site(self.site)}"
        return f"{self.side.value} of {len(self.qubits)} qubit(s), rank {self.peer}, tag {self.tag}, issued at {describe_site(self.site)}"


class Obligations:
    """All operations of this rank that can still be undone."""

    def __init__(self) -> None:
        """None yet."""
        self._of: defaultdict[Qubit, list[Operation]] = defaultdict(list)
        self._remembered: deque[Operation] = deque(maxlen=REMEMBERED)
        self._entered = 0

    def record(self, operation: Operation) -> None:
        """Enters an operation that has happened."""
        self._entered += 1
        operation.number = self._entered
        if not operation.side.obliges or not operation.qubits:
            self._remembered.append(operation)
            return
        operation.untouched = set(operation.qubits)
        for qubit in operation.qubits:
            self._of[qubit].append(operation)
            qubit._obliged = True

    def find(self, side: Side, qubits: tuple[Qubit, ...], comm: Any, fits: Callable[[Operation], bool]) -> Operation:
        """The most recent operation of this side on exactly these qubits that fits.

        Raises:
            UnmatchedInverse: there is none.
        """
        candidates: Iterable[Operation] = self._remembered
        if side.obliges:  # a copy that was measured in part is found under the qubits that are left
            candidates = dict.fromkeys(operation for qubit in qubits for operation in self._of.get(qubit, ()))
        related = [o for o in candidates if o.side is side and o.comm is comm and set(o.qubits) & set(qubits)]
        fitting = [o for o in related if o.qubits == qubits and fits(o)]
        if fitting:
            return max(fitting, key=lambda o: o.number)
        hint = f"; its qubits belong to: {'; '.join(map(str, related))}" if related else ""
        raise UnmatchedInverse(f"there is no such {side.value} with exactly this register in this communicator{hint}")

    def close(self, operation: Operation) -> None:
        """The operation is over: its qubits are free of it."""
        operation.open = False
        if (operation.side.joint or not operation.side.obliges) and operation in self._remembered:
            self._remembered.remove(operation)
        for qubit in operation.qubits:
            rest = [o for o in self._of.get(qubit, []) if o is not operation]
            if rest:
                self._of[qubit] = rest
            else:
                self._of.pop(qubit, None)
                if not qubit.freed:
                    qubit._obliged = False

    def refuse_originals(self, qubits: Iterable[Qubit], what: str) -> None:
        """Raises OutstandingCopies if one of the qubits has copies elsewhere."""
        if self._of:
            self._refuse(qubits, what, lambda operation, qubit: qubit in operation.originals)

    def refuse_any(self, qubits: Iterable[Qubit], what: str) -> None:
        """Raises OutstandingCopies if one of the qubits has copies elsewhere or is a copy itself."""
        if self._of:
            self._refuse(qubits, what, lambda operation, qubit: True)

    def refuse_others(self, qubits: Iterable[Qubit], mine: Operation, what: str) -> None:
        """Raises OutstandingCopies if one of the qubits is part of a copy beside this one: on, or anew after it had been reset."""
        self._refuse(qubits, what, lambda operation, qubit: operation is not mine)

    def _refuse(self, qubits: Iterable[Qubit], what: str, hinders: Callable[[Operation, Qubit], bool]) -> None:
        for qubit in qubits:
            for operation in self._of.get(qubit, ()):
                if operation.id and hinders(operation, qubit):
                    raise OutstandingCopies(f"{what} is refused, undo this first: {operation}")

    def discharge(self, qubit: Qubit, how: str) -> None:
        """The qubit was measured, reset or freed: it owes nothing any more."""
        for operation in self._of.pop(qubit, []):
            assert operation.untouched is not None
            operation.untouched.discard(qubit)
            if operation.untouched:
                continue
            if operation.side.joint and how == "measured":
                self._remembered.append(operation)  # owes nothing, but the others may want it undone together
            else:
                self._end(operation, f"{how} it at {source_line()}")

    def abandon(self, operation: Operation, error: BaseException) -> None:
        """An exception left the operation's block: it will not be undone, and who waits for that is told why."""
        if operation.open:
            self._end(operation, f"gave it up: {type(error).__name__}: {error}")

    def _end(self, operation: Operation, how: str) -> None:
        self.close(operation)
        if operation.side in (Side.COPY, Side.DESTINATION) or operation.side.joint:
            operation.comm._tell(operation, how)
        elif operation.side is Side.ORIGINAL:
            operation.comm._disclaim(operation)

    def joint(self, name: str, comm: Any) -> list[Operation]:
        """The collectives of this name that can be undone, the most recent first."""
        entries = [*self._remembered, *(operation for operations in self._of.values() for operation in operations)]
        found = {id(o): o for o in entries if o.side.joint and o.name == name and o.comm is comm}
        return sorted(found.values(), key=lambda o: -o.number)

    def outstanding(self, comm: Any) -> list[str]:
        """One line per copy that is neither undone nor discharged."""
        operations = {id(o): o for entries in self._of.values() for o in entries if comm is None or o.comm is comm}
        return [str(operation) for operation in operations.values() if operation.id]
