"""Classical collectives between ranks that are threads, with mpi4py's names, arguments, defaults and results, over messages of their own.

Everything but the barrier goes along binomial trees, along the chain of ranks, or from the root to each: N - 1 messages a way. Operators
are applied in rank order, so they need not commute.
"""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidArgument, RankOutOfRange
from ..wildcards import IN_PLACE, means, of_mpi4py
from .buffers import Octets, fill, flat, flat_parts, reduction, split, writable, writable_parts
from .mailbox import Message
from .matched import packed
from .messages import Messages
from .request import Request

Operator = Callable[[Any, Any], Any]
Join = Callable[[bytes, bytes], bytes]

# Operators of mpi4py that do not take arrays when they are called.
_ON_ARRAYS: dict[str, Operator] = {
    "MAX": np.maximum,
    "MIN": np.minimum,
    "LAND": np.logical_and,
    "LOR": np.logical_or,
    "LXOR": np.logical_xor,
}


def _on_objects(op: Operator) -> Join:
    _refuse_unless_callable(op)
    return lambda a, b: packed(op(pickle.loads(a), pickle.loads(b)))


def _on_arrays(op: Operator, array: NDArray[Any]) -> Join:
    _refuse_unless_callable(op)
    return reduction(next((ufunc for name, ufunc in _ON_ARRAYS.items() if op is of_mpi4py(name)), op), array.dtype)


def _refuse_unless_callable(op: Any) -> None:
    if not callable(op):
        raise InvalidArgument(f"op must be a function of two arguments, not {op!r}")


def _own(sendbuf: Any, recvbuf: Any) -> NDArray[Any]:
    """What this rank brings; IN_PLACE it lies where the result will."""
    return flat(recvbuf if means(sendbuf, IN_PLACE) else sendbuf)


def _bytes(parts: list[NDArray[Any]]) -> list[bytes]:
    return [part.tobytes() for part in parts]


def _fill_all(targets: list[Octets], rows: list[bytes]) -> None:
    for target, row in zip(targets, rows, strict=True):
        fill(target, row)


def _rows(objects: Any, count: int) -> list[bytes]:
    """One packed object for each rank; None stands for as many None."""
    rows = [None] * count if objects is None else list(objects)
    if len(rows) != count:
        raise InvalidArgument(f"expecting {count} items, one for each rank, got {len(rows)}")
    return [packed(row) for row in rows]


