"""The operators of reductions: reversible circuits on registers of one rank. Knows no messages.

Made of X, CX and CCX only, so that basis states stay what they are: product states, whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidArgument
from ..gates import ccx, cx, x
from .register import Register

Circuit = Callable[..., object]


class Op:
    """A reversible binary operator ∘ on items of `width` qubits.

    `forward(acc, x, out)` and `inverse(acc, x, out)` apply gates to registers of one rank, all of the same length, and do nothing else.
    acc is the left operand (the lower ranks), x the right one; neither is changed. out is |0⟩ before and acc ∘ x after `forward`.
    In place, out is acc itself: it becomes acc ∘ x. `inverse` undoes exactly that.

    Attributes:
        inplace: out is acc.
        commute: acc ∘ x = x ∘ acc.
    """

    def __init__(
        self,
        forward: Circuit,
        inverse: Circuit,
        *,
        scratch: int | Callable[[int], int] = 0,
        inplace: bool = False,
        commute: bool = True,
        name: str = "",
    ) -> None:
        """An associative operator.

        Args:
            forward: the circuit; with scratch it gets a fourth register.
            inverse: what undoes it, called with the same registers.
            scratch: further qubits, a number or a function of the width: |0⟩ before. An operator in place returns them to |0⟩; another one
                may leave flags in them, which are kept until the inverse.
            inplace: the result replaces acc.
            commute: the operands may change places.
            name: what reports call it.

        Raises:
            InvalidArgument: an operator without an inverse cannot be undone; or scratch is not a number of qubits.
        """
        if not callable(forward) or not callable(inverse):
            raise InvalidArgument("an operator needs forward and inverse circuits: without an inverse a reduction could not be undone")
        if not callable(scratch) and (not isinstance(scratch, int) or scratch < 0):
            raise InvalidArgument(f"scratch is a number of qubits, or a function of the width, not {scratch!r}")
        self._forward = forward
        self._inverse = inverse
        self._scratch = scratch
        self.inplace = inplace
        self.commute = commute
        self._name = name

    def scratch_for(self, width: int) -> int:
        """How many further qubits an item takes.

        Args:
            width: its qubits.

        Returns:
            The number.
        """
        return self._scratch(width) if callable(self._scratch) else self._scratch

    def apply(self, acc: Register, x: Register, out: Register, scratch: Register) -> None:
        """Applies the operator to one item.

        Args:
            acc: left operand.
            x: right operand.
            out: result; in place, acc.
            scratch: `scratch_for(width)` qubits.
        """
        self._forward(acc, x, out, *([scratch] if len(scratch) else []))

    def undo(self, acc: Register, x: Register, out: Register, scratch: Register) -> None:
        """Undoes `apply`.

        Args:
            acc: left operand.
            x: right operand.
            out: result; in place, acc.
            scratch: `scratch_for(width)` qubits.
        """
        self._inverse(acc, x, out, *([scratch] if len(scratch) else []))

    def __repr__(self) -> str:
        """As `qmpi.SUM`."""
        return f"qmpi.{self._name}" if self._name else f"<qmpi.Op {getattr(self._forward, '__name__', 'operator')}>"


# --- arithmetic --------------------------------------------------------------------------------------------------------------------------


def _parity(acc: Register, x: Register, _: Register) -> None:
    cx(x, acc)


def _majority(carry: Register, b: Register, a: Register) -> None:
    """a becomes the carry out of a + b + carry."""
    cx(a, b)
    cx(a, carry)
    ccx(carry, b, a)


def _unmajority(carry: Register, b: Register, a: Register) -> None:
    ccx(carry, b, a)
    cx(a, carry)
    cx(a, b)


def _carries(x: Register, carry: Register) -> list[Register]:
    """Where the carry into each bit stands while `_majority` goes up."""
    return [carry, *(x[k : k + 1] for k in range(len(x) - 1))]


def _add(acc: Register, x: Register, _: Register, carry: Register) -> None:
    """acc += x modulo 2^w: 2(w-1) CCX; the ripple of Cuccaro et al., arXiv:quant-ph/0410184, without the carry out."""
    top = len(x) - 1
    into = _carries(x, carry)
    for k in range(top):
        _majority(into[k], acc[k : k + 1], x[k : k + 1])
    cx(into[top], acc[top])
    cx(x[top], acc[top])
    for k in reversed(range(top)):
        ccx(into[k], acc[k : k + 1], x[k : k + 1])
        cx(x[k], into[k])
        cx(into[k], acc[k : k + 1])


def _subtract(acc: Register, x: Register, _: Register, carry: Register) -> None:
    """`_add` backwards."""
    top = len(x) - 1
    into = _carries(x, carry)
    for k in range(top):
        cx(into[k], acc[k : k + 1])
        cx(x[k], into[k])
        ccx(into[k], acc[k : k + 1], x[k : k + 1])
    cx(x[top], acc[top])
    cx(into[top], acc[top])
    for k in reversed(range(top)):
        _unmajority(into[k], acc[k : k + 1], x[k : k + 1])


def _and(acc: Register, x: Register, out: Register) -> None:
    ccx(acc, x, out)


def _or(acc: Register, x_: Register, out: Register) -> None:
    """acc + x + acc·x, modulo 2."""
    cx(acc, out)
    cx(x_, out)
    ccx(acc, x_, out)


def _compare(acc: Register, x_: Register, flag: Register, carry: Register) -> None:
    """flag ^= (acc < x): the carry out of x + (2^w - 1 - acc). Its own inverse; 2w CCX."""
    into = _carries(x_, carry)
    x(acc)
    for k in range(len(x_)):
        _majority(into[k], acc[k : k + 1], x_[k : k + 1])
    cx(x_[len(x_) - 1], flag)
    for k in reversed(range(len(x_))):
        _unmajority(into[k], acc[k : k + 1], x_[k : k + 1])
    x(acc)


def _choose(flag: Register, when_set: Register, when_clear: Register, out: Register) -> None:
    """out ^= when_set if the flag is 1, else when_clear. Its own inverse; w CCX."""
    cx(when_set, when_clear)
    ccx(flag, when_clear, out)
    cx(when_set, when_clear)
    cx(when_clear, out)


def _smaller(acc: Register, x: Register, out: Register, scratch: Register) -> None:
    _compare(acc, x, scratch[:1], scratch[1:])
    _choose(scratch[:1], acc, x, out)


def _not_smaller(acc: Register, x: Register, out: Register, scratch: Register) -> None:
    _choose(scratch[:1], acc, x, out)
    _compare(acc, x, scratch[:1], scratch[1:])


def _larger(acc: Register, x: Register, out: Register, scratch: Register) -> None:
    _compare(acc, x, scratch[:1], scratch[1:])
    _choose(scratch[:1], x, acc, out)


def _not_larger(acc: Register, x: Register, out: Register, scratch: Register) -> None:
    _choose(scratch[:1], x, acc, out)
    _compare(acc, x, scratch[:1], scratch[1:])


PARITY = Op(_parity, _parity, inplace=True, name="PARITY")
"""Exclusive or of each qubit, in place: w CX. Holds nothing but the copy it works on."""

SUM = Op(_add, _subtract, scratch=1, inplace=True, name="SUM")
"""The sum of integers modulo 2^w, qubit 0 least significant, in place: 2(w-1) CCX, one ancilla that is given back."""

BAND = Op(_and, _and, name="BAND")
"""And of each qubit: w CCX."""

BOR = Op(_or, _or, name="BOR")
"""Or of each qubit: w CCX."""

MIN = Op(_smaller, _not_smaller, scratch=2, name="MIN")
"""The smaller of two integers, qubit 0 least significant: 3w CCX, a flag that is kept and an ancilla."""

MAX = Op(_larger, _not_larger, scratch=2, name="MAX")
"""The larger of two integers, qubit 0 least significant: 3w CCX, a flag that is kept and an ancilla."""
