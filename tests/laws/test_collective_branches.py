"""Every measurement branch of every collective protocol: the outcomes of all ranks are prescribed, and the state is the same in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import testing
from tests.oracle import random_unitary

pytestmark = pytest.mark.modes("faithful")  # where nothing is charged by constant: the ledger knows how often each rank draws

Call = Callable[[qmpi.Comm, qmpi.Register, qmpi.Register], Any]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A call and its inverse, of q, which holds data, and out, which is in |0⟩; how often all ranks draw, given their number."""

    forward: Call
    inverse: Call
    draws: Callable[[int], int]
    inverse_draws: Callable[[int], int]
    keeps: bool = False


def edges(ranks: int) -> int:
    return ranks - 1


def at_root(comm: qmpi.Comm, out: qmpi.Register, root: int = 0) -> qmpi.Register | None:
    return out if comm.rank == root else None


def bcast(algorithm: str, root: int) -> Protocol:
    def held(comm: qmpi.Comm, q: qmpi.Register, out: qmpi.Register) -> qmpi.Register:
        return q if comm.rank == root % comm.size else out

    return Protocol(
        lambda comm, q, out: comm.bcast(held(comm, q, out), root % comm.size, algorithm),
        lambda comm, q, out: comm.unbcast(held(comm, q, out)),
        edges,
        edges,
    )


def fold(call: str, op: qmpi.Op) -> Protocol:
    return Protocol(
        lambda comm, q, out: getattr(comm, call)(q, out, op),
        lambda comm, q, out: getattr(comm, "un" + call)(q, out, op),
        edges,
        edges,
        keeps=True,
    )


PROTOCOLS = {
    "bcast, tree": bcast("tree", 0),
    "bcast, tree, from the last": bcast("tree", -1),
    "bcast, cat": bcast("cat", 0),
    "bcast, cat, from the last": bcast("cat", -1),
    "cat": Protocol(lambda comm, q, out: comm.cat(out), lambda comm, q, out: comm.uncat(out), lambda ranks: max(ranks - 2, 0), edges),
    "reduce, PARITY": Protocol(
        lambda comm, q, out: comm.reduce(q, at_root(comm, out, comm.size // 2), root=comm.size // 2),
        lambda comm, q, out: comm.unreduce(q, at_root(comm, out, comm.size // 2)),
        edges,
        edges,
        keeps=True,
    ),
    "reduce, BOR": Protocol(
        lambda comm, q, out: comm.reduce(q, at_root(comm, out), qmpi.BOR),
        lambda comm, q, out: comm.unreduce(q, at_root(comm, out)),
        edges,
        edges,
        keeps=True,
    ),
    "reduce, star": Protocol(
        lambda comm, q, out: comm.reduce(q, at_root(comm, out), algorithm="star"),
        lambda comm, q, out: comm.unreduce(q, at_root(comm, out)),
        lambda ranks: 2 * (ranks - 1),
        lambda ranks: 1,
    ),
    "scan": fold("scan", qmpi.PARITY),
    "scan, BAND": fold("scan", qmpi.BAND),
    "exscan": fold("exscan", qmpi.PARITY),
}


class Forced:
    """Prescribes outcomes: bits of a number, the lowest ones rank 0's. One more than there should be tells how many were drawn."""

    def __init__(self, comm: qmpi.Comm, draws: list[int]) -> None:
        self.comm = comm
        self.draws = draws[comm.rank]
        self.first = sum(draws[: comm.rank])
        self.probe = comm.alloc(1)

    def __call__(self, number: int, call: Callable[[], Any]) -> None:
        qmpi.h(self.probe)
        mine = [number >> self.first + k & 1 for k in range(self.draws)]
        last = 1 - mine[0] if mine else 1
        testing.force_outcomes(self.comm, [*mine, last])
        self.comm.barrier()
        call()
        self.comm.barrier()
        assert qmpi.measure(self.probe[0]) == last
        qmpi.reset(self.probe)


def drawn(comm: qmpi.Comm, call: Callable[[], Any]) -> list[int]:
    """How many measurements each rank makes."""
    comm.barrier()
    before = comm.ledger.measurements
    call()
    comm.barrier()
    return list(comm.mpi.allgather(comm.ledger.measurements - before))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_branch_leaves_the_same_state_and_every_branch_of_the_inverse_restores_it(comm: qmpi.Comm, name: str) -> None:
    protocol, n, rng = PROTOCOLS[name], comm.size, np.random.default_rng(2105)
    q, out = comm.alloc(1), comm.alloc(1)
    spectator = comm.alloc(1) if comm.rank == n - 1 else qmpi.Register()  # entangled with rank 0's
    matrices = [random_unitary(rng, 1) for _ in range(n)] + [random_unitary(rng, 2)]
    if comm.rank == n - 1:
        courier = comm.alloc(1)
        qmpi.unitary(matrices[-1], courier + spectator)
        comm.send_move(courier, 0)
    if comm.rank == 0:
        comm.recv_move(q, source=n - 1)
    if comm.rank == n - 1:
        comm.free(courier)
    qmpi.unitary(matrices[comm.rank], q)
    tolerance = 2e-5 if testing.settings(comm).single_precision else 1e-12
    before = comm.statevector(q + spectator)

    def forward() -> None:
        protocol.forward(comm, q, out)

    def inverse() -> None:
        protocol.inverse(comm, q, out)

    def state() -> np.ndarray:
        """All of it, or what is left of the results, the first data and the spectator when what is kept is traced out."""
        if not protocol.keeps:
            return comm.statevector(q + out + spectator)
        return comm.density_matrix((q if comm.rank == 0 else qmpi.Register()) + out + spectator)

    draws = drawn(comm, forward)
    expected = state()
    inverse_draws = drawn(comm, inverse)
    assert sum(draws) == protocol.draws(n)
    assert sum(inverse_draws) == protocol.inverse_draws(n)
    there, back = Forced(comm, draws), Forced(comm, inverse_draws)
    for number in range(2 ** max(sum(draws), sum(inverse_draws))):
        there(number, forward)
        assert np.abs(state() - expected).max() < tolerance, f"branch {number:b} of {draws}"
        back(~number, inverse)
        assert np.abs(comm.statevector(q + spectator) - before).max() < tolerance, f"branch {~number:b} of {inverse_draws}"
    comm.barrier()
    qmpi.reset(q + spectator)
    comm.free(q + out + spectator + there.probe + back.probe)
