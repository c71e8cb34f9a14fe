"""The communicator: who takes part, what they own together, and the windows on their joint state."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass
from functools import wraps
from types import TracebackType
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from .._core import Qubit, World, set_world
from ..api import Bits, measure
from ..errors import InvalidArgument, StateTooLarge
from ..runtime import windows
from ..runtime.collective import Group
from ..runtime.ledger import Ledger
from ..runtime.session import session_of
from ..whole import whole
from ..world import door
from ..world.settings import readable_bytes
from ..world.wildcards import UNDEFINED, Wildcard, means
from .point_to_point import PointToPoint
from .register import Operand, Register
from .rotations import Rotations
from .transfer import COLLECTIVE, Transfer

MOST_IN_WINDOW = 26  # log2 of the numbers that a window on a joint state may have
MOST_COLOR = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What the store of a node holds, over all ranks.

    Attributes:
        qubits: all qubits.
        components: groups of two or more qubits that may be entangled.
        entangled_qubits: qubits in them; all others are product qubits.
        peak_component: most qubits a component ever had.
        merges: how often components grew together.
        waits: how often an operation found a component locked.
        messages: how many messages of the protocols ranks have sent each other.
        bytes: memory that the components' amplitudes take.
        peak_bytes: the most they ever took.
    """

    qubits: int
    components: int
    entangled_qubits: int
    peak_component: int
    merges: int
    waits: int
    messages: int
    bytes: int
    peak_bytes: int


