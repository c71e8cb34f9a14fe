"""Makes this process a rank without any launcher and runs a program in it: `PLACE="RANK RANKS DESCRIPTOR" python -m … PROGRAM …`.

The arena is the one behind the descriptor that the test has handed over. There is no MPI, hence no classical messages, and no launcher
that would end other ranks when one dies.
"""

from __future__ import annotations

import os
import runpy
import sys
from itertools import count
from pathlib import Path

from qmpi._core import Arena
from qmpi.world import door
from qmpi.world.base import Membership, Universe, at_leave
from qmpi.world.settings import Settings

contexts = count(1)


class Classical:
    """Stands where `comm.mpi` is: the ranks' numbers, and communicators of all of them."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size

    def Dup(self) -> Classical:
        return self


def join(world: Classical) -> tuple[Universe, Membership]:
    """Communicators are made in the same order everywhere, so every rank numbers them alike."""
    return universe, Membership(world, world.rank, tuple(range(world.size)), next(contexts))


rank, ranks, descriptor = map(int, os.environ["PLACE"].split())
world = Classical(rank, ranks)
universe = Universe(Arena.attach(descriptor), rank, ranks, Settings.from_environment(), at_leave)
door.comm_world = lambda: world
door.join = join
door.dup = Classical.Dup
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
