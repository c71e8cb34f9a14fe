"""Ranks that name different numbers of qubits for one message of a v or w form: both are told, and the qubits are as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import IN_PLACE, Register, errors, testing

Counts = list[int]

ENDS: dict[str, Callable[[qmpi.Comm, str, tuple[Any, ...]], Any]] = {
    "blocking": lambda comm, name, arguments: getattr(comm, name)(*arguments),
    "not waiting": lambda comm, name, arguments: getattr(comm, "i" + name)(*arguments).wait(),
    "persistent": lambda comm, name, arguments: getattr(comm, name + "_init")(*arguments).start().wait(),
}


def parts(q: Register, counts: Counts) -> list[Register]:
    return [q[sum(counts[:rank]) : sum(counts[: rank + 1])] for rank in range(len(counts))]


# What a rank is given that sends so many of its qubits to each rank and expects so many from each.
ARGUMENTS: dict[str, Callable[[qmpi.Comm, Register, Counts, Register, Counts], tuple[Any, ...]]] = {
    "alltoallv": lambda comm, q, sent, out, came: (q[: sum(sent)], sent, None, out[: sum(came)], came),
    "alltoallw": lambda comm, q, sent, out, came: (parts(q, sent), parts(out, came)),
    "gatherv": lambda comm, q, sent, out, came: (q[: sent[-1]], out[: sum(came)], came, None, comm.size - 1),
    "scatterv": lambda comm, q, sent, out, came: (q[: sum(sent)], sent, None, out[: came[0]], 0),
}
NAMES = [name + end for name in ARGUMENTS for end in ("", "_move")]


def expect(comm: qmpi.Comm, call: Callable[[], Any], involved: tuple[int, ...]) -> None:
    if comm.rank in involved:
        with pytest.raises(errors.MismatchedCollective, match="fitting counts"):
            call()
    else:
        call()


def amplitudes(comm: qmpi.Comm, q: Register) -> np.ndarray:
    comm.mpi.Barrier()
    return comm.statevector(q)


def usable(comm: qmpi.Comm) -> None:
    """And nothing is left in a mailbox."""
    comm.mpi.Barrier()
    q = comm.alloc(1)
    with comm.allgatherv(q, None, [1] * comm.size):
        pass
    comm.free(q)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("counts", [(2, 0), (0, 2), (2, 1), (1, 2)], ids=str)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_count_that_two_ranks_see_differently_is_refused_on_both_and_loses_nothing(
    comm: qmpi.Comm, name: str, end: str, counts: tuple[int, int]
) -> None:
    last = comm.size - 1
    q, out = comm.alloc(2), comm.alloc(2)
    qmpi.ry(0.7 + comm.rank, q[0])
    qmpi.cx(q[0], q[1])
    before = amplitudes(comm, q + out)
    sent, came = [0] * comm.size, [0] * comm.size
    if comm.rank == 0:
        sent[last] = counts[0]
    if comm.rank == last:
        came[0] = counts[1]
    arguments = ARGUMENTS[name.removesuffix("_move")](comm, q, sent, out, came)
    expect(comm, lambda: ENDS[end](comm, name, arguments), (0, last))
    assert not any(qubit.frozen for qubit in q + out)
    assert np.abs(amplitudes(comm, q + out) - before).max() < 1e-6
    assert testing.outstanding(comm) == []
    if end != "persistent":
        usable(comm)
    qmpi.reset(q)
    comm.free(q + out)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("end", ["blocking", "not waiting"])
@pytest.mark.parametrize("counts", [(2, 0), (0, 2), (2, 1)], ids=str)
def test_allgatherv_tells_the_sender_and_the_rank_that_expects_another_count(comm: qmpi.Comm, counts: tuple[int, int], end: str) -> None:
    last = comm.size - 1
    q, out = comm.alloc(2), comm.alloc(2)
    qmpi.ry(0.7, q)
    came = [counts[comm.rank == last]] + [0] * last
    mine = q[: counts[0]] if comm.rank == 0 else Register()
    if comm.rank == 0:
        came[0] = counts[0]
    expect(comm, lambda: ENDS[end](comm, "allgatherv", (mine, out[: sum(came)], came)), (0, last))
    comm.mpi.Barrier()
    assert all(abs(qmpi.probability(qubit) - np.sin(0.35) ** 2) < 1e-6 for qubit in q)
    if comm.rank == last:
        assert all(qmpi.probability(qubit) < 1e-6 for qubit in out)
    comm.mpi.Barrier()
    qmpi.reset(q + out)
    comm.mpi.Barrier()
    comm.free(q + out)
    usable(comm)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("counts", [(2, 0), (0, 2), (2, 1)], ids=str)
def test_in_place_a_count_that_two_ranks_see_differently_leaves_both_chunks_where_they_are(
    comm: qmpi.Comm, counts: tuple[int, int]
) -> None:
    last = comm.size - 1
    q = comm.alloc(2)
    qmpi.ry(0.7 + comm.rank, q)
    before = amplitudes(comm, q)
    came = [0] * comm.size
    if comm.rank in (0, last):
        came[last - comm.rank] = counts[comm.rank > 0]
    expect(comm, lambda: comm.alltoallv(IN_PLACE, recvq=q, recvcounts=came), (0, last))
    assert np.abs(amplitudes(comm, q) - before).max() < 1e-6
    usable(comm)
    qmpi.reset(q)
    comm.free(q)


@pytest.mark.ranks(min_size=3)
@pytest.mark.parametrize("name", ["alltoallv", "alltoallw", "gatherv", "scatterv"])
def test_messages_whose_counts_fit_arrive_all_the_same(comm: qmpi.Comm, name: str) -> None:
    """Rank 1 and those after it do not notice that rank 0 and the last one disagree."""
    last = comm.size - 1
    q, out = comm.alloc(2 * comm.size), comm.alloc(2 * comm.size)
    qmpi.gates.x(q)
    sent, came = [1] * comm.size, [1] * comm.size
    if comm.rank == 0:
        sent[last] = 2
    if name == "gatherv" and comm.rank != last:
        sent[last], came = sent[last], [0] * comm.size
    if name == "scatterv" and comm.rank != 0:
        sent = [0] * comm.size
    arguments = ARGUMENTS[name](comm, q, sent, out, came)
    expect(comm, lambda: ENDS["blocking"](comm, name + "_move", arguments), (0, last))
    comm.mpi.Barrier()
    found = [round(qmpi.probability(qubit)) for qubit in out]
    if name == "gatherv":
        assert found == ([0] + [1] * last if comm.rank == last else [0] * comm.size) + [0] * comm.size
    elif name == "scatterv":
        assert found[0] == (comm.rank != last)
    else:
        refused = 0 if comm.rank == last else None
        assert found[: comm.size] == [int(rank != refused) for rank in range(comm.size)]
    if comm.rank == 0:
        kept = q[last : last + 2] if name != "gatherv" else q[:2]
        assert all(qmpi.probability(qubit) > 0.5 for qubit in kept)
    qmpi.reset(q + out)
    comm.free(q + out)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("mine", [0, 1])
@pytest.mark.parametrize("name", ["gather", "allgather", "alltoall", "reduce", "scan", "allreduce", "bcast", "scatter"])
def test_no_qubits_on_one_rank_and_some_on_another_do_not_hang(comm: qmpi.Comm, name: str, mine: int) -> None:
    """In a world of its own, since messages that nobody wants stay behind."""

    def ends() -> str:
        here = qmpi.COMM_WORLD
        q = here.alloc(2 * here.size)
        wide = name in ("alltoall", "scatter")
        try:
            getattr(here, name)(q[: here.size if wide else 1] if (here.rank > 0) == mine else Register())
            return "done"
        except errors.QMPIError as error:
            return type(error).__name__

    if comm.rank == 0:
        ended = qmpi.run(ends, comm.size, strict=False)
        assert "Deadlock" not in ended and "PeerLeft" not in ended, ended
    comm.mpi.Barrier()


@pytest.mark.parametrize("name", ["alltoallv", "alltoallw", "gatherv", "scatterv"])
def test_what_is_not_sent_costs_nothing(comm: qmpi.Comm, name: str) -> None:
    q, nothing = comm.alloc(2), [0] * comm.size
    before, spent = comm.store_report().messages, comm.ledger.total()
    with ENDS["blocking"](comm, name, ARGUMENTS[name](comm, q, nothing, q, nothing)):
        assert comm.store_report().messages == before
    assert comm.ledger.total() == spent
    comm.free(q)
