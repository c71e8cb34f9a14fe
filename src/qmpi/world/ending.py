"""How the end of one rank's process ends the job: by an uncaught exception, or by an exit status other than 0. Left alone, MPI would wait
for that rank, and it for the others.

The interpreter tells nobody with which status it ends: `sys.excepthook` does not hear of SystemExit, nor `atexit` of the status. But when
nothing has caught the exception, it reads its attribute `code` with no Python frame below. So `sys.exit`, `exit` and `quit` raise one that
notices. A SystemExit that a program raises by name, or by a `sys.exit` that it imported before its first call of qmpi, is the interpreter's
own and ends only its rank. Knows no MPI.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from ..errors import announce, line_of
from .base import INTERRUPTED

_FORWARDING_S = 0.2  # MPICH's launcher drops output that it has not forwarded when Abort comes

_abort: Callable[[int], object] = os._exit
_founder: int | None = None  # the process whose end ends the job; its forks are no ranks


def end_together(rank: int, abort: Callable[[int], object]) -> None:
    """From now on this process, one of several ranks, ends the job when it ends by an exception or with another status than 0.

    Args:
        rank: its number, for people.
        abort: ends all ranks with the status given; returns only where MPI is over, and each ends by itself.
    """
    global _abort, _founder
    _abort, _founder = abort, os.getpid()
    _end_after_exceptions(rank)
    sys.exit = _asked(sys.exit)
    for kind in {type(getattr(builtins, name)) for name in ("exit", "quit") if hasattr(builtins, name)}:  # of the module site
        kind.__call__ = _asked(kind.__call__)


def status_of(code: object) -> int:
    """The exit status that a SystemExit's `code` means. A text is printed, as the interpreter does."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    announce(str(code))
    return 1


class _Exit(SystemExit):
    """A SystemExit that ends the job if nothing catches it. Elsewhere, as in a file or in another process, it is an ordinary one."""

    @property
    def code(self) -> Any:
        """As of SystemExit."""
        code = super().code
        if _founder != os.getpid() or not _interpreter_asks():
            return code
        if status := status_of(code):
            _end(status)
        return status

    @code.setter
    def code(self, code: Any) -> None:
        SystemExit.code.__set__(self, code)  # type: ignore[union-attr]

    def __reduce__(self) -> tuple[type[SystemExit], tuple[Any, ...]]:
        return SystemExit, self.args


def _interpreter_asks() -> bool:
    """Whether no Python frame lies below the one that reads the attribute."""
    try:
        sys._getframe(2)
    except ValueError:
        return True
    return False


def _asked(leave: Callable[..., Any]) -> Callable[..., Any]:
    """`leave`, which raises SystemExit, in the main thread with one that can be asked: the end of another thread ends no process."""

    def exit(*arguments: Any, **named: Any) -> Any:
        try:
            return leave(*arguments, **named)
        except SystemExit as end:
            if threading.current_thread() is not threading.main_thread():
                raise
            raise _Exit(*end.args) from None

    exit.__doc__ = leave.__doc__
    return exit


def _end_after_exceptions(rank: int) -> None:
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if os.getpid() != _founder:
            previous(kind, error, trace)
            sys.stderr.flush()
            os._exit(1)  # without MPI's farewell, which is the parent's
        if issubclass(kind, KeyboardInterrupt):  # of every rank: a line instead of a traceback
            announce(f"qmpi: rank {rank} interrupted at {line_of(trace)}")
        else:
            previous(kind, error, trace)
        if not hasattr(sys, "ps1"):  # an interactive session goes on
            _end(INTERRUPTED if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook


def _end(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, its reader gone, closed: nobody is left to hear of it
            stream.flush()
    time.sleep(_FORWARDING_S)
    _abort(status)
