"""Nothing the user does in classical MPI may hang the engine: rank 0 sits in a classical call (or sleeps, or computes) while all others
apply gates to, measure, send and receive qubits that are entangled with rank 0's. Only then do they let it go."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

import qmpi
from tests.laws.lab import Lab
from tests.oracle import random_unitary

pytestmark = pytest.mark.ranks(min_size=2)


def release_by_message(lab: Lab) -> None:
    if lab.comm.rank == 1:
        lab.comm.mpi.send(None, dest=0, tag=77)


def sit_in_recv(lab: Lab) -> None:
    lab.comm.mpi.recv(source=1, tag=77)


def sit_in_probe(lab: Lab) -> None:
    lab.comm.mpi.Probe(source=1, tag=77)
    lab.comm.mpi.recv(source=1, tag=77)


def sit_in_matched_probe(lab: Lab) -> None:
    lab.comm.mpi.mprobe(source=1, tag=77).recv()


def poll_improbe(lab: Lab) -> None:
    while (message := lab.comm.mpi.improbe(source=1, tag=77)) is None:
        pass
    message.recv()


def poll_iprobe(lab: Lab) -> None:
    while not lab.comm.mpi.Iprobe(source=1, tag=77):
        pass
    lab.comm.mpi.recv(source=1, tag=77)


def sit_in_ssend(lab: Lab) -> None:
    lab.comm.mpi.ssend(None, dest=1, tag=78)


def release_ssend(lab: Lab) -> None:
    if lab.comm.rank == 1:
        lab.comm.mpi.recv(source=0, tag=78)


def barrier(lab: Lab) -> None:
    lab.comm.mpi.Barrier()


def bcast(lab: Lab) -> None:
    lab.comm.mpi.Bcast(np.zeros(1), root=1)


def ibcast(lab: Lab) -> None:
    lab.comm.mpi.Ibcast(np.zeros(1), root=1).Wait()


def allgatherv(lab: Lab) -> None:
    gathered = np.zeros(lab.comm.size)
    lab.comm.mpi.Allgatherv(np.full(1, lab.comm.rank, "d"), [gathered, [1] * lab.comm.size])
    assert gathered.tolist() == list(range(lab.comm.size))


def allreduce(lab: Lab) -> None:
    assert lab.comm.mpi.allreduce(1) == lab.comm.size


def sleep(lab: Lab) -> None:
    time.sleep(0.3)


def nothing(lab: Lab) -> None:
    pass


SITUATIONS: dict[str, tuple[Callable[[Lab], None], Callable[[Lab], None]]] = {
    "recv": (sit_in_recv, release_by_message),
    "Probe": (sit_in_probe, release_by_message),
    "mprobe": (sit_in_matched_probe, release_by_message),
    "improbe": (poll_improbe, release_by_message),
    "Iprobe": (poll_iprobe, release_by_message),
    "ssend": (sit_in_ssend, release_ssend),
    "Barrier": (barrier, barrier),
    "Bcast": (bcast, bcast),
    "Ibcast": (ibcast, ibcast),
    "Allgatherv": (allgatherv, allgatherv),
    "allreduce": (allreduce, allreduce),
    "sleep": (sleep, nothing),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_others_go_on_while_rank_0_sits(lab: Lab, situation: str) -> None:
    comm, size, here = lab.comm, lab.comm.size, lab.comm.rank
    sit, release = SITUATIONS[situation]
    others = range(1, size)
    names = [f"a{rank}" for rank in others]
    lab.payload(0, ["sent", *names], 0)  # spectators at home; the qubits below travel
    for rank in others:  # every other rank holds a qubit entangled with rank 0's
        register = None
        if here == 0:
            comm.send_move(lab.handle[f"a{rank}"], rank)
        if here == rank:
            register = comm.recv_move(source=0)
        lab.oracle.teleport(f"a{rank}", f"b{rank}", 0, 0)
        lab.bring(rank, [f"b{rank}"], register)
        lab.forget(f"a{rank}")
        lab.alloc(rank, f"local{rank}")
    matrices = {rank: random_unitary(lab.rng, 2) for rank in others}
    comm.barrier()

    bits, requests, copy, messages = {}, [], None, {}
    if here == 0:
        for rank in others:
            requests.append(comm.irecv(None, rank, tag=5))
        requests.append(comm.isend(lab.handle["sent"], size - 1, tag=6))
        sit(lab)
    else:
        qmpi.unitary(matrices[here], lab.register(f"b{here}", f"local{here}"))
        bits[here] = qmpi.measure(lab.handle[f"local{here}"])
        comm.send(lab.handle[f"b{here}"], 0, tag=5)
        neighbour = here % (size - 1) + 1  # among the others
        comm.send(lab.handle[f"b{here}"], neighbour, tag=7)
        messages[here] = comm.recv(None, tag=7)
        if here == size - 1:
            copy = comm.recv(None, 0, tag=6)
        group = sorted(others)
        for other in group:  # all others have finished before anybody lets rank 0 go
            if here == 1 and other != 1:
                comm.mpi.recv(source=other, tag=79)
            elif here == other and here != 1:
                comm.mpi.send(None, dest=1, tag=79)
        release(lab)
    received = [request.wait() for request in requests]

    bits = {rank: bit for part in comm.mpi.allgather(bits) for rank, bit in part.items()}
    for rank in others:
        lab.oracle.apply(matrices[rank], [f"b{rank}", f"local{rank}"])
        lab.oracle.measure(f"local{rank}", bits[rank])
        lab.oracle.fan_out(f"b{rank}", f"c{rank}", 0)
        lab.bring(0, [f"c{rank}"], received[rank - 1] if here == 0 else None)
    for rank in others:
        neighbour = rank % (size - 1) + 1
        lab.oracle.fan_out(f"b{rank}", f"d{rank}", 0)
        lab.bring(neighbour, [f"d{rank}"], messages.get(here))
    lab.oracle.fan_out("sent", "arrived", 0)
    lab.bring(size - 1, ["arrived"], copy)
    lab.check()
    lab.give_up()
