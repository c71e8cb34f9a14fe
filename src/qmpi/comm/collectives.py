"""Collectives that bring states to ranks: broadcast, gather, scatter, all-gather, all-to-all and cat states. Each is a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._core import Qubit, Verb
from ..errors import InvalidArgument
from ..gates import h
from ..whole import whole
from ..world.wildcards import IN_PLACE, Wildcard, means
from .collective import Collective, calls
from .register import Operand, Register, qubits_of
from .request import Joined, Request
from .steps import (
    AddBits,
    Exchange,
    Fence,
    Flip,
    Gates,
    Meet,
    Parity,
    Places,
    Plan,
    Receive,
    ReceiveBits,
    Send,
    SendBits,
    Step,
    fan_out,
    spares,
)

Buffer = Operand | Wildcard
Qubits = tuple[Qubit, ...]


def parent_and_children(position: int, size: int) -> tuple[int | None, list[int]]:
    """The binomial tree that has 0 as its root; children as they are served, the largest subtree first."""
    reach = position & -position if position else 1 << max(size - 1, 0).bit_length()
    parent = position - reach if position else None
    below = [position + (1 << k) for k in reversed(range(reach.bit_length() - 1))]
    return parent, [child for child in below if child < size]


class Collectives(Collective):
    """Broadcast, gather, scatter, all-gather, all-to-all, cat."""

    # --- broadcast ---------------------------------------------------------------------------------------------------------------

    def _bcast(self, q: Operand | None = None, root: int = 0, algorithm: str = "auto") -> Plan:
        """Gives every rank an entangled copy of the root's qubits: a|0⟩+b|1⟩ becomes a|0…0⟩+b|1…1⟩.

        By a binomial tree (⌈log₂ N⌉ pairs one after the other), or over a cat state in two rounds of pairs, whatever N: arXiv:2105.01109,
        section 4. `auto` is the tree.

        Args:
            q: at the root, what is copied; elsewhere qubits in |0⟩, or None to allocate what arrives (not with `cat`, which shares its
                pairs before anything arrives).
            root: the rank that has the state.
            algorithm: `tree`, `cat` or `auto`.

        Returns:
            This rank's copy (at the root: q), a context manager that undoes the broadcast at the end of its block.

        **Collective.**

        Raises:
            NotZero: a qubit outside the root is not in |0⟩.
            RankOutOfRange, InvalidArgument: bad root or algorithm, or None where qubits are needed.
            MismatchedCollective: the ranks' registers differ in length.

        Cost: (N-1)m EPR pairs, (N-1)m bits; the inverse 0 EPR pairs, (N-1)m bits.
        """
        if algorithm not in ("auto", "tree", "cat"):
            raise InvalidArgument(f"bcast knows the algorithms tree, cat and auto, not {algorithm!r}")
        root = self._member(root, "root")
        position = (self.rank - root) % self.size
        qubits = None if q is None else self._operand(q)
        if qubits is None and (position == 0 or algorithm == "cat"):
            raise InvalidArgument(
                "bcast: the root has to give the qubits" if position == 0 else "bcast over a cat state needs qubits on every rank, not None"
            )
        plan = Plan(result=qubits)
        if position == 0:
            plan.sources = qubits or ()
        else:
            plan.targets = plan.zero = qubits or ()
        order = [(root + k) % self.size for k in range(self.size)]
        tree = self._tree(position, order, qubits)
        if algorithm == "cat":
            plan.steps = self._chain(position, order, qubits or (), payload=True)
            plan.undo = [step.inverse() for step in reversed(tree)]
        else:
            plan.steps = tree
        return plan

    bcast, ibcast, unbcast, iunbcast, bcast_init = calls(_bcast)

    def _tree(self, position: int, ranks: Sequence[int], places: Places | None) -> list[Step]:
        """Copies from the first of the ranks to all of them; position: this one's index."""
        parent, children = parent_and_children(position, len(ranks))
        steps: list[Step] = [] if parent is None else [Receive(Verb.copy, places, ranks[parent])]
        return steps + [Send(Verb.copy, places, ranks[child]) for child in children]

    def _chain(self, position: int, ranks: Sequence[int], places: Places, payload: bool) -> list[Step]:
        """A cat state over the ranks, or a copy of the first one's payload on all: EPR pairs between neighbours, even ones first.

        An inner rank measures the parity of its two halves; X on the half it keeps, where the outcomes of all before it add up to 1.
        """
        count = len(places)
        before, after = ranks[position - 1], ranks[(position + 1) % len(ranks)]
        first, last = position == 0, position == len(ranks) - 1
        near = () if last else places if first and not payload else spares(count, held=False)
        meetings: list[Step] = []
        if not last:
            meetings.append(Meet(near, after))
        if not first:
            meetings.insert(len(meetings) if position % 2 == 0 else 0, Meet(places, before))
        steps = meetings
        measures = not last and (payload or not first)
        informed = position > (0 if payload else 1)
        outcome, prefix = 0, count
        if measures:
            steps.append(Parity(places, near, outcome))
        if informed:
            steps += [ReceiveBits(prefix, count, before), Flip(places, prefix)]
        if measures and informed:
            steps.append(AddBits(outcome, prefix, count))
        if measures:
            steps.append(SendBits(outcome, count, after))
        return steps

    # --- barrier -----------------------------------------------------------------------------------------------------------------

    def ibarrier(self) -> Request[None]:
        """A barrier that does not wait: the request is complete once all ranks have called it.

        What each did before is done, buffered gates included. It does not match `barrier`.

        **Collective.** Cost: 0 EPR pairs, 0 bits.
        """
        self._refuse_if_closed()
        parent, children = parent_and_children(self.rank, self.size)
        steps: list[Step] = [ReceiveBits(0, 0, child) for child in children]
        if parent is not None:
            steps += [Fence(), SendBits(0, 0, parent), ReceiveBits(0, 0, parent)]
        steps += [Fence(), *(SendBits(0, 0, child) for child in children)]
        return Joined([self._post("ibarrier", "ibarrier", Plan(steps=steps, final=True), {})], lambda: None)

    # --- cat states --------------------------------------------------------------------------------------------------------------

    def _cat(self, q: Operand) -> Plan:
        """A cat state (|0…0⟩+|1…1⟩)/√2 over the ranks, one for each qubit of the register, in two rounds of EPR pairs.

        It obliges to nothing.

        Args:
            q: qubits in |0⟩, as many on every rank.

        Returns:
            The same qubits.

        **Collective.**

        Raises:
            NotZero: a qubit is not in |0⟩.
            MismatchedCollective: the ranks' registers differ in length.

        Cost: N-1 EPR pairs, N-2 bits per qubit; the inverse 0 EPR pairs, N-1 bits. Source: arXiv:2105.01109, section 4.
        """
        qubits = self._operand(q)
        plan = Plan(targets=qubits, zero=qubits, result=qubits, moves=True)
        makes: list[Step] = [Gates(h, h, (qubits,))]
        ranks = range(self.size)
        plan.steps = makes if self.size == 1 else self._chain(self.rank, ranks, qubits, payload=False)
        plan.undo = [step.inverse() for step in reversed((makes if self.rank == 0 else []) + self._tree(self.rank, ranks, qubits))]
        return plan

    cat, icat, uncat, iuncat, cat_init = calls(_cat)

    # --- gather ------------------------------------------------------------------------------------------------------------------

    def _gather(self, sendq: Buffer, recvq: Operand | None = None, root: int = 0) -> Plan:
        """Gives the root an entangled copy of every rank's qubits, in rank order.

        Args:
            sendq: m qubits; IN_PLACE at the root: its own stand in recvq already.
            recvq: at the root, N·m qubits in |0⟩; None allocates them. Elsewhere it means nothing.
            root: the rank that receives.

        Returns:
            At the root recvq, elsewhere an empty register; a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            RankOutOfRange, InvalidArgument: bad root or length.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, (N-1)m bits; the inverse 0 EPR pairs, (N-1)m bits.
        """
        return self._gathering(Verb.copy, sendq, recvq, None, None, root)

    gather, igather, ungather, iungather, gather_init = calls(_gather)

    def _gatherv(
        self,
        sendq: Buffer,
        recvq: Operand | None = None,
        recvcounts: Sequence[int] | None = None,
        displs: Sequence[int] | None = None,
        root: int = 0,
    ) -> Plan:
        """As `gather`, with a number of qubits for each rank.

        Args:
            sendq: this rank's qubits; IN_PLACE at the root.
            recvq: at the root, qubits in |0⟩; None allocates them.
            recvcounts: at the root, how many qubits come from each rank.
            displs: where in recvq they go; by default one after the other.
            root: the rank that receives.

        Returns:
            At the root recvq, elsewhere an empty register; a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq that is written is not in |0⟩.
            RankOutOfRange, InvalidArgument: bad root, counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 1 bit for each qubit that changes ranks; the inverse 0 EPR pairs and the same bits.
        """
        return self._gathering(Verb.copy, sendq, recvq, self._needed(recvcounts, "recvcounts", root), displs, root).exactly()

    gatherv, igatherv, ungatherv, iungatherv, gatherv_init = calls(_gatherv)

    def _gather_move(self, sendq: Buffer, recvq: Operand | None = None, root: int = 0) -> Plan:
        """As `gather`, but the states move: the senders keep qubits in |0⟩. It obliges to nothing.

        Args:
            sendq: m qubits without outstanding copies; IN_PLACE at the root: its own stand in recvq already.
            recvq: at the root, N·m qubits in |0⟩; None allocates them. Elsewhere it means nothing.
            root: the rank that receives.

        Returns:
            At the root recvq, elsewhere an empty register; a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            RankOutOfRange, InvalidArgument: bad root or length.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, 2(N-1)m bits; the inverse the same.
        """
        return self._gathering(Verb.move, sendq, recvq, None, None, root)

    gather_move, igather_move, ungather_move, iungather_move, gather_move_init = calls(_gather_move)

    def _gatherv_move(
        self,
        sendq: Buffer,
        recvq: Operand | None = None,
        recvcounts: Sequence[int] | None = None,
        displs: Sequence[int] | None = None,
        root: int = 0,
    ) -> Plan:
        """As `gatherv`, but the states move. It obliges to nothing.

        Args:
            sendq: this rank's qubits; IN_PLACE at the root.
            recvq: at the root, qubits in |0⟩; None allocates them.
            recvcounts: at the root, how many qubits come from each rank.
            displs: where in recvq they go; by default one after the other.
            root: the rank that receives.

        Returns:
            At the root recvq, elsewhere an empty register; a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq that is written is not in |0⟩.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            RankOutOfRange, InvalidArgument: bad root, counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 2 bits for each qubit that changes ranks; the inverse the same.
        """
        return self._gathering(Verb.move, sendq, recvq, self._needed(recvcounts, "recvcounts", root), displs, root).exactly()

    gatherv_move, igatherv_move, ungatherv_move, iungatherv_move, gatherv_move_init = calls(_gatherv_move)

    # --- scatter -----------------------------------------------------------------------------------------------------------------

    def _scatter(self, sendq: Operand | None = None, recvq: Buffer | None = None, root: int = 0) -> Plan:
        """Gives each rank an entangled copy of its part of the root's qubits.

        Args:
            sendq: at the root, N·m qubits; elsewhere it means nothing.
            recvq: m qubits in |0⟩; None allocates what arrives; IN_PLACE at the root: its part stays where it is.
            root: the rank that sends.

        Returns:
            This rank's part, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            RankOutOfRange, InvalidArgument: bad root or length.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, (N-1)m bits; the inverse 0 EPR pairs, (N-1)m bits.
        """
        return self._scattering(Verb.copy, sendq, None, None, recvq, root)

    scatter, iscatter, unscatter, iunscatter, scatter_init = calls(_scatter)

    def _scatterv(
        self,
        sendq: Operand | None = None,
        sendcounts: Sequence[int] | None = None,
        displs: Sequence[int] | None = None,
        recvq: Buffer | None = None,
        root: int = 0,
    ) -> Plan:
        """As `scatter`, with a number of qubits for each rank.

        Args:
            sendq: at the root, the qubits; elsewhere it means nothing.
            sendcounts: at the root, how many qubits go to each rank.
            displs: where in sendq they stand; by default one after the other.
            recvq: qubits in |0⟩; None allocates what arrives; IN_PLACE at the root.
            root: the rank that sends.

        Returns:
            This rank's part, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            RankOutOfRange, InvalidArgument: bad root, counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 1 bit for each qubit that changes ranks; the inverse 0 EPR pairs and the same bits.
        """
        return self._scattering(Verb.copy, sendq, self._needed(sendcounts, "sendcounts", root), displs, recvq, root).exactly()

    scatterv, iscatterv, unscatterv, iunscatterv, scatterv_init = calls(_scatterv)

    def _scatter_move(self, sendq: Operand | None = None, recvq: Buffer | None = None, root: int = 0) -> Plan:
        """As `scatter`, but the states move: the root keeps qubits in |0⟩. It obliges to nothing.

        Args:
            sendq: at the root, N·m qubits without outstanding copies; elsewhere it means nothing.
            recvq: m qubits in |0⟩; None allocates what arrives; IN_PLACE at the root: its part stays where it is.
            root: the rank that sends.

        Returns:
            This rank's part, a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            RankOutOfRange, InvalidArgument: bad root or length.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1)m EPR pairs, 2(N-1)m bits; the inverse the same.
        """
        return self._scattering(Verb.move, sendq, None, None, recvq, root)

    scatter_move, iscatter_move, unscatter_move, iunscatter_move, scatter_move_init = calls(_scatter_move)

    def _scatterv_move(
        self,
        sendq: Operand | None = None,
        sendcounts: Sequence[int] | None = None,
        displs: Sequence[int] | None = None,
        recvq: Buffer | None = None,
        root: int = 0,
    ) -> Plan:
        """As `scatterv`, but the states move. It obliges to nothing.

        Args:
            sendq: at the root, the qubits; elsewhere it means nothing.
            sendcounts: at the root, how many qubits go to each rank.
            displs: where in sendq they stand; by default one after the other.
            recvq: qubits in |0⟩; None allocates what arrives; IN_PLACE at the root.
            root: the rank that sends.

        Returns:
            This rank's part, a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            RankOutOfRange, InvalidArgument: bad root, counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 2 bits for each qubit that changes ranks; the inverse the same.
        """
        return self._scattering(Verb.move, sendq, self._needed(sendcounts, "sendcounts", root), displs, recvq, root).exactly()

    scatterv_move, iscatterv_move, unscatterv_move, iunscatterv_move, scatterv_move_init = calls(_scatterv_move)

    # --- all to all --------------------------------------------------------------------------------------------------------------

    def _allgather(self, sendq: Buffer, recvq: Operand | None = None) -> Plan:
        """Gives every rank an entangled copy of every rank's qubits, in rank order.

        Args:
            sendq: m qubits; IN_PLACE: they stand in this rank's part of recvq.
            recvq: N·m qubits in |0⟩; None allocates them.

        Returns:
            recvq, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            InvalidArgument: the lengths do not fit.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: N(N-1)m EPR pairs, N(N-1)m bits; the inverse 0 EPR pairs, N(N-1)m bits.
        """
        return self._allgathering(sendq, recvq, None, None)

    allgather, iallgather, unallgather, iunallgather, allgather_init = calls(_allgather)

    def _allgatherv(
        self,
        sendq: Buffer,
        recvq: Operand | None = None,
        recvcounts: Sequence[int] | None = None,
        displs: Sequence[int] | None = None,
    ) -> Plan:
        """As `allgather`, with a number of qubits for each rank.

        Args:
            sendq: this rank's qubits; IN_PLACE: they stand in this rank's part of recvq.
            recvq: qubits in |0⟩; None allocates them.
            recvcounts: how many qubits come from each rank.
            displs: where in recvq they go; by default one after the other.

        Returns:
            recvq, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq that is written is not in |0⟩.
            InvalidArgument: bad counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: (N-1) EPR pairs and bits for each qubit that is sent; the inverse 0 EPR pairs and the same bits.
        """
        return self._allgathering(sendq, recvq, self._needed(recvcounts, "recvcounts", self.rank), displs).exactly()

    allgatherv, iallgatherv, unallgatherv, iunallgatherv, allgatherv_init = calls(_allgatherv)

    def _alltoall(self, sendq: Buffer, recvq: Operand | None = None) -> Plan:
        """Gives every rank an entangled copy of its part of every rank's qubits.

        Args:
            sendq: N·m qubits, the parts in rank order; IN_PLACE: they stand in recvq, and are moved, not copied.
            recvq: N·m qubits in |0⟩; None allocates them.

        Returns:
            recvq, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            OutstandingCopies: IN_PLACE, and a qubit is part of a copy that is not undone.
            InvalidArgument: the lengths do not fit.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: N(N-1)m EPR pairs, N(N-1)m bits; the inverse 0 EPR pairs, N(N-1)m bits. IN_PLACE: N(N-1)m EPR pairs, 2N(N-1)m bits; the
        inverse the same.
        """
        return self._exchanging(Verb.copy, sendq, None, None, recvq, None, None)

    alltoall, ialltoall, unalltoall, iunalltoall, alltoall_init = calls(_alltoall)

    def _alltoallv(
        self,
        sendq: Buffer,
        sendcounts: Sequence[int] | None = None,
        sdispls: Sequence[int] | None = None,
        recvq: Operand | None = None,
        recvcounts: Sequence[int] | None = None,
        rdispls: Sequence[int] | None = None,
    ) -> Plan:
        """As `alltoall`, with numbers of qubits for each pair of ranks.

        Args:
            sendq: this rank's qubits; IN_PLACE: they stand in recvq and are moved, and what is sent to a rank is as much as comes from it.
            sendcounts: how many qubits go to each rank.
            sdispls: where in sendq they stand; by default one after the other.
            recvq: qubits in |0⟩; None allocates them.
            recvcounts: how many qubits come from each rank.
            rdispls: where in recvq they go; by default one after the other.

        Returns:
            recvq, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq that is written is not in |0⟩.
            OutstandingCopies: IN_PLACE, and a qubit is part of a copy that is not undone.
            InvalidArgument: bad counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 1 bit for each qubit that changes ranks; the inverse 0 EPR pairs and the same bits. IN_PLACE: 1 EPR pair, 2 bits;
        the inverse the same.
        """
        counts = self._needed(recvcounts, "recvcounts", self.rank)
        return self._exchanging(Verb.copy, sendq, sendcounts, sdispls, recvq, counts, rdispls).exactly()

    alltoallv, ialltoallv, unalltoallv, iunalltoallv, alltoallv_init = calls(_alltoallv)

    def _alltoallw(self, sendqs: Sequence[Operand] | Wildcard, recvqs: Sequence[Operand]) -> Plan:
        """As `alltoall`, with a register for each rank.

        Args:
            sendqs: what goes to each rank; a register may be empty, and one register may go to several ranks. IN_PLACE: they stand in
                recvqs and are moved, and what is sent to a rank is as much as comes from it.
            recvqs: qubits in |0⟩ for what comes from each rank.

        Returns:
            All of recvqs in one register, a context manager that undoes the operation.

        **Collective.**

        Raises:
            NotZero: a qubit of recvqs is not in |0⟩.
            DuplicateQubit: a qubit is received into twice.
            OutstandingCopies: IN_PLACE, and a qubit is part of a copy that is not undone.
            InvalidArgument: not one register per rank.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 1 bit for each qubit that changes ranks; the inverse 0 EPR pairs and the same bits. IN_PLACE: 1 EPR pair, 2 bits;
        the inverse the same.
        """
        there = self._registers(recvqs, "recvqs")
        if means(sendqs, IN_PLACE):
            self._operand(Register([qubit for chunk in there.values() for qubit in chunk]))
            return self._exchanging_in_place(list(there.values())).exactly()
        return self._routing(Verb.copy, self._registers(sendqs, "sendqs"), there).exactly()  # type: ignore[arg-type]

    alltoallw, ialltoallw, unalltoallw, iunalltoallw, alltoallw_init = calls(_alltoallw)

    def _alltoall_move(self, sendq: Operand, recvq: Operand | None = None) -> Plan:
        """As `alltoall`, but the states move: the senders keep qubits in |0⟩. It obliges to nothing.

        Args:
            sendq: N·m qubits without outstanding copies, the parts in rank order.
            recvq: N·m qubits in |0⟩; None allocates them.

        Returns:
            recvq, a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq is not in |0⟩.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            InvalidArgument: the lengths do not fit.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: N(N-1)m EPR pairs, 2N(N-1)m bits; the inverse the same.
        """
        return self._exchanging(Verb.move, sendq, None, None, recvq, None, None)

    alltoall_move, ialltoall_move, unalltoall_move, iunalltoall_move, alltoall_move_init = calls(_alltoall_move)

    def _alltoallv_move(
        self,
        sendq: Operand,
        sendcounts: Sequence[int] | None = None,
        sdispls: Sequence[int] | None = None,
        recvq: Operand | None = None,
        recvcounts: Sequence[int] | None = None,
        rdispls: Sequence[int] | None = None,
    ) -> Plan:
        """As `alltoallv`, but the states move. It obliges to nothing.

        Args:
            sendq: this rank's qubits, without outstanding copies.
            sendcounts: how many qubits go to each rank.
            sdispls: where in sendq they stand; by default one after the other.
            recvq: qubits in |0⟩; None allocates them.
            recvcounts: how many qubits come from each rank.
            rdispls: where in recvq they go; by default one after the other.

        Returns:
            recvq, a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvq that is written is not in |0⟩.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            InvalidArgument: bad counts or displacements; chunks overlap or leave the buffer.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 2 bits for each qubit that changes ranks; the inverse the same.
        """
        counts = self._needed(recvcounts, "recvcounts", self.rank)
        return self._exchanging(Verb.move, sendq, sendcounts, sdispls, recvq, counts, rdispls).exactly()

    alltoallv_move, ialltoallv_move, unalltoallv_move, iunalltoallv_move, alltoallv_move_init = calls(_alltoallv_move)

    def _alltoallw_move(self, sendqs: Sequence[Operand], recvqs: Sequence[Operand]) -> Plan:
        """As `alltoallw`, but the states move. It obliges to nothing.

        Args:
            sendqs: what goes to each rank, without outstanding copies; a register may be empty.
            recvqs: qubits in |0⟩ for what comes from each rank.

        Returns:
            All of recvqs in one register, a context manager that moves everything back.

        **Collective.**

        Raises:
            NotZero: a qubit of recvqs is not in |0⟩.
            DuplicateQubit: a qubit is given twice.
            OutstandingCopies: a qubit is part of a copy that is not undone.
            InvalidArgument: not one register per rank.
            MismatchedCollective: the ranks' counts do not fit.

        Cost: 1 EPR pair, 2 bits for each qubit that changes ranks; the inverse the same.
        """
        return self._routing(Verb.move, self._registers(sendqs, "sendqs"), self._registers(recvqs, "recvqs")).exactly()

    alltoallw_move, ialltoallw_move, unalltoallw_move, iunalltoallw_move, alltoallw_move_init = calls(_alltoallw_move)

    # --- chunks ------------------------------------------------------------------------------------------------------------------

    def _gathering(
        self,
        verb: Verb,
        sendq: Buffer,
        recvq: Operand | None,
        counts: Sequence[int] | None,
        displs: Sequence[int] | None,
        root: int,
    ) -> Plan:
        root = self._member(root, "root")
        in_place = means(sendq, IN_PLACE)
        if self.rank != root:
            if in_place:
                raise InvalidArgument("IN_PLACE is for the root")
            return self._routing(verb, {root: self._operand(sendq)}, {})  # type: ignore[arg-type]
        mine = None if in_place else self._operand(sendq)  # type: ignore[arg-type]
        return self._collecting(verb, {self.rank: mine}, recvq, counts, displs)

    def _allgathering(self, sendq: Buffer, recvq: Operand | None, counts: Sequence[int] | None, displs: Sequence[int] | None) -> Plan:
        if means(sendq, IN_PLACE):
            if recvq is None:
                raise InvalidArgument("with IN_PLACE, recvq has to be given")
            mine = self._chunks(self._operand(recvq), counts, displs, "recvq")[self.rank]
            return self._collecting(
                Verb.copy, {rank: mine if rank != self.rank else None for rank in range(self.size)}, recvq, counts, displs
            )
        mine = self._operand(sendq)  # type: ignore[arg-type]
        return self._collecting(Verb.copy, dict.fromkeys(range(self.size), mine), recvq, counts, displs)

    def _collecting(
        self,
        verb: Verb,
        sends: dict[int, Qubits | None],
        recvq: Operand | None,
        counts: Sequence[int] | None,
        displs: Sequence[int] | None,
    ) -> Plan:
        """A rank that receives from all. What it sends itself is None where it stands in recvq already."""
        mine = sends[self.rank]
        if recvq is None:
            if mine is None:
                raise InvalidArgument("with IN_PLACE, recvq has to be given")
            length = len(mine) * self.size if counts is None else _extent(self._spans(counts, displs))
            taken = self._take(length)
        buffer = taken if recvq is None else self._operand(recvq)
        chunks = self._chunks(buffer, counts, displs, "recvq")
        receives = {rank: chunk for rank, chunk in enumerate(chunks) if rank != self.rank or mine is not None}
        plan = self._routing(verb, {rank: part for rank, part in sends.items() if part is not None}, receives)
        plan.result, plan.allocated = buffer, recvq is None
        return plan

    def _scattering(
        self,
        verb: Verb,
        sendq: Operand | None,
        counts: Sequence[int] | None,
        displs: Sequence[int] | None,
        recvq: Buffer | None,
        root: int,
    ) -> Plan:
        root = self._member(root, "root")
        in_place = means(recvq, IN_PLACE) if recvq is not None else False
        if self.rank != root:
            if in_place:
                raise InvalidArgument("IN_PLACE is for the root")
            target = None if recvq is None else self._operand(recvq)  # type: ignore[arg-type]
            plan = Plan(targets=target or (), zero=target or (), result=target, moves=verb == Verb.move)
            plan.steps.append(Receive(verb, target, root))
            return plan
        if sendq is None:
            raise InvalidArgument("the root has to give the qubits")
        chunks = self._chunks(self._operand(sendq), counts, displs, "sendq")
        mine = chunks[self.rank]
        sends = {rank: chunk for rank, chunk in enumerate(chunks) if rank != self.rank or not in_place}
        if in_place:
            plan = self._routing(verb, sends, {}, unknown=True)
            plan.result = mine
            return plan
        target = self._take(len(mine)) if recvq is None else self._operand(recvq)  # type: ignore[arg-type]
        plan = self._routing(verb, sends, {self.rank: target}, unknown=True)
        plan.allocated = recvq is None
        return plan

    def _exchanging(
        self,
        verb: Verb,
        sendq: Buffer,
        sendcounts: Sequence[int] | None,
        sdispls: Sequence[int] | None,
        recvq: Operand | None,
        recvcounts: Sequence[int] | None,
        rdispls: Sequence[int] | None,
    ) -> Plan:
        if means(sendq, IN_PLACE):
            if recvq is None:
                raise InvalidArgument("with IN_PLACE, recvq has to be given")
            plan = self._exchanging_in_place(self._chunks(self._operand(recvq), recvcounts, rdispls, "recvq"))
            plan.result = self._operand(recvq)
            return plan
        ours = self._operand(sendq)  # type: ignore[arg-type]
        if (sendcounts is None) != (recvcounts is None):
            raise InvalidArgument("sendcounts and recvcounts go together")
        chunks = self._chunks(ours, sendcounts, sdispls, "sendq")
        if recvq is None:
            taken = self._take(len(ours) if recvcounts is None else _extent(self._spans(recvcounts, rdispls)))
        buffer = taken if recvq is None else self._operand(recvq)
        plan = self._routing(verb, dict(enumerate(chunks)), dict(enumerate(self._chunks(buffer, recvcounts, rdispls, "recvq"))))
        plan.result, plan.allocated = buffer, recvq is None
        return plan

    def _exchanging_in_place(self, chunks: list[Qubits]) -> Plan:
        """What arrives waits in spare qubits until its place has been left."""
        others = [(rank, chunk, spares(len(chunk), held=False)) for rank, chunk in enumerate(chunks) if rank != self.rank]
        touched = tuple(qubit for _, chunk, _ in others for qubit in chunk)
        plan = Plan(sources=touched, targets=touched, result=tuple(qubit for chunk in chunks for qubit in chunk), moves=True)
        brings: list[Step] = [Receive(Verb.move, arriving, rank) for rank, _, arriving in others]
        takes: list[Step] = [Send(Verb.move, chunk, rank) for rank, chunk, _ in others]
        exchanges: list[Step] = [Exchange(arriving, chunk) for _, chunk, arriving in others if chunk]
        plan.steps = brings + takes + exchanges
        plan.undo = [step.inverse() for step in exchanges + takes + brings if step.named()]
        return plan

    def _routing(self, verb: Verb, sends: dict[int, Qubits], receives: dict[int, Qubits], unknown: bool = False) -> Plan:
        """Sends a chunk to each of some ranks and receives one from each of some. unknown: receivers may not know which chunks are empty.

        Empty ones are sent, too, for a rank whose counts differ must find out; their inverses are not, where both sides know of them.

        Receives are posted first, and their inverses, which send, come first too: so nobody waits for a rank that waits.
        """
        sources = tuple(dict.fromkeys(qubit for chunk in sends.values() for qubit in chunk))
        targets = tuple(qubit for chunk in receives.values() for qubit in chunk)
        self._operand(Register(targets if verb == Verb.copy else targets + tuple(q for chunk in sends.values() for q in chunk)))
        if set(sources) & set(targets):
            raise InvalidArgument("a qubit is sent and received into: give different ones, or IN_PLACE where the call knows it")
        plan = Plan(sources, targets, targets, targets, moves=verb == Verb.move)
        order = [(self.rank + k) % self.size for k in range(1, self.size)]
        brings: list[Step] = [Receive(verb, receives[rank], rank) for rank in order if rank in receives]
        takes: list[Step] = [Send(verb, sends[rank], rank) for rank in reversed(order) if rank in sends]
        own: list[Step] = []
        if self.rank in sends and self.rank in receives:
            mine, there = sends[self.rank], receives[self.rank]
            if len(mine) != len(there):
                raise InvalidArgument(
                    f"this rank's own part has {len(mine)} qubit(s) in what it sends and {len(there)} in what it receives"
                )
            if mine:
                own.append(fan_out(mine, there) if verb == Verb.copy else Exchange(mine, there))
        plan.steps = brings + own + takes
        plan.undo = [step.inverse() for step in brings + own + takes if unknown or step.named()]
        return plan

    # --- counts ------------------------------------------------------------------------------------------------------------------

    def _chunks(self, buffer: Qubits, counts: Sequence[int] | None, displs: Sequence[int] | None, name: str) -> list[Qubits]:
        """The part of each rank in a buffer: equal ones, or as counts and displacements have it."""
        if counts is None:
            if displs is not None:
                raise InvalidArgument("displacements need counts")
            if len(buffer) % self.size:
                raise InvalidArgument(f"{name} has {len(buffer)} qubit(s), which are not equal parts for {self.size} rank(s)")
            each = len(buffer) // self.size
            return [buffer[rank * each : (rank + 1) * each] for rank in range(self.size)]
        spans = self._spans(counts, displs)
        if _extent(spans) > len(buffer):
            raise InvalidArgument(f"{name} has {len(buffer)} qubit(s), but counts and displacements reach {_extent(spans)}")
        return [buffer[begin : begin + count] for begin, count in spans]

    def _spans(self, counts: Sequence[int], displs: Sequence[int] | None) -> list[tuple[int, int]]:
        """Where each rank's part begins, and how long it is."""
        sizes = self._numbers(counts)
        begins = [sum(sizes[:rank]) for rank in range(self.size)] if displs is None else self._numbers(displs)
        return list(zip(begins, sizes, strict=True))

    def _numbers(self, values: Sequence[int]) -> list[int]:
        numbers = list(map(whole, values)) if isinstance(values, Iterable) else []
        if len(numbers) != self.size or min(numbers) < 0:
            raise InvalidArgument(f"counts and displacements are {self.size} numbers, one per rank, none negative, not {values!r}")
        return numbers

    def _needed(self, counts: Sequence[int] | None, name: str, root: int) -> Sequence[int] | None:
        if counts is None and self.rank == root:
            raise InvalidArgument(f"{name} has to be given")
        return counts

    def _registers(self, registers: Sequence[Operand], name: str) -> dict[int, Qubits]:
        if isinstance(registers, Register | Qubit) or not isinstance(registers, Sequence) or len(registers) != self.size:
            raise InvalidArgument(f"{name} needs one register for each of the {self.size} ranks")
        return {rank: qubits_of(register) for rank, register in enumerate(registers)}


def _extent(spans: Sequence[tuple[int, int]]) -> int:
    """Where the last part ends."""
    return max((begin + count for begin, count in spans if count), default=0)
