"""Abort ends all ranks, wherever they are, in either world."""

from __future__ import annotations

import pytest

import qmpi
from tests.worlds.launch import launch

CODE = 7

PROGRAM = f"""
import qmpi

comm = qmpi.COMM_WORLD
if comm.Get_rank() == 1:
    comm.barrier()
    comm.Abort({CODE})
comm.barrier()
comm.recv(source=1) if comm.rank == 0 else comm.mpi.recv(source=1)
"""


def test_abort_ends_ranks_that_are_processes() -> None:
    run = launch(3, ["-c", PROGRAM], timeout_s=60)
    assert run.code == CODE, run.tail()


@pytest.mark.parametrize("founded", [False, True])
def test_abort_ends_ranks_that_are_threads(founded: bool) -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD
        if founded:
            comm.barrier()
        if comm.Get_rank() == 1:
            comm.Abort(CODE)
        comm.recv(source=1) if comm.rank == 0 else comm.mpi.recv(source=1)

    with pytest.raises(SystemExit) as info:
        qmpi.run(program, 3, timeout_s=30)
    assert info.value.code == CODE


def test_abort_works_on_a_communicator_that_has_been_closed() -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD.dup()
        comm.close()
        if comm.rank == 1:
            comm.Abort(CODE)
        qmpi.COMM_WORLD.recv(source=1)

    with pytest.raises(SystemExit) as info:
        qmpi.run(program, 3, timeout_s=30)
    assert info.value.code == CODE
