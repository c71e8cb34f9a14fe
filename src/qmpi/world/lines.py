"""A stream that threads write to as processes would to theirs: lines come whole, all of them, whoever writes at the same time."""

from __future__ import annotations

import io
import os
import threading
from typing import Any, TextIO


class Lines(io.TextIOBase):
    """Keeps a thread's text until its line is complete, it is flushed, or the thread ends. All else is the stream's that it writes to."""

    def __init__(self, output: TextIO) -> None:
        """Writes to `output`."""
        self._output = output
        self._lock = threading.Lock()  # of `output`, which is not made for several threads
        self._here = threading.local()
        # A fork copies the stream in whatever state it is, and the lock, but not the thread that holds it.
        os.register_at_fork(before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As of the stream."""
        return self._output.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """As of the stream."""
        return self._output.errors

    def fileno(self) -> int:
        """As of the stream."""
        return self._output.fileno()

    def isatty(self) -> bool:
        """As of the stream."""
        return self._output.isatty()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Writes the lines that are complete, and keeps the rest."""
        pending = self._pending()
        lines, newline, pending.text = (pending.text + text).rpartition("\n")
        if newline:
            self._write(lines + newline)
        return len(text)

    def flush(self) -> None:
        """Writes what the calling thread has written, be its line complete or not."""
        pending = self._pending()
        text, pending.text = pending.text, ""
        self._write(text)
        with self._lock:
            self._output.flush()

    def __getattr__(self, name: str) -> Any:
        """As of the stream."""
        return getattr(self._output, name)

    def _pending(self) -> _Pending:
        if not hasattr(self._here, "pending"):
            self._here.pending = _Pending(self)
        return self._here.pending  # type: ignore[no-any-return]

    def _write(self, text: str) -> None:
        with self._lock:
            self._output.write(text)


class _Pending:
    """What a thread has written of a line; written in any case when the thread ends."""

    def __init__(self, lines: Lines) -> None:
        self.text = ""
        self._lines = lines

    def __del__(self) -> None:
        if self.text:
            self._lines._write(self.text)
