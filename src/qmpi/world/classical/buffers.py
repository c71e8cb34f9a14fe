"""The buffer arguments of upper-case calls, as mpi4py takes them: arrays' memory in, bytes out, and back. Knows nothing of messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidArgument, MessageError
from ..wildcards import IN_PLACE, means

Octets = NDArray[np.uint8]


def flat(buffer: Any) -> NDArray[Any]:
    """The memory of an array, of anything with the buffer protocol, or of the first item of `[array, datatype]`, as one row.

    Raises:
        InvalidArgument: not such a thing; not contiguous; of Python objects; or given with counts.
    """
    if means(buffer, IN_PLACE):
        raise InvalidArgument("IN_PLACE stands here for no buffer")
    if isinstance(buffer, list | tuple) and buffer:
        buffer, *rest = buffer
        if any(isinstance(item, int | list | tuple) for item in rest):
            raise InvalidArgument("ranks that are threads take no counts or displacements with a buffer: give a slice of the array")
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


def writable(buffer: Any) -> Octets:
    """The bytes of a buffer that is received into.

    Raises:
        InvalidArgument: as `flat`, or it is read-only.
    """
    array = flat(buffer)
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


def split(array: NDArray[Any], count: int) -> list[NDArray[Any]]:
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