class Comm(PointToPoint, Rotations):
    """A communicator for quantum messages, a context of its own over a classical one.

    Every method that is called collective must be called by all its ranks, in the same order. The classical communicator
    underneath is `comm.mpi`; the two never mix in one call.

    Attributes:
        rank: this rank's number, 0 … size-1.
        size: the number of ranks.
        mpi: the mpi4py communicator that was wrapped, or that `dup` or `split` made: then it ends with this one.
    """

    _owns_mpi = False  # whether `dup` or `split` made it

    def __init__(self, mpi: Any) -> None:
        """Wraps a classical communicator. The first one of a process founds the universe: wrap the largest first.

        Args:
            mpi: any mpi4py intracommunicator.

        **Collective.**

        Raises:
            FoundingError: its ranks cannot share one store, or disagree on version or settings.
            OutsideUniverse: some of its ranks run qmpi without the others.

        Cost: 0 EPR pairs, 0 bits.
        """
        self._join(mpi)

    def _join(self, mpi: Any) -> None:
        universe, membership = door.join(mpi)
        self.mpi = membership.mpi
        self.rank = membership.rank
        self.size = len(membership.members)
        self._members = membership.members
        self._comm_rank = {member: rank for rank, member in enumerate(membership.members)}
        self._context = 4 * membership.context
        self._name = membership.name
        self._closed = False
        self._collectives = 0
        self._channels = Counter()
        self._session = session_of(universe)
        self._membership = self._session.memberships[membership.context] = membership
        self._group = Group(self._session, self.rank, self._members, self._context + COLLECTIVE)

    # --- qubits ------------------------------------------------------------------------------------------------------------------

    def alloc(self, count: int = 1) -> Register:
        """Takes qubits from this rank's quantum memory, in |0⟩.

        Args:
            count: how many; 0 gives an empty register.

        Raises:
            InvalidArgument: not a whole number, or a negative one.

        Cost: 0 EPR pairs, 0 bits; 64 bytes per qubit as long as it is not entangled.
        """
        self._refuse_if_closed()
        number = whole(count)
        if number < 0:
            raise InvalidArgument(f"alloc takes a number of qubits, not {count!r}")
        return Register(self._session.core.alloc(number))

    def free(self, q: Operand) -> None:
        """Gives qubits back. All of them, or none if one is refused.

        Args:
            q: qubits in a basis state: |0⟩, or measured.

        Raises:
            EntangledQubit: a qubit is superposed or entangled.
            OutstandingCopies: a qubit has copies elsewhere.

        Cost: 0 EPR pairs, 0 bits.
        """
        qubits = self._operand(q)
        self._session.obligations.refuse_originals(qubits, "freeing it")
        self._session.core.free(qubits)
        for qubit in qubits:
            self._session.obligations.discharge(qubit, "freed")

    def discard_pending(self) -> int:
        """Drops gates that wait in the buffer because one did not fit into memory (see `StateTooLarge`).

        Returns:
            How many were dropped.

        Cost: 0 EPR pairs, 0 bits.
        """
        return self._session.core.discard_pending()

    def measure(self, q: Operand) -> list[Bits]:
        """Measures all ranks' registers, in rank order, so that the outcomes are reproducible under a seed.

        Nothing is measured before all ranks have come, with registers that can be.

        Args:
            q: this rank's register; any length.

        Returns:
            Every rank's Bits, in rank order, on every rank.

        **Collective.** Cost: 0 EPR pairs, 0 bits (what the ranks tell each other here is not part of a quantum protocol).
        """
        self._refuse_if_closed()
        qubits: tuple[Qubit, ...] = ()

        def check() -> bytes:
            nonlocal qubits
            qubits = self._operand(q)
            self._session.core.ids(qubits)
            self._session.core.flush()
            return b""

        self._group.gather_or_raise(check)
        rows = self._group.gather_or_raise(lambda: self._group.in_turn(lambda: bytes(map(measure, qubits))))  # type: ignore[arg-type]
        return [Bits(row) for row in rows]

    def barrier(self) -> None:
        """Returns once all ranks have come. What each did before is done, buffered gates included.

        **Collective.** Cost: 0 EPR pairs, 0 bits.
        """
        self._flush_together()

    # --- communicators -----------------------------------------------------------------------------------------------------------

    def dup(self) -> Comm:
        """A communicator of the same ranks with contexts of its own, its `mpi` included. Close it when it is done with.

        **Collective.** Cost: 0 EPR pairs, 0 bits.
        """
        self._refuse_if_closed()
        return self._made(door.dup(self.mpi))

    def split(self, color: int | Wildcard | None = 0, key: int = 0) -> Comm | None:
        """Splits the ranks by color, orders them by key (then by rank).

        Args:
            color: ranks with the same one get together; None or UNDEFINED takes no part.
            key: order within the new communicator.

        Returns:
            The new communicator, None for ranks that take no part. Close it when it is done with.

        **Collective.**

        Raises:
            InvalidArgument: a color that is not one of 0 … 2³¹-1, or a key that is no whole number.

        Cost: 0 EPR pairs, 0 bits.
        """
        self._refuse_if_closed()
        takes_part = color is not None and not means(color, UNDEFINED)
        if takes_part and not 0 <= whole(color) <= MOST_COLOR:
            raise InvalidArgument(f"color {color!r} is not one of 0 to {MOST_COLOR} (or UNDEFINED, or None)")
        if not hasattr(key, "__index__"):
            raise InvalidArgument(f"key {key!r} is no whole number")
        part = door.split(self.mpi, whole(color) if takes_part else None, operator.index(key))
        return None if part is None else self._made(part)

    def _made(self, mpi: Any) -> Comm:
        """Around what this communicator has made."""
        comm = Comm(mpi)
        comm._owns_mpi = True
        return comm

    def close(self) -> None:
        """Ends this communicator, and with it the `mpi` that `dup` or `split` made for it; waits for nobody.

        What MPI keeps for that is given back when this rank next makes a communicator, for freeing one is collective by MPI's letter.

        Raises:
            ObligationError: under QMPI_STRICT=1, copies were never undone; otherwise they are listed in an OutstandingWarning.

        Cost: 0 EPR pairs, 0 bits.
        """
        if self._closed:
            return
        self._session.core.flush()
        self._end()
        self._session.report_outstanding(self)

    def _end(self) -> None:
        self._closed = True
        if self._owns_mpi:
            self._owns_mpi = False
            door.give_up(self.mpi)

    def __enter__(self) -> Comm:
        """The communicator itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Closes it; an exception goes on without a report of what was left undone."""
        if error is None:
            self.close()
        else:
            self._end()

    def __repr__(self) -> str:
        """As `<qmpi.Comm rank 1 of 4>`."""
        return f"<qmpi.Comm rank {self.rank} of {self.size}>"

    # --- mpi4py's spellings ------------------------------------------------------------------------------------------------------

    Barrier, Split, Dup, Free = barrier, split, dup, close

    def Get_rank(self) -> int:
        """This rank's number: `rank`. Cost: 0 EPR pairs, 0 bits."""
        return self.rank

    def Get_size(self) -> int:
        """The number of ranks: `size`. Cost: 0 EPR pairs, 0 bits."""
        return self.size

    def Abort(self, errorcode: int = 0) -> NoReturn:
        """Ends all ranks of the world, whatever they do.

        Args:
            errorcode: what the program's launcher, or the caller of `qmpi.run` by SystemExit, gets.

        Cost: 0 EPR pairs, 0 bits.
        """
        door.comm_world().Abort(errorcode)
        raise AssertionError("Abort has returned")

    # --- ledger and windows ------------------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """What this rank has spent; `ledger.total()` is collective."""
        return Ledger(self._session.book, self._group.allgather)

    def statevector(self, q: Operand) -> NDArray[np.complex128]:
        """The joint pure state of all registers given. A window: no physical machine has it.

        Args:
            q: this rank's register; any length, 26 qubits in all at most.

        Returns:
            2ⁿ amplitudes, complex128, yours to write; the lowest rank's qubit 0 is the least significant bit of the index.

        **Collective.**

        Raises:
            EntangledQubit: the registers are entangled with anything else.
            StateTooLarge: more than 26 qubits, or QMPI_MEMORY has no room for every rank's amplitudes.

        Cost: 0 EPR pairs, 0 bits; 2ⁿ amplitudes on every rank.
        """
        ids, snapshots = self._look(q, indices=1)
        self._group.barrier()
        return windows.joint_state(snapshots, ids, 1e-5 if self._session.universe.arena.single_precision else 1e-10)

    def density_matrix(self, q: Operand) -> NDArray[np.complex128]:
        """The joint state of all registers given, everything else traced out. A window: no physical machine has it.

        Args:
            q: this rank's register; any length, 13 qubits in all at most.

        Returns:
            A 2ⁿ × 2ⁿ matrix, complex128, indexed as `statevector`.

        **Collective.**

        Raises:
            StateTooLarge: more than 13 qubits, or QMPI_MEMORY has no room for every rank's matrix.

        Cost: 0 EPR pairs, 0 bits; 4ⁿ numbers on every rank.
        """
        ids, snapshots = self._look(q, indices=2)
        self._group.barrier()
        return windows.joint_density(snapshots, ids)

    def store_report(self) -> StoreReport:
        """What the store holds now, over all ranks of the node.

        **Collective.** Cost: 0 EPR pairs, 0 bits.
        """
        self._flush_together()
        report = StoreReport(**self._session.universe.arena.statistics())
        self._group.barrier()
        return report

    def _look(self, q: Operand, indices: int) -> tuple[list[int], list[windows.Snapshot]]:
        """All ids in rank order and the components that hold them, if an array with so many indices fits; callers end with a barrier."""
        self._refuse_if_closed()
        arena = self._session.universe.arena

        def own_ids() -> bytes:
            self._session.core.flush()
            return np.array([arena.statistics()["bytes"], *self._session.core.ids(self._operand(q))], np.uint64).tobytes()

        rows = [np.frombuffer(row, np.uint64) for row in self._group.gather_or_raise(own_ids)]
        ids = [int(name) for row in rows for name in row[1:]]
        self._refuse_window(len(ids), indices, int(rows[0][0]))
        return ids, self._session.core.snapshot(ids)

    def _refuse_window(self, qubits: int, indices: int, used: int) -> None:
        """The same on all ranks: `used` is what one of them saw."""
        allowed = self._session.universe.arena.memory
        if qubits * indices > MOST_IN_WINDOW:
            raise StateTooLarge(f"{qubits} qubits are too many for this window: it shows {MOST_IN_WINDOW // indices} at most")
        each = 16 << qubits * indices
        if each * self.size > allowed - used:
            raise StateTooLarge(
                f"{qubits} qubits need {readable_bytes(each)} here on each of {self.size} rank(s); of the {readable_bytes(allowed)} "
                f"that are allowed (QMPI_MEMORY), {readable_bytes(used)} are taken"
            )

    def _flush_together(self) -> None:
        """A barrier after which all gates are applied, on all ranks or on none without an error."""
        self._refuse_if_closed()

        def flush() -> bytes:
            self._session.core.flush()
            return b""

        self._group.gather_or_raise(flush)


def _first_use(name: str) -> Any:
    """What COMM_WORLD answers in a thread that has not founded it. Names that no communicator has found nothing: tools ask for many."""
    if name in ("rank", "size", "Get_rank", "Get_size", "Abort"):
        return getattr(door.comm_world(), name)
    if name == "mpi":
        return door.comm_world()
    if name in Transfer.__annotations__:
        return getattr(_found(), name)
    if name == "__class__":
        return Comm
    attribute = getattr(Comm, name)
    if not callable(attribute):
        return getattr(_found(), name) if isinstance(attribute, property) else attribute

    @wraps(attribute)
    def _founding(*args: Any, **kwargs: Any) -> Any:
        _ = COMM_WORLD._session  # founds, unless an argument of this very call has done so
        return getattr(COMM_WORLD, name)(*args, **kwargs)

    return _founding


def _found() -> Comm:
    comm = Comm(door.comm_world())
    set_world(comm)
    return comm


COMM_WORLD = cast(Comm, World(_first_use))
"""The world communicator of the calling thread's world. `rank`, `size` and `mpi` answer at once, the first other use founds the
universe (collective)."""