class Collectives(Messages):
    """One rank's collective calls. All ranks make the same ones in the same order; see mpi4py for what each argument means."""

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def bcast(self, obj: Any, root: Any = 0) -> Any:
        """The root's object, on every rank."""
        root = self._root(root)
        return pickle.loads(self._down(packed(obj) if self.rank == root else None, root))

    def scatter(self, sendobj: Sequence[Any] | None, root: Any = 0) -> Any:
        """This rank's one of the root's objects."""
        root = self._root(root)
        return pickle.loads(self._scatter(_rows(sendobj, self.size) if self.rank == root else None, root))

    def gather(self, sendobj: Any, root: Any = 0) -> list[Any] | None:
        """At the root all ranks' objects, None elsewhere."""
        root = self._root(root)
        rows = self._gather(packed(sendobj), root)
        return None if rows is None else [pickle.loads(row) for row in rows]

    def allgather(self, sendobj: Any) -> list[Any]:
        """All ranks' objects, on every rank."""
        return [pickle.loads(row) for row in self._allgather(packed(sendobj))]

    def alltoall(self, sendobj: Sequence[Any] | None) -> list[Any]:
        """What each rank has for this one."""
        return [pickle.loads(row) for row in self._alltoall(_rows(sendobj, self.size))]

    def reduce(self, sendobj: Any, op: Operator = operator.add, root: Any = 0) -> Any:
        """At the root `op` over all ranks' objects, None elsewhere."""
        root = self._root(root)
        total = self._reduce(packed(sendobj), _on_objects(op), root)
        return None if total is None else pickle.loads(total)

    def allreduce(self, sendobj: Any, op: Operator = operator.add) -> Any:
        """`op` over all ranks' objects, on every rank."""
        return pickle.loads(self._allreduce(packed(sendobj), _on_objects(op)))

    def scan(self, sendobj: Any, op: Operator = operator.add) -> Any:
        """`op` over the objects of ranks 0 to this one."""
        return pickle.loads(self._scan(packed(sendobj), _on_objects(op))[1])

    def exscan(self, sendobj: Any, op: Operator = operator.add) -> Any:
        """`op` over the objects of the ranks below this one; None on rank 0."""
        before, _ = self._scan(packed(sendobj), _on_objects(op))
        return None if before is None else pickle.loads(before)

    def barrier(self) -> None:
        """Returns once all ranks have come."""
        self.Ibarrier().wait()

    # --- buffers -----------------------------------------------------------------------------------------------------------------

    def Bcast(self, buf: Any, root: Any = 0) -> None:
        """Writes the root's array into every rank's."""
        root = self._root(root)
        if self.rank == root:
            self._down(flat(buf).tobytes(), root)
        else:
            fill(writable(buf), self._down(None, root))

    def Ibcast(self, buf: Any, root: Any = 0) -> Request:
        """Starts `Bcast`; the array is written when the request is waited for. The root's is free again at once."""
        self._check()
        root = self._root(root)
        if self.rank == root:
            data = flat(buf).tobytes()
            for rank in range(self.size):
                if rank != root:
                    self._tell(rank, data)
            return Request(self._check)
        target, wanted = writable(buf), self._shared.collectives[self.rank].receive(root, 0)
        return Request(
            self._check,
            wanted.arrival,
            lambda status: fill(target, wanted.message.data),
            cannot=lambda: self._shared.ended([root]),
        )

    def Scatter(self, sendbuf: Any, recvbuf: Any, root: Any = 0) -> None:
        """Writes this rank's part of the root's array. At the root `recvbuf` may be IN_PLACE."""
        root = self._root(root)
        parts = _bytes(split(flat(sendbuf, self.size), self.size)) if self.rank == root else None
        self._scatter_into(recvbuf, parts, root)

    def Scatterv(self, sendbuf: Any, recvbuf: Any, root: Any = 0) -> None:
        """`Scatter` of parts that need not be equal. Its buffer may be `[array, counts, displacements, datatype]`."""
        root = self._root(root)
        parts = _bytes(flat_parts(sendbuf, self.size)) if self.rank == root else None
        self._scatter_into(recvbuf, parts, root)

    def Gather(self, sendbuf: Any, recvbuf: Any, root: Any = 0) -> None:
        """Writes all ranks' arrays into the root's. There `sendbuf` may be IN_PLACE."""
        root = self._root(root)
        target = writable(recvbuf, self.size) if self.rank == root else None
        rows = self._gather(self._part(sendbuf, recvbuf), root)
        if target is not None:
            fill(target, b"".join(rows))

    def Gatherv(self, sendbuf: Any, recvbuf: Any, root: Any = 0) -> None:
        """`Gather` of arrays that need not be equally long. The root's buffer may be `[array, counts, displacements, datatype]`."""
        root = self._root(root)
        targets = writable_parts(recvbuf, self.size) if self.rank == root else []
        rows = self._gather((targets[root] if means(sendbuf, IN_PLACE) else flat(sendbuf)).tobytes(), root)
        if self.rank == root:
            _fill_all(targets, rows)

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        """Writes all ranks' arrays into every rank's. `sendbuf` may be IN_PLACE."""
        fill(writable(recvbuf, self.size), b"".join(self._allgather(self._part(sendbuf, recvbuf))))

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        """`Allgather` of arrays that need not be equally long. `recvbuf` may be `[array, counts, displacements, datatype]`."""
        targets = writable_parts(recvbuf, self.size)
        _fill_all(targets, self._allgather((targets[self.rank] if means(sendbuf, IN_PLACE) else flat(sendbuf)).tobytes()))

    def Alltoall(self, sendbuf: Any, recvbuf: Any) -> None:
        """Writes what each rank has for this one. `sendbuf` may be IN_PLACE."""
        own = flat(recvbuf if means(sendbuf, IN_PLACE) else sendbuf, self.size)
        fill(writable(recvbuf, self.size), b"".join(self._alltoall(_bytes(split(own, self.size)))))

    def Alltoallv(self, sendbuf: Any, recvbuf: Any) -> None:
        """`Alltoall` of parts that need not be equal. Both buffers may be `[array, counts, displacements, datatype]`."""
        parts = _bytes(flat_parts(recvbuf if means(sendbuf, IN_PLACE) else sendbuf, self.size))
        _fill_all(writable_parts(recvbuf, self.size), self._alltoall(parts))

    def Reduce(self, sendbuf: Any, recvbuf: Any, op: Operator = operator.add, root: Any = 0) -> None:
        """Writes at the root `op` over all ranks' arrays, item by item. There `sendbuf` may be IN_PLACE."""
        root = self._root(root)
        target = writable(recvbuf) if self.rank == root else None
        own = _own(sendbuf, recvbuf)
        total = self._reduce(own.tobytes(), _on_arrays(op, own), root)
        if target is not None:
            fill(target, total)

    def Allreduce(self, sendbuf: Any, recvbuf: Any, op: Operator = operator.add) -> None:
        """Writes `op` over all ranks' arrays, item by item, on every rank. `sendbuf` may be IN_PLACE."""
        own = _own(sendbuf, recvbuf)
        fill(writable(recvbuf), self._allreduce(own.tobytes(), _on_arrays(op, own)))

    def Scan(self, sendbuf: Any, recvbuf: Any, op: Operator = operator.add) -> None:
        """Writes `op` over the arrays of ranks 0 to this one, item by item. `sendbuf` may be IN_PLACE."""
        own = _own(sendbuf, recvbuf)
        fill(writable(recvbuf), self._scan(own.tobytes(), _on_arrays(op, own))[1])

    def Exscan(self, sendbuf: Any, recvbuf: Any, op: Operator = operator.add) -> None:
        """Writes `op` over the arrays of the ranks below this one, item by item; nothing on rank 0. `sendbuf` may be IN_PLACE."""
        own, target = _own(sendbuf, recvbuf), writable(recvbuf)
        before, _ = self._scan(own.tobytes(), _on_arrays(op, own))
        if before is not None:
            fill(target, before)

    def Ibarrier(self) -> Request:
        """Enters a barrier; the request is over once all ranks have."""
        self._check()
        event, cannot = self._shared.come(self.rank)
        return Request(self._check, event, cannot=cannot)

    Barrier = barrier

    def _part(self, sendbuf: Any, recvbuf: Any) -> bytes:
        """What this rank brings to a gathering."""
        own = split(flat(recvbuf, self.size), self.size)[self.rank] if means(sendbuf, IN_PLACE) else flat(sendbuf)
        return own.tobytes()

    def _scatter_into(self, recvbuf: Any, parts: list[bytes] | None, root: int) -> None:
        target = None if self.rank == root and means(recvbuf, IN_PLACE) else writable(recvbuf)
        part = self._scatter(parts, root)
        if target is not None:
            fill(target, part)

    # --- over messages -----------------------------------------------------------------------------------------------------------

    def _down(self, data: Any, root: int) -> Any:
        """The root's data, on every rank."""
        parent, children = self._tree(root)
        if parent is not None:
            data = self._hear(parent)
        for child in reversed(children):  # the largest branch first
            self._tell(child, data)
        return data

    def _up(self, data: Any, join: Callable[[Any, Any], Any], root: int) -> Any:
        """At the root all data, joined from the root on around to the rank before it; None elsewhere."""
        parent, children = self._tree(root)
        for child in children:
            data = join(data, self._hear(child))
        if parent is None:
            return data
        self._tell(parent, data)
        return None

    def _scatter(self, rows: list[Any] | None, root: int) -> Any:
        if rows is None:
            return self._hear(root)
        for rank, row in enumerate(rows):
            self._tell(rank, row)
        return self._hear(root)

    def _gather(self, data: Any, root: int) -> Any:
        rows = self._up([data], operator.add, root)
        return None if rows is None else rows[self.size - root :] + rows[: self.size - root]

    def _allgather(self, data: Any) -> Any:
        return self._down(self._gather(data, 0), 0)

    def _alltoall(self, rows: list[Any]) -> Any:
        table = self._gather(rows, 0)
        return self._scatter(None if table is None else list(zip(*table, strict=True)), 0)

    def _reduce(self, data: bytes, join: Join, root: int) -> Any:
        """Joined at rank 0, whatever the root, for the sake of the order."""
        total = self._up(data, join, 0)
        if total is not None:
            self._tell(root, total)
        return self._hear(0) if self.rank == root else None

    def _allreduce(self, data: bytes, join: Join) -> Any:
        return self._down(self._up(data, join, 0), 0)

    def _scan(self, data: bytes, join: Join) -> tuple[Any, bytes]:
        """What the ranks below this one have, joined (None on rank 0), and the same with this one's."""
        before = self._hear(self.rank - 1) if self.rank > 0 else None
        through = data if before is None else join(before, data)
        if self.rank + 1 < self.size:
            self._tell(self.rank + 1, through)
        return before, through

    def _tell(self, dest: int, data: Any, tag: int = 0) -> None:
        self._check()
        self._shared.collectives[dest].deliver(Message(self.rank, tag, data))

    def _hear(self, source: int, tag: int = 0) -> Any:
        self._check()
        wanted = self._shared.collectives[self.rank].receive(source, tag)
        wanted.arrival.wait(self._check, lambda: self._shared.ended([source]))
        return wanted.message.data

    def _tree(self, root: int) -> tuple[int | None, list[int]]:
        """Parent and children of this rank in the binomial tree at `root`; each child's branch are the ranks from it to the next child."""
        place = (self.rank - root) % self.size
        reach = place & -place or self.size
        steps = [1 << bit for bit in range((reach - 1).bit_length()) if place + (1 << bit) < self.size]
        return (place - reach + root) % self.size if place else None, [(self.rank + step) % self.size for step in steps]

    def _root(self, root: Any) -> int:
        number = self._peer(root)
        if number is None:
            raise RankOutOfRange("PROC_NULL cannot be the root")
        return number
