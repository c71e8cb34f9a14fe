"""Worlds in which the laws of tests/laws are tested: what the ranks are, how many, and under which settings.

`python -m pytest` starts each world once and lets its ranks live through all laws (outside.py); in the processes of the world, inside.py
runs the laws that are asked for. Which ranks a law sees is as_threads.py's or as_processes.py's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SETTINGS = {
    "fast": ("QMPI_MODE", "fast"),
    "faithful": ("QMPI_MODE", "faithful"),
    "complex64": ("QMPI_DTYPE", "complex64"),
    "plain": ("QMPI_ISA", "plain"),
    "1-per-node": ("QMPI_RANKS_PER_NODE", "1"),
    "2-per-node": ("QMPI_RANKS_PER_NODE", "2"),
}


@dataclass(frozen=True, slots=True)
class World:
    """Where laws are tested.

    Attributes:
        kind: "threads" or "mpi".
        ranks: how many.
        words: its settings, as SETTINGS names them; the mode comes first.
    """

    kind: str
    ranks: int
    words: tuple[str, ...]

    @staticmethod
    def parse(text: str) -> World:
        """The world that `text` names: KIND:RANKS, then settings, as `threads:3`, `mpi:4:faithful` or `mpi:3:faithful:complex64`.

        Raises:
            ValueError: there is no such world; the text says what there is.
        """
        named = re.fullmatch(r"(threads|mpi):([1-9]\d*)((?::[^:]+)*)", text)
        words = named[3].split(":")[1:] if named else []
        if named is None or not set(words) <= set(SETTINGS):
            raise ValueError(
                f"{text!r} is no world: write threads:RANKS or mpi:RANKS, then any of {', '.join(SETTINGS)}, as mpi:3:faithful"
            )
        mode = "faithful" if "faithful" in words else "fast"
        return World(named[1], int(named[2]), (mode, *(word for word in words if word not in ("fast", "faithful"))))

    @property
    def mode(self) -> str:
        return self.words[0]

    def environment(self) -> dict[str, str]:
        return dict(SETTINGS[word] for word in self.words)

    def __str__(self) -> str:
        return ":".join([self.kind, str(self.ranks), *self.words])


def worlds(*texts: str) -> list[World]:
    return [World.parse(text) for text in texts]


# Every law in each world, on 1 to 4 ranks, in both modes.
EVERY_LAW_ONCE = worlds("threads:1:faithful", "threads:2:faithful", "threads:4:fast", "mpi:2:fast", "mpi:3:faithful")

# With --thorough in these, too. Neither precision nor instruction set is a matter of the world.
THOROUGH = worlds(
    *("threads:1:fast", "threads:2:fast", "threads:3:fast", "threads:3:faithful", "threads:4:faithful", "threads:3:fast:plain"),
    *("mpi:1:fast", "mpi:1:faithful", "mpi:2:faithful", "mpi:3:fast", "mpi:4:fast", "mpi:4:faithful", "mpi:3:faithful:complex64"),
)
