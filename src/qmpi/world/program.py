"""One program file, run by many threads as `mpiexec` would by many processes: each has globals of its own.

What threads of one process share, and processes do not, is kept apart here: the module `__main__` (where pickle looks for a program's
classes), and lines on standard output. Imported modules, the working directory and `sys.argv` are the process's, hence shared.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from ..errors import announce
from .base import INTERRUPTED
from .ending import status_of
from .threads import run


def run_program(path: str, arguments: Sequence[str], ranks: int) -> int:
    """Runs the program `path arguments…` on so many ranks, each a thread.

    Returns:
        The exit status: the highest of those the ranks ended with, 1 after an exception, 130 after Ctrl-C.
    """
    try:
        code = compile(Path(path).read_bytes(), path, "exec")
    except (SyntaxError, ValueError) as error:
        traceback.print_exception(type(error), error, None)
        return 1
    sys.argv = [path, *arguments]
    sys.path.insert(0, str(Path(path).resolve().parent))
    main = sys.modules["__main__"] = _Main(path)
    output, sys.stdout = sys.stdout, _Lines(sys.stdout)

    def program() -> int:
        try:
            exec(code, main.begin())
            return 0
        except SystemExit as end:
            return status_of(end.code)
        finally:
            sys.stdout.flush()

    try:
        return max(run(program, ranks))
    except KeyboardInterrupt:
        announce("qmpi: interrupted")
        sys.stdout.flush()
        if threading.active_count() > 1:  # a rank sleeps outside qmpi, and nothing may wait for it
            os._exit(INTERRUPTED)
        return INTERRUPTED
    except Exception as error:
        _report(error, path)
        return 1
    finally:
        sys.stdout = output


def _report(error: BaseException, path: str) -> None:
    """A traceback that begins in the program, not in what runs it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace or error.__traceback__)


class _Main(ModuleType):
    """`__main__`, of which every rank has its own."""

    def __init__(self, path: str) -> None:
        super().__init__("__main__")
        object.__setattr__(self, "_here", threading.local())
        object.__setattr__(self, "_path", path)

    def begin(self) -> dict[str, Any]:
        """The calling thread's globals, fresh."""
        here = object.__getattribute__(self, "_here")
        here.names = {"__name__": "__main__", "__file__": object.__getattribute__(self, "_path"), "__builtins__": builtins}
        names: dict[str, Any] = here.names
        return names

    def __getattribute__(self, name: str) -> Any:
        names = getattr(object.__getattribute__(self, "_here"), "names", {})
        return names[name] if name in names else super().__getattribute__(name)


class _Lines(io.TextIOBase):
    """Standard output that keeps the lines of different threads apart."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._here = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._output.encoding

    def fileno(self) -> int:
        return self._output.fileno()

    def isatty(self) -> bool:
        return self._output.isatty()

    def write(self, text: str) -> int:
        pending = getattr(self._here, "pending", "") + text
        lines, newline, self._here.pending = pending.rpartition("\n")
        if newline:
            self._output.write(lines + newline)
        return len(text)

    def flush(self) -> None:
        pending, self._here.pending = getattr(self._here, "pending", ""), ""
        self._output.write(pending)
        self._output.flush()
