"""Collectives that combine states: reduce, all-reduce, reduce-scatter, scan and exscan. Each is a plan.

They run along a chain of ranks (the linear schedule): each rank receives a copy of what those before it have made, combines it with its
own, and sends a copy on. What it received it keeps until the inverse, which runs back along the chain. Time grows with N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .._core import Qubit, Verb
from ..errors import InvalidArgument
from ..gates import cx, h
from ..whole import whole
from ..world.wildcards import IN_PLACE, Wildcard, means
from .collective import calls
from .collectives import Collectives
from .operators import PARITY, Op
from .register import Operand
from .steps import Exchange, Gates, Measure, Negate, Places, Plan, Receive, ReceiveBits, Send, SendBits, Spare, Step, fan_out, spares

Buffer = Operand | Wildcard
Qubits = tuple[Qubit, ...]


@dataclass(slots=True)
class _Fold:
    """Combines operands on one rank, step by step, item by item.

    Attributes:
        op: the operator.
        width: qubits of an item.
        steps: what has been written.
        ancilla: what an operator in place needs for a moment, and all its items share.
    """

    op: Op
    width: int
    steps: list[Step] = field(default_factory=list)
    ancilla: tuple[Spare, ...] = ()

    def __post_init__(self) -> None:
        if self.op.inplace:
            self.ancilla = spares(self.op.scratch_for(self.width), held=False)

    def combine(self, left: Places, right: Places, out: Places, held: bool = True) -> None:
        """out = left ∘ right. In place, out is left."""
        for begin in range(0, len(left), self.width):
            item = slice(begin, begin + self.width)
            scratch = self.ancilla if self.op.inplace else spares(self.op.scratch_for(self.width), held)
            self.steps.append(Gates(self.op.apply, self.op.undo, (left[item], right[item], out[item], scratch)))

    def receive(self, places: Places, peer: int) -> None:
        """A copy of what another rank has made."""
        self.steps.append(Receive(Verb.copy, places, peer))

    def send(self, places: Places, peer: int) -> None:
        """A copy of what this rank has made."""
        self.steps.append(Send(Verb.copy, places, peer))

    def before(self, x: Places, peer: int, into: Places | None) -> Places:
        """acc ∘ x, where acc comes from a rank; into: where it must stand, if that matters."""
        acc = into if into is not None and self.op.inplace else spares(len(x))
        self.receive(acc, peer)
        out = acc if self.op.inplace else spares(len(x)) if into is None else into
        self.combine(acc, x, out)
        return out

    def after(self, x: Places, peer: int, into: Places | None, owned: bool = False) -> Places:
        """x ∘ acc, where acc comes from a rank. In place, x itself is combined if it is `owned`, else a copy of it within the rank."""
        acc = spares(len(x))
        self.receive(acc, peer)
        if self.op.inplace and owned:
            out = x
        else:
            out = spares(len(x)) if into is None else into
            if self.op.inplace:
                self.steps.append(fan_out(x, out))
        self.combine(out if self.op.inplace else x, acc, out)
        return out


class Reductions(Collectives):
    """Reduce, all-reduce, reduce-scatter, scan and exscan."""

    def _reduce(
        self,
        sendq: Buffer,
        recvq: Operand | None = None,
        op: Op = PARITY,
        root: int = 0,
        width: int | None = None,
        algorithm: str = "linear",
    ) -> Plan:
        """Combines all ranks' qubits with an operator, at the root: |x₀⟩…|x_(N-1)⟩|0⟩ becomes |x₀⟩…|x_(N-1)⟩|x₀ ∘ … ∘ x_(N-1)⟩.

        Commuting operators run along a chain that ends at the root, others along two arms that meet there. Between the operation and its
        inverse an inner rank keeps m qubits (operators in place: PARITY, SUM), or 2m and flags. `star`, for PARITY, keeps nothing.

        Args:
            sendq: m qubits; IN_PLACE at the root: they stand in recvq, and are kept elsewhere until the inverse.
            recvq: at the root, m qubits in |0⟩; None allocates them. Elsewhere it means nothing.
            op: PARITY, SUM, BAND, BOR, MIN, MAX or an `Op`.
            root: the rank that has the result.
            width: qubits of an item; by default all are one.
            algorithm: `linear`, or `star` for PARITY.

        Returns:
            At the root recvq, elsewhere an empty register; a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            RankOutOfRange, InvalidArgument: bad root, operator, width or algorithm.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, (N-1)m bits; the inverse 0 EPR pairs, (N-1)m bits. `star` sends 2(N-1)m bits. Source: arXiv:2105.01109,
        section 4.
        """
        root = self._member(root, "root")
        if algorithm not in ("linear", "star") or (algorithm == "star" and op is not PARITY):
            raise InvalidArgument(f"reduce knows the algorithms linear and, for PARITY, star, not {algorithm!r} for {op!r}")
        plan, x, out = self._operands(sendq, recvq, self.rank == root, root, op, width)
        if algorithm == "star":
            return self._star(plan, x, out, root)
        plan.steps += self._reduction(x, out, op, root, width)
        return plan

    reduce, ireduce, unreduce, iunreduce, reduce_init = calls(_reduce)

    def _allreduce(self, sendq: Buffer, recvq: Operand | None = None, op: Op = PARITY, width: int | None = None) -> Plan:
        """Combines all ranks' qubits with an operator: `reduce` to rank 0, then `bcast`. Every rank has an entangled copy of the result.

        Args:
            sendq: m qubits; IN_PLACE: they stand in recvq, and are kept elsewhere until the inverse.
            recvq: m qubits in |0⟩; None allocates them.
            op: PARITY, SUM, BAND, BOR, MIN, MAX or an `Op`.
            width: qubits of an item; by default all are one.

        Returns:
            recvq, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            InvalidArgument: bad operator or width.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 2(N-1)m EPR pairs, 2(N-1)m bits; the inverse 0 EPR pairs, 2(N-1)m bits.
        """
        plan, x, out = self._operands(sendq, recvq, True, None, op, width)
        plan.steps += self._reduction(x, out, op, 0, width) + self._tree(self.rank, range(self.size), out)
        return plan

    allreduce, iallreduce, unallreduce, iunallreduce, allreduce_init = calls(_allreduce)

    def _reduce_scatter_block(self, sendq: Buffer, recvq: Operand | None = None, op: Op = PARITY, width: int | None = None) -> Plan:
        """Combines N parts of m qubits; rank r has the result of part r.

        Args:
            sendq: N·m qubits, the parts in rank order; IN_PLACE: they stand in recvq, whose first m qubits become the result.
            recvq: m qubits in |0⟩; None allocates them.
            op: PARITY, SUM, BAND, BOR, MIN, MAX or an `Op`.
            width: qubits of an item; by default a part is one.

        Returns:
            The m qubits of the result, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            InvalidArgument: bad operator, width or lengths.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: N(N-1)m EPR pairs, N(N-1)m bits; the inverse 0 EPR pairs, N(N-1)m bits.
        """
        return self._reducing_parts(sendq, recvq, None, op, width)

    reduce_scatter_block, ireduce_scatter_block, unreduce_scatter_block, iunreduce_scatter_block, reduce_scatter_block_init = calls(
        _reduce_scatter_block
    )

    def _reduce_scatter(
        self,
        sendq: Buffer,
        recvq: Operand | None = None,
        recvcounts: Sequence[int] | None = None,
        op: Op = PARITY,
        width: int | None = None,
    ) -> Plan:
        """As `reduce_scatter_block`, with a number of qubits for each rank.

        Args:
            sendq: the parts in rank order; IN_PLACE: they stand in recvq, whose first qubits become the result.
            recvq: recvcounts[rank] qubits in |0⟩; None allocates them.
            recvcounts: how many qubits each rank's part has, the same list on every rank.
            op: PARITY, SUM, BAND, BOR, MIN, MAX or an `Op`.
            width: qubits of an item; by default a part is one.

        Returns:
            The qubits of the result, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            InvalidArgument: bad operator, width, counts or lengths.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1) EPR pairs and bits for each qubit of a rank's parts; the inverse 0 EPR pairs and the same bits.
        """
        return self._reducing_parts(sendq, recvq, self._needed(recvcounts, "recvcounts", self.rank), op, width)

    reduce_scatter, ireduce_scatter, unreduce_scatter, iunreduce_scatter, reduce_scatter_init = calls(_reduce_scatter)

    def _scan(self, sendq: Buffer, recvq: Operand | None = None, op: Op = PARITY, width: int | None = None) -> Plan:
        """Combines the qubits of each rank and of all before it: rank r has x₀ ∘ … ∘ x_r.

        Args:
            sendq: m qubits; IN_PLACE: they stand in recvq, and are kept elsewhere until the inverse.
            recvq: m qubits in |0⟩; None allocates them.
            op: PARITY, SUM, BAND, BOR, MIN, MAX or an `Op`.
            width: qubits of an item; by default all are one.

        Returns:
            recvq, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            InvalidArgument: bad operator or width.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, (N-1)m bits; the inverse 0 EPR pairs, (N-1)m bits.
        """
        plan, x, out = self._operands(sendq, recvq, True, None, op, width)
        fold = _Fold(op, self._item(len(x), width))
        if self.rank == 0:
            fold.steps.append(fan_out(x, out))
        else:
            fold.before(x, self.rank - 1, out)
        if self.rank + 1 < self.size:
            fold.send(out, self.rank + 1)
        plan.steps += fold.steps
        return plan

    scan, iscan, unscan, iunscan, scan_init = calls(_scan)

    def _exscan(self, sendq: Buffer, recvq: Operand | None = None, op: Op = PARITY, width: int | None = None) -> Plan:
        """Combines the qubits of all ranks before each: rank r > 0 has x₀ ∘ … ∘ x_(r-1); rank 0's recvq is left as it is.

        What a rank forwards it makes for a moment, and once more for the inverse.

        Args:
            sendq: m qubits; IN_PLACE: they stand in recvq, and are kept elsewhere until the inverse (not on rank 0).
            recvq: m qubits in |0⟩; None allocates them. On rank 0 it means nothing.
            op: PARITY, SUM, BAND, BOR, MIN, MAX or an `Op`.
            width: qubits of an item; by default all are one.

        Returns:
            recvq, on rank 0 an empty register; a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            InvalidArgument: bad operator or width.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, (N-1)m bits; the inverse 0 EPR pairs, (N-1)m bits.
        """
        if self.rank == 0:
            x = self._operand(recvq if means(sendq, IN_PLACE) else sendq)  # type: ignore[arg-type]
            self._check_operator(op, len(x), width)
            return Plan(sources=x, steps=[Send(Verb.copy, x, 1)] if self.size > 1 else [])
        plan, places, out = self._operands(sendq, recvq, True, None, op, width)
        fold = _Fold(op, self._item(len(places), width))
        fold.receive(out, self.rank - 1)
        if self.rank + 1 < self.size:
            sum_ = spares(len(out), held=False)
            makes = _Fold(op, fold.width)
            if op.inplace:
                makes.steps.append(fan_out(out, sum_))
            makes.combine(sum_ if op.inplace else out, places, sum_, held=False)
            fold.steps += makes.steps
            fold.send(sum_, self.rank + 1)
            fold.steps += [step.inverse() for step in reversed(makes.steps)]
        plan.steps += fold.steps
        return plan

    exscan, iexscan, unexscan, iunexscan, exscan_init = calls(_exscan)

    # --- the linear schedule -----------------------------------------------------------------------------------------------------

    def _reduction(self, x: Places, out: Places, op: Op, root: int, width: int | None) -> list[Step]:
        """This rank's steps of a reduction of x to the root, there into out."""
        fold = _Fold(op, self._item(len(x), width))
        rank, size = self.rank, self.size
        if op.commute:  # one chain: root + 1, root + 2, …, root
            position = (rank - root - 1) % size
            if rank == root:
                if size > 1:
                    fold.before(x, (rank - 1) % size, out)
                else:
                    fold.steps.append(fan_out(x, out))
            else:
                made = fold.before(x, (rank - 1) % size, None) if position else x
                fold.send(made, (rank + 1) % size)
        elif rank < root:  # up to the root: what arrives is the left operand
            fold.send(fold.before(x, rank - 1, None) if rank else x, rank + 1)
        elif rank > root:  # down to it: the right one
            fold.send(fold.after(x, rank + 1, None) if rank + 1 < size else x, rank - 1)
        else:
            more = rank + 1 < size
            if rank:
                x = fold.before(x, rank - 1, None if more and not op.inplace else out)
            if more:
                fold.after(x, rank + 1, out, owned=rank > 0)
            elif not rank:
                fold.steps.append(fan_out(x, out))
        return fold.steps

    def _star(self, plan: Plan, x: Places, out: Places, root: int) -> Plan:
        """PARITY that keeps nothing: each copy is undone once it is added. Its inverse: H and measure at the root, Z everywhere."""
        count = len(x)
        others = [rank for rank in range(self.size) if rank != root]
        if self.rank != root:
            plan.steps += [Send(Verb.copy, x, root), Receive(Verb.uncopy, x, root)]
            plan.undo = [ReceiveBits(0, count, root), Negate(x, 0)]
            return plan
        prologue = list(plan.steps)
        plan.steps.append(fan_out(x, out))
        for rank in others:
            copy = spares(count, held=False)
            plan.steps += [Receive(Verb.copy, copy, rank), Gates(cx, cx, (copy, out)), Send(Verb.uncopy, copy, rank)]
        plan.undo = [Gates(h, h, (out,)), Measure(out, 0), Negate(x, 0), *(SendBits(0, count, rank) for rank in others)]
        plan.undo += [step.inverse() for step in reversed(prologue)]
        return plan

    def _reducing_parts(self, sendq: Buffer, recvq: Operand | None, counts: Sequence[int] | None, op: Op, width: int | None) -> Plan:
        in_place = means(sendq, IN_PLACE)
        if in_place and recvq is None:
            raise InvalidArgument("with IN_PLACE, recvq has to be given")
        whole = self._operand(recvq if in_place else sendq)  # type: ignore[arg-type]
        parts = self._chunks(whole, counts, None, "recvq" if in_place else "sendq")
        if sum(map(len, parts)) != len(whole):
            raise InvalidArgument(f"the parts have {sum(map(len, parts))} qubit(s), the buffer {len(whole)}")
        for part in parts:
            self._check_operator(op, len(part), width)
        size = len(parts[self.rank])
        if in_place:
            plan = Plan(sources=whole, targets=whole, result=whole[:size])
            kept = spares(len(whole))
            plan.steps.append(Exchange(whole, kept))
            begins = [sum(map(len, parts[:rank])) for rank in range(self.size)]
            pieces: list[Places] = [kept[begin : begin + len(part)] for begin, part in zip(begins, parts, strict=True)]
            out = whole[:size]
        else:
            out = self._take(size) if recvq is None else self._operand(recvq)
            plan = self._result(whole, out, size, recvq is None)
            pieces = list(parts)
        for root, piece in enumerate(pieces):
            plan.steps += self._reduction(piece, out if root == self.rank else (), op, root, width)
        return plan

    def _operands(
        self, sendq: Buffer, recvq: Operand | None, receives: bool, root: int | None, op: Op, width: int | None
    ) -> tuple[Plan, Places, Qubits]:
        """The plan so far, what this rank brings, and where its result goes. IN_PLACE: what stands there is put aside."""
        if means(sendq, IN_PLACE):
            if not receives:
                raise InvalidArgument("IN_PLACE is for the root")
            if recvq is None:
                raise InvalidArgument("with IN_PLACE, recvq has to be given")
            out = self._operand(recvq)
            self._check_operator(op, len(out), width)
            kept = spares(len(out))
            return Plan(sources=out, targets=out, result=out, steps=[Exchange(out, kept)]), kept, out
        x = self._operand(sendq)  # type: ignore[arg-type]
        self._check_operator(op, len(x), width)
        if not receives:
            return Plan(sources=x), x, ()
        out = self._take(len(x)) if recvq is None else self._operand(recvq)
        return self._result(x, out, len(x), recvq is None), x, out

    def _result(self, x: Qubits, out: Qubits, count: int, allocated: bool) -> Plan:
        if len(out) != count:
            raise InvalidArgument(f"the result has {count} qubit(s), recvq {len(out)}")
        if set(x) & set(out):
            raise InvalidArgument("sendq and recvq share a qubit: give different ones, or IN_PLACE")
        return Plan(sources=x, targets=out, zero=out, result=out, allocated=allocated)

    def _check_operator(self, op: Op, count: int, width: int | None) -> None:
        if not isinstance(op, Op):
            raise InvalidArgument(f"op is a qmpi.Op such as qmpi.SUM, not {op!r}")
        if width is not None and (whole(width) < 1 or count % whole(width)):
            raise InvalidArgument(f"{count} qubit(s) are not whole items of width {width!r}")

    def _item(self, count: int, width: int | None) -> int:
        return max(count, 1) if width is None else whole(width)
