"""One program, a file or a module, run by many threads as `mpiexec` would by many processes: each has globals of its own.

What threads of one process share, and processes do not, is kept apart here: the module `__main__` (where pickle looks for a program's
classes), also in the threads that a rank starts. Imported modules, the working directory and `sys.argv` are the process's, hence shared.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..errors import QMPIError, announce, is_ours
from .base import INTERRUPTED
from .ending import status_of
from .lines import Lines
from .threads import run

Names = dict[str, Any]


def run_program(path: str, arguments: Sequence[str], ranks: int) -> int:
    """Runs the program `path arguments...` on so many ranks, each a thread.

    Returns:
        The exit status: the highest of those the ranks ended with, 1 after an exception, 130 after Ctrl-C.
    """
    try:
        code = compile(Path(path).read_bytes(), path, "exec")
    except (SyntaxError, ValueError) as error:
        traceback.print_exception(type(error), error, None)
        return 1
    sys.path.insert(0, str(Path(path).resolve().parent))
    return _run(path, lambda: (code, {}), arguments, ranks)


def run_module(name: str, arguments: Sequence[str], ranks: int) -> int:
    """Runs a module, which `find_module` finds, on so many ranks, as `python -m` would.

    Returns:
        The exit status, as of `run_program`.
    """
    name, path = find_module(name)

    def load() -> tuple[CodeType, Names]:
        spec = find_spec(name)  # imports the packages that it lies in, as a rank
        if spec is None or spec.loader is None or (code := spec.loader.get_code(name)) is None:  # type: ignore[attr-defined]
            raise ImportError(f"the module {name} is not written in Python")
        return code, {"__package__": spec.parent, "__spec__": spec, "__loader__": spec.loader, "__cached__": spec.cached}

    return _run(path, load, arguments, ranks)


def find_module(name: str) -> tuple[str, str]:
    """The module that `python -m name` would run, by default a package's `__main__`, and its file. Imports nothing.

    Raises:
        ImportError: there is no such thing.
    """
    spec = _look_for(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name = f"{name}.__main__"
        spec = _look_for(name)
    if spec is None:
        hint = f" (try {name.removesuffix('.py')})" if name.endswith(".py") else ""
        raise ImportError(f"there is no module {name}{hint}")
    return name, str(spec.origin)


def _look_for(name: str) -> ModuleSpec | None:
    first, *parts = name.split(".")
    found = (finder.find_spec(first, None) for finder in sys.meta_path)
    spec = next((each for each in found if each is not None), None)
    for part in parts:
        spec = spec and PathFinder.find_spec(part, list(spec.submodule_search_locations or []))
    return spec


def _run(path: str, load: Callable[[], tuple[CodeType, Names]], arguments: Sequence[str], ranks: int) -> int:
    sys.argv = [path, *arguments]
    main = sys.modules["__main__"] = _Main(path)

    def program() -> int:
        try:
            code, names = load()
            exec(code, main.begin(names))
            return 0
        except SystemExit as end:
            return status_of(end.code)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    with _lines_kept_apart(), main.inherited():
        try:
            return max(run(program, ranks))
        except KeyboardInterrupt:
            announce("qmpi: interrupted")
            sys.stdout.flush()
            if threading.active_count() > 1:  # a rank sleeps outside qmpi, and nothing may wait for it
                os._exit(INTERRUPTED)
            return INTERRUPTED
        except Exception as error:
            _report(error)
            return 1


@contextmanager
def _lines_kept_apart() -> Iterator[None]:
    output, errors = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Lines(output), Lines(errors)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, errors


def _report(error: Exception) -> None:
    """A traceback that begins in the program, not in what runs it."""
    trace = error.__traceback__
    while trace is not None and is_ours(trace.tb_frame):
        trace = trace.tb_next
    if trace is None and isinstance(error, QMPIError):  # no rank has begun
        announce(f"qmpi: {error.what}")
    else:
        traceback.print_exception(type(error), error, trace)


class _Main(ModuleType):
    """`__main__`, of which every rank has its own, and its threads."""

    def __init__(self, path: str) -> None:
        super().__init__("__main__")
        object.__setattr__(self, "_here", threading.local())
        object.__setattr__(self, "_path", path)

    def begin(self, names: Names) -> Names:
        """The calling thread's globals: fresh, with these names."""
        here, path = object.__getattribute__(self, "_here"), object.__getattribute__(self, "_path")
        here.names = {"__name__": "__main__", "__file__": path, "__builtins__": builtins, "__spec__": None, **names}
        return here.names  # type: ignore[no-any-return]

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Within the block, a thread has the globals of the one that started it: pools pickle what they are given in threads of theirs."""
        here, start = object.__getattribute__(self, "_here"), threading.Thread.start

        def start_with_names(thread: threading.Thread) -> None:
            names, run = getattr(here, "names", None), thread.run

            def run_with_names() -> None:
                if names is not None:
                    here.names = names
                run()

            thread.run = run_with_names  # type: ignore[method-assign]
            start(thread)

        threading.Thread.start = start_with_names  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            threading.Thread.start = start  # type: ignore[method-assign]

    def __getattribute__(self, name: str) -> Any:
        names = getattr(object.__getattribute__(self, "_here"), "names", {})
        return names[name] if name in names else super().__getattribute__(name)
