"""A test that is wrong on one rank while the other waits for it: the job must end. Started by test_in_both_worlds.py."""

import qmpi


def test_rank_1_is_wrong(comm: qmpi.Comm) -> None:
    if comm.rank == 1:
        raise AssertionError("rank 1 is wrong on purpose")
    comm.recv(source=1)
