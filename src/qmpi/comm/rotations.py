"""Rotations about a Pauli string that is spread over ranks, in three ways: arXiv:2105.01109, section 7."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .._core import Qubit, Verb
from ..errors import InvalidArgument
from ..gates import cx, cz, h, pauli_rotation, rz, s, sdg
from .reductions import Reductions
from .register import Operand
from .request import Joined, Request
from .steps import Gates, Measure, Negate, Places, Plan, Receive, ReceiveBits, Send, SendBits, Step, spares

_STRATEGIES = ("in-place", "out-of-place", "constant-depth")
_ROW = struct.Struct("<?dbi")  # takes part, angle, strategy, auxiliary


class Rotations(Reductions):
    """exp(-iθ/2 P)."""

    def pauli_rotation(
        self,
        theta: float,
        paulis: str,
        register: Operand,
        strategy: str = "in-place",
        auxiliary: int | None = None,
        ranks: Sequence[int] | None = None,
    ) -> None:
        """Applies exp(-iθ/2 P), where P is the product of all ranks' Pauli strings.

        `in-place` brings the parity of the k ranks that take part to one of their qubits by a binary tree of remote CX, and back.
        `out-of-place` brings it to an auxiliary, one rank after the other; `constant-depth` does so over a cat state. These two are
        undone by a measurement of the auxiliary and Z everywhere. Its inverse is the rotation by -θ.

        Args:
            theta: the angle in radians, the same on all ranks.
            paulis: letters I, X, Y, Z for this rank's qubits; letter k acts on qubit k.
            register: as many qubits as letters; it may be empty.
            strategy: `in-place`, `out-of-place` or `constant-depth`, the same on all ranks.
            auxiliary: the rank that has the auxiliary, the same on all ranks; by default the first of the k.
            ranks: the k ranks, the same on all ranks; the others' strings are only I. By default those whose string is not only I:
                they find out by classical messages, and that they agree on all else.

        **Collective.**

        Raises:
            InvalidArgument: another letter, another length, an unknown strategy, a letter on a rank that takes no part, or the ranks
                disagree.
            RankOutOfRange: bad auxiliary, or bad ranks.
            FrozenQubit, FreedQubit: a qubit cannot be used.

        Cost: in-place 2(k-1) EPR pairs, 4(k-1) bits. Out-of-place k-1 EPR pairs (k if the auxiliary is on another rank), thrice as many
        bits; constant-depth the same pairs n, 3n-1 bits. Source: arXiv:2105.01109, section 7.
        """
        self._refuse_if_closed()
        if ranks is None:

            def check() -> bytes:
                self._letters(paulis, register, strategy, auxiliary)
                return _ROW.pack(bool(paulis.strip("I")), theta, _STRATEGIES.index(strategy), -1 if auxiliary is None else auxiliary)

            rows = [_ROW.unpack(row) for row in self._group.gather_or_raise(check)]
            if len({row[1:] for row in rows}) > 1:
                raise InvalidArgument("pauli_rotation: the ranks disagree on angle, strategy or auxiliary")
            ranks = [rank for rank, row in enumerate(rows) if row[0]]
        self._rotate("pauli_rotation", theta, paulis, register, strategy, auxiliary, ranks).block()

    def ipauli_rotation(
        self,
        theta: float,
        paulis: str,
        register: Operand,
        strategy: str = "in-place",
        auxiliary: int | None = None,
        ranks: Sequence[int] | None = None,
    ) -> Request[None]:
        """`pauli_rotation` that does not wait, nor asks who takes part: by default all ranks do. `register` is frozen until the end."""
        self._refuse_if_closed()
        return self._rotate("ipauli_rotation", theta, paulis, register, strategy, auxiliary, range(self.size) if ranks is None else ranks)

    def _letters(self, paulis: str, register: Operand, strategy: str, auxiliary: int | None) -> list[tuple[str, Qubit]]:
        """The letters other than I with their qubits; everything is checked."""
        qubits = self._operand(register)
        if len(paulis) != len(qubits) or set(paulis) - set("IXYZ"):
            raise InvalidArgument(f"pauli_rotation needs one letter I, X, Y or Z per qubit, not {paulis!r} for {len(qubits)} qubit(s)")
        if strategy not in _STRATEGIES:
            raise InvalidArgument(f"pauli_rotation knows the strategies {', '.join(_STRATEGIES)}, not {strategy!r}")
        if auxiliary is not None:
            self._member(auxiliary, "auxiliary")
        self._session.core.ids(qubits)
        return [(letter, qubit) for letter, qubit in zip(paulis, qubits, strict=True) if letter != "I"]

    def _rotate(
        self,
        call: str,
        theta: float,
        paulis: str,
        register: Operand,
        strategy: str,
        auxiliary: int | None,
        ranks: Sequence[int],
    ) -> Request[None]:
        letters = self._letters(paulis, register, strategy, auxiliary)
        ranks = sorted({self._member(rank, "one of ranks,") for rank in ranks})
        if letters and self.rank not in ranks:
            raise InvalidArgument(f"pauli_rotation: rank {self.rank} has {paulis!r}, but takes no part: ranks are {ranks}")
        if len(ranks) < 2:
            if letters:  # a rotation about I alone is a global phase
                pauli_rotation(theta, paulis, register)
            return self._nothing(None)
        helper = ranks[0] if auxiliary is None or strategy == "in-place" else self._member(auxiliary, "auxiliary")
        if self.rank not in ranks and self.rank != helper:
            self._collectives += 1
            return self._nothing(None)
        plan = Plan(targets=(), final=True)
        share: Places = ()  # a qubit with this rank's parity: 0 if there is no letter
        if self.rank in ranks:
            share = (letters[0][1],) if letters else spares(1, held=False)
        middle = {"in-place": self._in_place, "out-of-place": self._out_of_place, "constant-depth": self._constant_depth}[strategy]
        local = _to_parity("".join(letter for letter, _ in letters), tuple(qubit for _, qubit in letters))
        plan.steps = [*local, *middle(theta, share, ranks, helper), *(step.inverse() for step in reversed(local))]
        return Joined([self._post(call, "pauli_rotation", plan, {})], lambda: None)

    def _in_place(self, theta: float, share: Places, ranks: list[int], _: int) -> list[Step]:
        position, up, reach = ranks.index(self.rank), list[list[Step]](), 1
        while reach < len(ranks):
            if position % (2 * reach) == reach:
                up.append(_lend(share, ranks[position - reach]))
                break
            if position + reach < len(ranks):
                up.append(_borrow(share, ranks[position + reach]))
            reach *= 2
        turn = [_z_rotation(theta, share)] if position == 0 else []
        return [*(step for steps in up for step in steps), *turn, *(step for steps in reversed(up) for step in steps)]

    def _out_of_place(self, theta: float, share: Places, ranks: list[int], helper: int) -> list[Step]:
        if self.rank != helper:
            return [*_lend(share, helper), ReceiveBits(0, 1, helper), Negate(share, 0)]
        others = [rank for rank in ranks if rank != helper]
        parity = spares(1, held=False)
        steps: list[Step] = [Gates(cx, cx, (share, parity))] if share else []
        for rank in others:
            steps += _borrow(parity, rank)
        return steps + self._turn(theta, share, parity, others)

    def _constant_depth(self, theta: float, share: Places, ranks: list[int], helper: int) -> list[Step]:
        """Over a cat state, each rank's share turns the sign of |1…1⟩; what is left of it at the auxiliary is the parity, after H."""
        others = [rank for rank in ranks if rank != helper]
        nodes = [helper, *others]
        position = nodes.index(self.rank)
        cat = spares(1, held=False)
        steps = self._chain(position, nodes, cat, payload=False)
        if share:
            steps.append(Gates(cz, cz, (cat, share)))
        steps += [step.inverse() for step in reversed(self._tree(position, nodes, cat))]
        if position:
            return [*steps, ReceiveBits(2, 1, helper), Negate(share, 2)]
        return [*steps, Gates(h, h, (cat,)), *self._turn(theta, share, cat, others)]

    def _turn(self, theta: float, share: Places, parity: Places, others: list[int]) -> list[Step]:
        """The rotation, and the end of the auxiliary: H, measured; where it is 1, Z on every share."""
        return [
            _z_rotation(theta, parity),
            Gates(h, h, (parity,)),
            Measure(parity, 2),
            *([Negate(share, 2)] if share else []),
            *(SendBits(2, 1, rank) for rank in others),
        ]


def _z_rotation(theta: float, share: Places) -> Gates:
    return Gates(lambda q: rz(theta, q), lambda q: rz(-theta, q), (share,))


def _lend(share: Places, peer: int) -> list[Step]:
    """The control of a CX on another rank."""
    return [Send(Verb.copy, share, peer), Receive(Verb.uncopy, share, peer)]


def _borrow(target: Places, peer: int) -> list[Step]:
    """CX from another rank's share."""
    copy = spares(1, held=False)
    return [Receive(Verb.copy, copy, peer), Gates(cx, cx, (copy, target)), Send(Verb.uncopy, copy, peer)]


def _to_parity(letters: str, qubits: tuple[Qubit, ...]) -> list[Step]:
    """Turns a Pauli string into Z on its first qubit."""
    steps: list[Step] = []
    for letter, qubit in zip(letters, qubits, strict=True):
        if letter == "Y":
            steps.append(Gates(sdg, s, ((qubit,),)))
        if letter in "XY":
            steps.append(Gates(h, h, ((qubit,),)))
    return steps + [Gates(cx, cx, ((qubit,), qubits[:1])) for qubit in qubits[1:]]
