"""QMPI_ORDER=record:FILE and replay:FILE: the file that says in which order the measurements of a run were executed.

Its first line says what the run was: seed, mode, number of ranks. Each further line is a measurement, as the store executed them: the rank
whose it was, `user` or `protocol`, the number of that rank's measurement or operation, the position in it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidArgument, OrderError

Measured = tuple[int, bool, int, int]  # rank, of a protocol, number, position

_FIRST_LINE = "# qmpi order: seed {seed}, mode {mode}, {ranks} rank(s)\n"
_FIRST_LINE_IS = re.compile(r"# qmpi order: seed (\d+), mode (fast|faithful), (\d+) rank\(s\)$")
_LINE_IS = re.compile(r"(\d+) (user|protocol) (\d+) (\d+)$")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded run.

    Attributes:
        seed: its seed.
        mode: its mode.
        ranks: how many there were.
        measured: its measurements, in order.
    """

    seed: int
    mode: str
    ranks: int
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What QMPI_ORDER asks for.

    Attributes:
        path: the file; empty if the order is left to chance.
        recording: what is to be replayed; None to record.
    """

    path: str = ""
    recording: Recording | None = None

    def __str__(self) -> str:
        return f"{'replay' if self.recording else 'record'}:{self.path}" if self.path else ""

    @staticmethod
    def parse(text: str) -> Order:
        """Reads `record:FILE` or `replay:FILE`, and in the latter case the file.

        Raises:
            InvalidArgument: neither of the two, or a file that is not there or was not written by a recording.
        """
        what, _, path = text.partition(":")
        if not text:
            return Order()
        if what not in ("record", "replay") or not path:
            raise InvalidArgument(f"QMPI_ORDER must be record:FILE or replay:FILE, not {text!r}")
        return Order(path, None if what == "record" else _read(path))

    def begin(self, seed: int, mode: str, ranks: int) -> None:
        """Starts the file, or compares with it. What the founding rank does.

        Raises:
            OrderError: the file cannot be written, or was recorded by another number of ranks.
        """
        if self.recording is not None and self.recording.ranks != ranks:
            raise OrderError(f"{self.path} was recorded on {self.recording.ranks} rank(s), this run has {ranks}")
        if self.path and self.recording is None:
            try:
                Path(self.path).write_text(_FIRST_LINE.format(seed=seed, mode=mode, ranks=ranks))
            except OSError as error:
                raise OrderError(f"the order of measurements cannot be recorded: {error}") from None

    def open(self) -> int:
        """A descriptor that appends to the file."""
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _read(path: str) -> Recording:
    try:
        first, *lines = Path(path).read_text().splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"QMPI_ORDER: {path} cannot be read: {error}") from None
    about = _FIRST_LINE_IS.match(first)
    measured = [_LINE_IS.match(line) for line in lines]
    if about is None or not all(measured):
        raise InvalidArgument(f"QMPI_ORDER: {path} was not written by QMPI_ORDER=record:FILE")
    seed, mode, ranks = about.groups()
    rows = tuple((int(m[1]), m[2] == "protocol", int(m[3]), int(m[4])) for m in measured if m is not None)
    return Recording(int(seed), mode, int(ranks), rows)
