"""A register: several handles of one rank, in order. Knows nothing of states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeAlias, overload

from .._core import Qubit, qubits_of
from ..runtime.obligations import Operation


class Register(Sequence[Qubit]):
    """Qubits of this rank, qubit 0 least significant. `q[0]` is a Qubit, `q[1:]` and `q + r` are Registers.

    A register that `recv` returned knows its operation: used in a `with` statement, the copy is undone at the end.

    Attributes:
        operation: what brought its contents, or None.
    """

    __slots__ = ("_qubits", "operation")

    def __init__(self, qubits: Sequence[Qubit | Register] = (), operation: Operation | None = None) -> None:
        """A register of the given qubits.

        Args:
            qubits: handles of this rank, qubit 0 first; a register among them stands for its own.
            operation: what brought their contents, if a message did.
        """
        self._qubits = qubits_of(qubits if type(qubits) is tuple else tuple(qubits))
        self.operation = operation

    @overload
    def __getitem__(self, index: int) -> Qubit: ...
    @overload
    def __getitem__(self, index: slice) -> Register: ...
    def __getitem__(self, index: int | slice) -> Qubit | Register:
        """A qubit, or a register of some."""
        picked = self._qubits[index]
        return Register(picked) if isinstance(picked, tuple) else picked

    def __len__(self) -> int:
        """The number of qubits."""
        return len(self._qubits)

    def __iter__(self) -> Iterator[Qubit]:
        """The qubits, qubit 0 first."""
        return iter(self._qubits)

    def __add__(self, other: Operand) -> Register:
        """This register's qubits, then the other's."""
        return Register(self._qubits + qubits_of(other))

    def __eq__(self, other: object) -> bool:
        """The same qubits in the same order."""
        return isinstance(other, Register) and self._qubits == other._qubits

    def __hash__(self) -> int:
        """By its qubits."""
        return hash(self._qubits)

    def __repr__(self) -> str:
        """As `Register[3 qubits]`."""
        return f"Register[{len(self)} qubit{'s' * (len(self) != 1)}]"

    def __enter__(self) -> Register:
        """The register itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Undoes the operation that brought the contents; after an exception, gives it up and tells the peer."""
        if self.operation is not None:
            self.operation.comm._leave(self.operation, error)


Operand: TypeAlias = Qubit | Sequence[Qubit | Register]
"""What stands for qubits in a call: a Qubit, a Register, or a list or tuple of these. `qubits_of` decides."""

__all__ = ["Operand", "Register", "qubits_of"]
