"""The operators of reductions: reversible circuits on registers of one rank. Knows no messages.

Made of X, CX and CCX only, so that basis states stay what they are: product states, whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidArgument
from ..gates import ccx, cx
from ..gates import x as flip
from .register import Register

Circuit = Callable[..., object]


def _qubits(scratch: object) -> int:
    """A number of qubits, or InvalidArgument."""
    if type(scratch) is not int or scratch < 0:
        raise InvalidArgument(f"scratch is a number of qubits, or a function of the width that gives one, not {scratch!r}")
    return scratch


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
        inverse: Circuit | None = None,
        *,
        scratch: int | Callable[[int], int] = 0,
        inplace: bool = False,
        commute: bool = True,
        name: str = "",
    ) -> None:
        """An associative operator.

        Args:
            forward: the circuit; with scratch it gets a fourth register.
            inverse: what undoes it, called with the same registers. There is no operator without one.
            scratch: further qubits, a number or a function of the width: |0⟩ before. An operator in place returns them to |0⟩ itself, for
                they are not kept; another one may leave flags in them, which are kept until the inverse, and that returns them to |0⟩.
            inplace: the result replaces acc.
            commute: the operands may change places.
            name: what reports call it.

        Raises:
            InvalidArgument: an operator without an inverse cannot be undone; or scratch is not a number of qubits.
        """
        if not callable(forward) or not callable(inverse):
            raise InvalidArgument("an operator needs forward and inverse circuits: without an inverse a reduction could not be undone")
        self._forward = forward
        self._inverse = inverse
        self._scratch = scratch if callable(scratch) else _qubits(scratch)
        self.inplace = inplace
        self.commute = commute
        self._name = name

    def scratch_for(self, width: int) -> int:
        """How many further qubits an item takes.

        Args:
            width: its qubits.

        Returns:
            The number.

        Raises:
            InvalidArgument: the function of the width gave something else.
        """
        return _qubits(self._scratch(width)) if callable(self._scratch) else self._scratch

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
#
# Takahashi, Tani, Kunihiro, arXiv:0910.2530: the carries ripple through the second operand, so that no ancilla is needed. c_k is the carry
# into bit k of acc + x: c_0 = 0 and c_(k+1) = maj(acc_k, x_k, c_k) = x_k ⊕ (acc_k ⊕ x_k)(x_k ⊕ c_k).


def _ripple(acc: Register, x: Register) -> None:
    """acc_k becomes acc_k ⊕ x_k, x_k becomes x_k ⊕ c_k, k ≥ 1; one CCX per carry. x may have one qubit more, for the carry out."""
    for k in range(1, len(acc)):
        cx(x[k], acc[k])
    for k in reversed(range(1, len(x) - 1)):
        cx(x[k], x[k + 1])
    for k in range(len(x) - 1):
        ccx(acc[k], x[k], x[k + 1])


def _unripple(acc: Register, x: Register) -> None:
    """`_ripple` backwards."""
    for k in reversed(range(len(x) - 1)):
        ccx(acc[k], x[k], x[k + 1])
    for k in range(1, len(x) - 1):
        cx(x[k], x[k + 1])
    for k in range(1, len(acc)):
        cx(x[k], acc[k])


def _parity(acc: Register, x: Register, _: Register) -> None:
    cx(x, acc)


def _add(acc: Register, x: Register, _: Register) -> None:
    """acc += x modulo 2^w."""
    _ripple(acc, x)
    for k in reversed(range(1, len(x))):
        cx(x[k], acc[k])  # acc_k ⊕ c_k
        ccx(acc[k - 1], x[k - 1], x[k])
    for k in range(1, len(x) - 1):
        cx(x[k], x[k + 1])
    cx(x, acc)


def _subtract(acc: Register, x: Register, _: Register) -> None:
    """acc -= x modulo 2^w: acc - x = ~(~acc + x)."""
    flip(acc)
    _add(acc, x, _)
    flip(acc)


def _and(acc: Register, x: Register, out: Register) -> None:
    ccx(acc, x, out)


def _or(acc: Register, x: Register, out: Register) -> None:
    """acc + x + acc·x, modulo 2."""
    cx(acc, out)
    cx(x, out)
    ccx(acc, x, out)


def _compare(acc: Register, x: Register, flag: Register) -> None:
    """flag ^= (acc < x): the carry out of ~acc + x. Its own inverse; 2w-1 CCX."""
    flip(acc)
    _ripple(acc, x + flag)
    _unripple(acc, x)
    flip(acc)


def _choose(flag: Register, when_set: Register, when_clear: Register, out: Register) -> None:
    """out ^= when_set if the flag is 1, else when_clear. Its own inverse; w CCX."""
    cx(when_set, when_clear)
    ccx(flag, when_clear, out)
    cx(when_set, when_clear)
    cx(when_clear, out)


def _smaller(acc: Register, x: Register, out: Register, flag: Register) -> None:
    _compare(acc, x, flag)
    _choose(flag, acc, x, out)


def _not_smaller(acc: Register, x: Register, out: Register, flag: Register) -> None:
    _choose(flag, acc, x, out)
    _compare(acc, x, flag)


def _larger(acc: Register, x: Register, out: Register, flag: Register) -> None:
    _compare(acc, x, flag)
    _choose(flag, x, acc, out)


def _not_larger(acc: Register, x: Register, out: Register, flag: Register) -> None:
    _choose(flag, x, acc, out)
    _compare(acc, x, flag)


PARITY = Op(_parity, _parity, inplace=True, name="PARITY")
"""Exclusive or of each qubit, in place: acc_k ⊕ x_k. w CX, no scratch."""

SUM = Op(_add, _subtract, inplace=True, name="SUM")
"""Sum of integers, qubit 0 least significant, in place: (acc + x) mod 2^w. 2(w-1) CCX and 5w-6 CX (w ≥ 2; 1 CX for w = 1), the inverse 2w X
besides; no scratch. Source: arXiv:0910.2530."""

BAND = Op(_and, _and, name="BAND")
"""And of each qubit: acc_k x_k. w CCX, no scratch."""

BOR = Op(_or, _or, name="BOR")
"""Or of each qubit: acc_k ⊕ x_k ⊕ acc_k x_k. w CCX and 2w CX, no scratch."""

MIN = Op(_smaller, _not_smaller, scratch=1, name="MIN")
"""Smaller of two unsigned integers, qubit 0 least significant: acc if acc < x, else x. 3w-1 CCX, 7w-5 CX (w ≥ 2; 3 for w = 1) and 2w X;
scratch: the flag acc < x, kept. Source of the comparison: arXiv:0910.2530."""

MAX = Op(_larger, _not_larger, scratch=1, name="MAX")
"""Larger of two unsigned integers, qubit 0 least significant: x if acc < x, else acc. Gates, scratch and source as for MIN."""
