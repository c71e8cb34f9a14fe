"""What acts on handles without a communicator: measurement, reset, and windows for people who debug.

The gate functions are in `qmpi.gates`. All of these are eager for the user: gates are buffered inside and applied before anyone can tell.
"""

from __future__ import annotations

from ._core import Qubit, qubits_of
from ._core import measure as _measure
from ._core import probability as _probability
from ._core import reset as _reset
from .errors import InvalidArgument
from .gates.shapes import Qubits


class Bits(tuple[int, ...]):
    """Outcomes of a register, qubit 0 first. `int(bits)` reads them as a number, qubit 0 least significant."""

    __slots__ = ()

    def __int__(self) -> int:
        """The number whose bit k is outcome k."""
        return sum(bit << k for k, bit in enumerate(self))

    def __bool__(self) -> bool:
        """Refused: write `int(bits)`, `any(bits)` or `bits[k]`."""
        raise ValueError("the truth value of several bits is ambiguous: use int(bits), any(bits), all(bits) or bits[k]")

    def __repr__(self) -> str:
        """As `Bits(0, 1, 1)`."""
        return f"Bits({', '.join(map(str, self))})"


def measure(q: Qubits) -> int | Bits:
    """Measures in the computational basis; the qubit stays, in the state that was found.

    A measured qubit leaves its entangled component, whose memory halves. Draw number k of a rank depends only on the seed, the rank
    and k.

    Args:
        q: a Qubit, or a Register or a list, whose qubits are measured in order.

    Returns:
        0 or 1 for a Qubit, `Bits` for anything else.

    Raises:
        FreedQubit, FrozenQubit: it cannot be used.
        StateTooLarge: a buffered gate did not fit into memory.

    Cost: 0 EPR pairs, 0 bits. A qubit that was an entangled copy owes nothing any more.
    """
    if type(q) is Qubit:
        return _measure(q)
    return Bits(map(_measure, qubits_of(q)))


def reset(q: Qubits) -> None:
    """Measures and puts the qubit (each qubit of a register) into |0⟩.

    Args:
        q: a Qubit, a Register or a list.

    Raises:
        FreedQubit, FrozenQubit: it cannot be used.
        StateTooLarge: a buffered gate did not fit into memory.

    Cost: 0 EPR pairs, 0 bits; counts as a measurement.
    """
    for qubit in (q,) if type(q) is Qubit else qubits_of(q):
        _reset(qubit)


def probability(q: Qubit) -> float:
    """P(1) of a qubit. A window: no physical machine has it.

    Args:
        q: a Qubit of this rank.

    Returns:
        The probability that `measure(q)` gives 1.

    Raises:
        FreedQubit, FrozenQubit: it cannot be used.
    """
    return _probability(q)


def expectation(paulis: str, register: Qubits) -> float:
    """⟨P⟩ for a Pauli string on this rank's qubits. A window: no physical machine has it.

    Args:
        paulis: letters I, X, Y, Z; letter k acts on qubit k.
        register: as many qubits as letters.

    Returns:
        The expectation value, in [-1, 1].

    Raises:
        InvalidArgument: another letter, another length, no qubit, or a qubit given twice.
        FreedQubit, FrozenQubit: a qubit cannot be used.
    """
    qubits = qubits_of(register)
    if not qubits or len(paulis) != len(qubits) or set(paulis) - set("IXYZ"):
        raise InvalidArgument(f"expectation needs one letter I, X, Y or Z per qubit, not {paulis!r} for {len(qubits)} qubit(s)")
    if len(set(qubits)) < len(qubits):
        raise InvalidArgument("expectation: a qubit is given twice")
    return qubits[0]._session.expectation(paulis, qubits)
