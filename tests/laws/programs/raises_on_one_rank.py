"""A program that raises on one rank while the other waits for it: the job must end. Started by tests/worlds/test_worlds.py."""

import qmpi


class ForeignWorld(Exception):
    """No error of this package's."""


if qmpi.COMM_WORLD.rank == 1:
    qmpi.COMM_WORLD.barrier()
    raise ForeignWorld("rank 1 on purpose")
qmpi.COMM_WORLD.barrier()
qmpi.COMM_WORLD.recv(source=1)
