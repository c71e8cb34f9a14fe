"""A collective call as data: what every rank brings, what MPI's call of that name makes of it, what it costs; and how ranks perform it.

Knows no call. All ranks draw the same cases: nothing here asks which rank it is, but `Trial`, which performs one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

import qmpi

Bits = np.ndarray
Rows = list[dict[str, Bits]]  # of each rank, what stands in "send" and in "recv", a bit per qubit
Arguments = dict[str, Any]
Place = tuple[int, str, int]  # rank, buffer, index


@dataclass(frozen=True, slots=True)
class Side:
    """What one rank brings.

    Attributes:
        send: qubits of its send buffer; None if it gives none.
        recv: of its receive buffer.
        written: those of the receive buffer that must be in |0⟩ before; the others may hold anything.
        allocates: the receive buffer is left to the library.
    """

    send: int | None = None
    recv: int | None = None
    written: frozenset[int] = frozenset()
    allocates: bool = False

    def length(self, buffer: str) -> int:
        """Its qubits."""
        return (self.send if buffer == "send" else self.recv) or 0


@dataclass(frozen=True, slots=True)
class Cost:
    """EPR pairs and bits over all ranks, of the call and of its inverse."""

    pairs: int
    bits: int
    inverse_pairs: int
    inverse_bits: int


def copies(qubits: int) -> Cost:
    """Of so many qubits that are copied to another rank."""
    return Cost(qubits, qubits, 0, qubits)


def moves(qubits: int) -> Cost:
    """Of so many that are moved."""
    return Cost(qubits, 2 * qubits, qubits, 2 * qubits)


@dataclass(frozen=True, slots=True)
class Case:
    """One call on all ranks.

    Attributes:
        call: its name.
        sides: what each rank brings.
        arguments: of a rank with these two buffers, by name.
        effect: what stands in all buffers afterwards.
        by_mpi: performs mpi4py's call of that name on arrays of uint8, a bit in each; returns the received ones that MPI defines.
        returns: what the call returns on a rank with these two buffers.
        cost: as the standard's table has it.
        text: what was drawn.
        over_pairs: it makes EPR pairs in every mode, so that basis states do not stay product states on the way.
    """

    call: str
    sides: tuple[Side, ...]
    arguments: Callable[[int, Any, Any], Arguments]
    effect: Callable[[Rows], Rows]
    by_mpi: Callable[[Any, int, Bits, Bits], Mapping[int, int]]
    returns: Callable[[int, qmpi.Register, qmpi.Register], qmpi.Register]
    cost: Cost
    text: str
    over_pairs: bool = False

    def __str__(self) -> str:
        return f"{self.call}({self.text}) of {', '.join(f'{side.send}->{side.recv}' for side in self.sides)} qubits"

    def data(self) -> list[Place]:
        """What may hold anything before."""
        return [
            (rank, buffer, k)
            for rank, side in enumerate(self.sides)
            for buffer in ("send", "recv")
            for k in range(side.length(buffer))
            if buffer == "send" or not (side.allocates or k in side.written)
        ]

    def rows(self, values: Mapping[Place, int]) -> Rows:
        """All buffers before, where these places hold these bits."""
        empty = [{buffer: np.zeros(side.length(buffer), np.uint8) for buffer in ("send", "recv")} for side in self.sides]
        for (rank, buffer, k), bit in values.items():
            empty[rank][buffer][k] = bit
        return empty

    def random(self, rng: np.random.Generator) -> dict[Place, int]:
        """A bit for each place that may hold anything."""
        places = self.data()
        return dict(zip(places, map(int, rng.integers(0, 2, len(places))), strict=True))


def some(comm: qmpi.Comm, count: int) -> qmpi.Register:
    """So many qubits, perhaps none."""
    return comm.alloc(count) if count else qmpi.Register()


def over_mpi4py(comm: qmpi.Comm) -> bool:
    """Whether mpi4py is there to ask: not where ranks are threads."""
    return type(comm.mpi).__module__.startswith("mpi4py")


class Trial:
    """A case on the ranks of a communicator: this rank's buffers, the call and its inverse.

    Attributes:
        how: "call", "icall" or "block": the inverse is a call, one that does not wait, or the end of a block.
        send, recv: the buffers; what the library allocates is there between the call and its inverse.
    """

    def __init__(self, comm: qmpi.Comm, case: Case, how: str = "call") -> None:
        self.comm, self.case, self.how = comm, case, how
        self.side = case.sides[comm.rank]
        self.send = some(comm, self.side.length("send"))
        self.recv = some(comm, 0 if self.side.allocates else self.side.length("recv"))
        self._block = ExitStack()

    def set(self, values: Mapping[Place, int]) -> None:
        """X where the bit is 1."""
        for (rank, buffer, k), bit in values.items():
            if rank == self.comm.rank and bit:
                qmpi.gates.x(getattr(self, buffer)[k])

    def arguments(self) -> Arguments:
        """Of this rank's call."""
        send = None if self.side.send is None else self.send
        return self.case.arguments(self.comm.rank, send, None if self.side.recv is None or self.side.allocates else self.recv)

    def forward(self) -> qmpi.Register:
        """The call; returns what it does."""
        self._given = self.arguments()
        if self.how == "icall":
            result: qmpi.Register = getattr(self.comm, "i" + self.case.call)(**self._given).wait()
        else:
            result = getattr(self.comm, self.case.call)(**self._given)
        if self.how == "block":
            self._block.enter_context(result)
        if self.side.allocates:
            self.recv = result
        self.held = qmpi.Register(list(result.operation.undo.spares.values()) if result.operation else [])
        return result

    def inverse(self) -> None:
        """Undoes it."""
        if self.how == "block":
            self._block.close()
        elif self.how == "icall":
            getattr(self.comm, "iun" + self.case.call)(**self._given).wait()
        else:
            getattr(self.comm, "un" + self.case.call)(**self._given)
        if self.side.allocates:
            if self.how != "block":
                self.comm.free(self.recv)
            self.recv = qmpi.Register()
        self.held = qmpi.Register()

    def bits(self) -> dict[str, Bits]:
        """What stands in both buffers, all in basis states; a window, so that no obligation ends."""
        return {buffer: definite([qmpi.probability(qubit) for qubit in getattr(self, buffer)]) for buffer in ("send", "recv")}

    def free(self) -> None:
        """Gives the buffers back."""
        mine = self.send + self.recv
        qmpi.reset(mine)
        self.comm.free(mine)


def definite(probabilities: Sequence[float]) -> Bits:
    """The bits, if each is certain."""
    numbers = np.array(probabilities, float)
    assert np.abs(numbers - numbers.round()).max(initial=0) < 1e-5, f"not in a basis state: {probabilities}"
    return numbers.round().astype(np.uint8)
