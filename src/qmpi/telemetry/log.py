"""QMPI_LOG=debug: one line on standard error for each call of a program, rank first.

    rank 1: comm.recv(source=0) at ring.py:12 -> 1 qubit (0.1 ms)

`install` wraps the public calls once; without it nothing is wrapped and nothing is slower. A call within a call is not told. A line is
one write, so that the lines of several ranks never mix.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from .. import api, errors, gates
from .._core import Qubit
from ..comm.communicator import Comm
from ..comm.persistent import Persistent
from ..comm.register import Register
from ..comm.request import Request
from ..comm.transfer import Sent
from ..errors import source_line
from ..runtime.obligations import Operation

_FUNCTIONS = (*gates.TABLE, "measure", "reset", "probability", "expectation")
_LONGEST = 60  # characters of a value

_thread = threading.local()  # .inside: a call is being told


@functools.cache
def install() -> None:
    """Wraps every public method of communicators and requests, the gates, and what else acts on handles. Once."""
    for owner, prefix in ((Comm, "comm"), (Request, "request"), (Persistent, "persistent")):
        for part in owner.__mro__:
            for name, member in list(vars(part).items()):
                if isinstance(member, FunctionType) and not name.startswith("_"):
                    setattr(part, name, _told(f"{prefix}.{name}", member, slice(1, None)))
    for block in (Sent, Register):  # the end of a `with` block undoes what began it
        block.__exit__ = _told("leave", block.__exit__, slice(1))  # type: ignore[method-assign]
    package = sys.modules[__name__.partition(".")[0]]
    for name in _FUNCTIONS:
        home = gates if name in gates.TABLE else api
        told = _told(name, getattr(home, name), slice(None))
        for module in (home, package):
            if hasattr(module, name):
                setattr(module, name, told)


def _told(name: str, call: Callable[..., Any], positional: slice) -> Callable[..., Any]:
    """`call`, with a line for each time the program calls it; of its positional arguments these are shown."""

    @functools.wraps(call)
    def _call(*args: Any, **kwargs: Any) -> Any:  # the underscore keeps it out of the errors' texts
        if getattr(_thread, "inside", False):
            return call(*args, **kwargs)
        shown = ", ".join([*map(_show, args[positional]), *(f"{key}={_show(value)}" for key, value in kwargs.items())])
        with _inside():
            begin = time.perf_counter()
            try:
                result = call(*args, **kwargs)
            except BaseException as error:
                _write(f"{name}({shown})", f" raised {type(error).__name__}", begin)
                raise
            _write(f"{name}({shown})", "" if result is None else f" -> {_show(result)}", begin)
            return result

    return _call


@contextmanager
def _inside() -> Iterator[None]:
    _thread.inside = True
    try:
        yield
    finally:
        _thread.inside = False


def _write(call: str, outcome: str, begin: float) -> None:
    milliseconds = 1000 * (time.perf_counter() - begin)
    rank = getattr(errors._here, "rank", "?")  # a call before there is a universe
    line = f"rank {rank}: {call} at {os.path.basename(source_line())}{outcome} ({milliseconds:.1f} ms)\n"
    os.write(2, line.encode(errors="backslashreplace"))


def _show(value: object) -> str:
    """A few words for an argument or a result."""
    if isinstance(value, (Qubit, Register)):
        return f"{len(value)} qubit{'s' * (len(value) != 1)}"
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, Request):
        return "request"
    if isinstance(value, Sent):
        value = value.operation
    if isinstance(value, Operation):
        return f"{value.side.value}, rank {value.peer}"
    text = repr(value).replace("\n", " ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
