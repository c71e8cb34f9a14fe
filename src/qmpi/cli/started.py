"""A command of which nothing is left behind, whenever Ctrl-C or a request to end comes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

_GRACE_S = 2  # between asking a command to end, and ending it


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], errors: int | IO[str]) -> Iterator[subprocess.Popen[str]]:
    """Starts a command, which ends with the block at the latest.

    Args:
        command: what is run, in a session of its own: Ctrl-C in the terminal does not reach it but from here.
        environment: the variables it sees.
        errors: where its errors go; its output goes to a pipe.
    """
    with ExitStack() as stack:
        with _signals_held_back():  # they could come when it runs already and nobody knows it yet
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            stack.callback(end, process)
        yield process


def end(process: subprocess.Popen[str]) -> None:
    """Ends what was started in a session of its own. Asked kindly, launchers take their ranks with them."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(subprocess.TimeoutExpired, ProcessLookupError):
            os.killpg(process.pid, how)
            process.wait(_GRACE_S)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """SIGINT and SIGTERM act when the block is over."""
    came: list[int] = []
    before = {which: signal.signal(which, lambda number, _: came.append(number)) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        for number in came:
            signal.raise_signal(number)
