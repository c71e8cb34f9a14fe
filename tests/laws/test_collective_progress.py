"""A rank that has posted its part of a collective need not come back to it for the others to finish: whoever completes a step goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import cx, h, ry, testing

WAKES = 7  # tag
Posts = Callable[[qmpi.Comm, qmpi.Register, qmpi.Register], Any]


def rotation(strategy: str) -> tuple[Posts, Posts]:
    return (
        lambda comm, q, out: comm.ipauli_rotation(0.7, "Y", q, strategy),
        lambda comm, q, out: comm.ipauli_rotation(-0.7, "Y", q, strategy),
    )


FORMS: dict[str, tuple[Posts, Posts | None]] = {
    # of q, which holds this rank's data, and out, a qubit in |0> for each rank; the call and its inverse
    "ibcast, tree": (
        lambda comm, q, out: comm.ibcast(out[0] if comm.rank else q, 0, "tree"),
        lambda comm, q, out: comm.iunbcast(out[0] if comm.rank else q),
    ),
    "ibcast, cat": (
        lambda comm, q, out: comm.ibcast(out[0] if comm.rank else q, 0, "cat"),
        lambda comm, q, out: comm.iunbcast(out[0] if comm.rank else q),
    ),
    "ireduce": (
        lambda comm, q, out: comm.ireduce(q, out[0] if comm.rank == 0 else None),
        lambda comm, q, out: comm.iunreduce(q, out[0] if comm.rank == 0 else None),
    ),
    "ireduce, MAX": (
        lambda comm, q, out: comm.ireduce(q, out[0] if comm.rank == 0 else None, qmpi.MAX),
        lambda comm, q, out: comm.iunreduce(q, out[0] if comm.rank == 0 else None),
    ),
    "ireduce, star": (
        lambda comm, q, out: comm.ireduce(q, out[0] if comm.rank == 0 else None, algorithm="star"),
        lambda comm, q, out: comm.iunreduce(q, out[0] if comm.rank == 0 else None),
    ),
    "iallreduce": (lambda comm, q, out: comm.iallreduce(q, out[0], qmpi.SUM), lambda comm, q, out: comm.iunallreduce(q, out[0])),
    "iscan": (lambda comm, q, out: comm.iscan(q, out[0]), lambda comm, q, out: comm.iunscan(q, out[0])),
    "iexscan": (lambda comm, q, out: comm.iexscan(q, out[0]), lambda comm, q, out: comm.iunexscan(q, out[0])),
    "icat": (lambda comm, q, out: comm.icat(out[0]), lambda comm, q, out: comm.iuncat(out[0])),
    "igather": (lambda comm, q, out: comm.igather(q, out), lambda comm, q, out: comm.iungather(q, out)),
    "iallgather": (lambda comm, q, out: comm.iallgather(q, out), lambda comm, q, out: comm.iunallgather(q, out)),
    "ipauli_rotation, in-place": rotation("in-place"),
    "ipauli_rotation, out-of-place": rotation("out-of-place"),
    "ipauli_rotation, constant-depth": rotation("constant-depth"),
    "ibarrier": (lambda comm, q, out: comm.ibarrier(), None),
}


def all_but(comm: qmpi.Comm, sleeper: int, post: Callable[[], Any]) -> None:
    """All post; one sits in a classical receive until all others have finished."""
    request = post()
    if comm.rank == sleeper:
        for rank in set(range(comm.size)) - {sleeper}:
            assert comm.mpi.recv(source=rank, tag=WAKES) == "finished"
    else:
        request.wait()
        comm.mpi.send("finished", sleeper, tag=WAKES)
    request.wait()


@pytest.mark.ranks(min_size=3)
@pytest.mark.parametrize("form", FORMS)
def test_the_others_finish_while_one_sits_in_a_classical_receive(comm: qmpi.Comm, form: str) -> None:
    forward, inverse = FORMS[form]
    q, out, spectator = comm.alloc(1), comm.alloc(comm.size), comm.alloc(1)
    ry(0.3 + comm.rank, q)
    h(spectator)
    cx(spectator, q)
    before = comm.statevector(q + spectator)
    tolerance = 2e-5 if testing.settings(comm).single_precision else 1e-12
    for sleeper in range(comm.size):
        all_but(comm, sleeper, lambda: forward(comm, q, out))
        if inverse is not None:
            all_but(comm, sleeper, lambda: inverse(comm, q, out))
        assert np.abs(comm.statevector(q + spectator) - before).max() < tolerance
        assert all(qmpi.probability(qubit) < tolerance for qubit in out)
        comm.barrier()
    qmpi.reset(q + spectator)
    comm.free(q + out + spectator)
