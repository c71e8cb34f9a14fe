"""The buffer arguments of upper-case calls, as mpi4py takes them: arrays' memory in, bytes out, and back. Knows nothing of messages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidArgument, MessageError
from ..wildcards import IN_PLACE, means
from .integers import integers

Items = NDArray[Any]
Octets = NDArray[np.uint8]


def flat(buffer: Any, blocks: int = 1) -> Items:
    """The memory of an array, or of anything with the buffer protocol, as one row; or of a part of it, as mpi4py describes one.

    Args:
        buffer: an array; or `[array, count, displacement, datatype]`, where all but the array may be left out, and `(count, displacement)`
            may stand for the two.
        blocks: how many times the count there is of it.

    Raises:
        InvalidArgument: not such a thing; not contiguous; of Python objects; or the array has no such part.
    """
    row, count, displacement = _described(buffer)
    if count is None and displacement is None:
        return row
    begin = 0 if displacement is None else integers([displacement])[0]
    each = integers([(row.size - begin) // blocks if count is None else count])[0]
    return _part(row, begin, each * blocks)


def flat_parts(buffer: Any, count: int) -> list[Items]:
    """One part of an array for each of so many ranks.

    Args:
        buffer: an array, which is dealt out as evenly as can be; or as for `flat`, where counts and displacements are rows of numbers, one
            for each rank. One count stands for all; without displacements one part follows the other.
        count: of ranks.

    Raises:
        InvalidArgument: as of `flat`; or other than so many numbers.
    """
    row, counts, begins = _described(buffer)
    if counts is None:
        each, more = divmod(row.size, count)
        counts = [each + (rank < more) for rank in range(count)]
    lengths = integers([counts] * count if isinstance(counts, Integral) else counts, count)
    starts = accumulate(lengths[:-1], initial=0) if begins is None else integers(begins, count)
    return [_part(row, begin, length) for begin, length in zip(starts, lengths, strict=True)]


def _described(buffer: Any) -> tuple[Items, Any, Any]:
    """An array's items, and the counts and displacements that are given with it."""
    if means(buffer, IN_PLACE):
        raise InvalidArgument("IN_PLACE stands here for no buffer")
    array, *rest = buffer if isinstance(buffer, list | tuple) and buffer else (buffer,)
    datatype = rest.pop() if rest and (len(rest) > 1 or _is_datatype(rest[0])) else None
    if len(rest) == 1 and isinstance(rest[0], tuple):
        rest = list(rest[0])
    if len(rest) > 2:
        raise InvalidArgument("a buffer is described by [array, count, displacement, datatype], of which this has more")
    count, displacement = [*rest, None, None][:2]
    return _items(array, datatype), count, displacement


def _is_datatype(value: Any) -> bool:
    return isinstance(value, str) or hasattr(value, "tocode")


def _items(array: Any, datatype: Any) -> Items:
    row = _row(array)
    if datatype is None:
        return row
    try:  # mpi4py's know their letter, except those that a program has put together
        kind = np.dtype(datatype if isinstance(datatype, str) else datatype.tocode())
        return row.view(np.uint8).view(kind)
    except (AttributeError, TypeError, ValueError):
        raise InvalidArgument(f"{datatype!r} is no datatype of which an array of {row.nbytes} bytes could be") from None


def _part(row: Items, begin: int, count: int) -> Items:
    if count < 0 or begin < 0 or begin + count > row.size:
        raise InvalidArgument(f"the buffer of {row.size} items has no {count} from item {begin} on")
    return row[begin : begin + count]


def _row(buffer: Any) -> Items:
    try:
        array = buffer if isinstance(buffer, np.ndarray) else np.asarray(memoryview(buffer))
    except TypeError:
        raise InvalidArgument(f"upper-case calls take an array, not {type(buffer).__name__}; lower-case ones take any object") from None
    array = array if array.flags.c_contiguous else array.T
    if not array.flags.c_contiguous:
        raise InvalidArgument("the array is not contiguous: give a copy of it")
    if array.dtype.hasobject:
        raise InvalidArgument("an array of Python objects has no memory to send: use the lower-case call")
    return array.reshape(-1)


def writable_parts(buffer: Any, count: int) -> list[Octets]:
    """The bytes of the parts of a buffer that is received into, as of `flat_parts`.

    Raises:
        InvalidArgument: as of `flat_parts`, or it is read-only.
    """
    return [_writable(part) for part in flat_parts(buffer, count)]


def writable(buffer: Any, blocks: int = 1) -> Octets:
    """The bytes of a buffer that is received into, as of `flat`.

    Raises:
        InvalidArgument: as of `flat`, or it is read-only.
    """
    return _writable(flat(buffer, blocks))


def _writable(array: Items) -> Octets:
    if not array.flags.writeable:
        raise InvalidArgument("the buffer to receive into is read-only")
    return array.view(np.uint8)


def fill(target: Octets, data: bytes) -> None:
    """Writes what must have the target's length.

    Raises:
        MessageError: it has another one.
    """
    if len(data) != target.size:
        raise MessageError(f"{len(data)} bytes have come for a buffer of {target.size}")
    target[:] = np.frombuffer(data, np.uint8)


def fill_front(target: Octets, data: bytes) -> None:
    """Writes what may be shorter than the target.

    Raises:
        MessageError: it is longer.
    """
    fill(target[: len(data)], data)


def split(array: Items, count: int) -> list[Items]:
    """A row in `count` equal parts.

    Raises:
        InvalidArgument: they would not be equal.
    """
    if array.size % count:
        raise InvalidArgument(f"a buffer of {array.size} items has no {count} equal parts, one for each rank")
    return list(array.reshape(count, -1))


def reduction(op: Callable[[Any, Any], Any], dtype: np.dtype[Any]) -> Callable[[bytes, bytes], bytes]:
    """`op`, which takes and returns arrays, on their bytes."""

    def join(a: bytes, b: bytes) -> bytes:
        first, second = np.frombuffer(a, dtype), np.frombuffer(b, dtype)
        result = op(first, second)
        if not isinstance(result, np.ndarray) or result.shape != first.shape:
            raise InvalidArgument(f"{op!r} is not elementwise: of two arrays it makes {type(result).__name__}")
        return result.astype(dtype).tobytes()

    return join
