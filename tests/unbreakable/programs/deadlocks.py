"""Knots of three ranks, one after the other: each rank reports what its call raised, then whether the communicator is as before.

`deadlocks.py [CASE…]`. A rank outside a knot never waits in qmpi: who waits for a rank in a knot belongs to it. Started by
test_deadlock.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from reports import attempt, here, meet, poll, report

import qmpi

S = 64  # unreceived qubits that wait per receiver

world = qmpi.COMM_WORLD
rank = world.rank
q = world.alloc(2)


def stuck(case: str, shown: str, call: Callable[[], Any], where: str) -> None:
    """Makes a call that must not come back. `shown`: call and arguments as the reports should have them."""
    before = spent(world)
    report(case, **attempt(call), shown=f"{shown} at {where}", unchanged=spent(world) == before)


Knot = Callable[[qmpi.Comm, str], None]
KNOTS: list[Knot] = []


def knot(function: Knot) -> Knot:
    KNOTS.append(function)
    return function


def spent(comm: qmpi.Comm) -> list[Any]:
    ledger = comm.ledger
    return [ledger.epr_halves, ledger.bits_sent, ledger.bits_received, ledger.measurements, ledger.gates]


# --- cases: what each rank does ------------------------------------------------------------------------------------------------------


@knot
def two_ranks_receive_first(comm: qmpi.Comm, case: str) -> None:
    if rank == 0:
        stuck(case, "recv(source=1, tag=7)", lambda: comm.recv(source=1, tag=7), here())
    elif rank == 1:
        stuck(case, "recv_move(source=0, tag=ANY_TAG)", lambda: comm.recv_move(source=0), here())


@knot
def two_in_a_knot_while_the_third_computes(comm: qmpi.Comm, case: str) -> None:
    if rank < 2:
        stuck(case, f"recv(source={1 - rank}, tag=ANY_TAG)", lambda: comm.recv(source=1 - rank), here())
        q = poll(comm.irecv(source=2, tag=5))
        comm.unrecv(q)
        return
    mine = comm.alloc(1)
    for _ in range(20_000):
        qmpi.rx(0.1, mine)
    for peer in (0, 1):
        comm.send(mine, peer, tag=5)
    for peer in (1, 0):
        poll(comm.iunsend(mine, peer))
    qmpi.reset(mine)


@knot
def a_cycle_of_three(comm: qmpi.Comm, case: str) -> None:
    source = (rank + 1) % 3
    stuck(case, f"recv(source={source}, tag={rank})", lambda: comm.recv(source=source, tag=rank), here())


@knot
def a_cycle_of_three_requests(comm: qmpi.Comm, case: str) -> None:
    source = (rank + 1) % 3
    request, issued = comm.irecv_move(source=source, tag=3), here()
    stuck(case, f"irecv_move(source={source}, tag=3) at {issued}, waited for", lambda: request.wait(), here())
    report(case, cancelled=request.cancel())


@knot
def nobody_satisfies_a_wildcard(comm: qmpi.Comm, case: str) -> None:
    if rank == 0:
        stuck(case, "recv(source=ANY_SOURCE, tag=ANY_TAG)", lambda: comm.recv(), here())
    else:
        stuck(case, "recv(source=0, tag=ANY_TAG)", lambda: comm.recv(source=0), here())


@knot
def a_receive_from_oneself(comm: qmpi.Comm, case: str) -> None:
    if rank == 1:
        stuck(case, "recv(source=1, tag=0)", lambda: comm.recv(source=1, tag=0), here())


@knot
def the_holder_waits_for_the_owner(comm: qmpi.Comm, case: str) -> None:
    if rank == 0:
        mine = comm.alloc(1)
        comm.send(mine, 2)
        stuck(case, "unsend(dest=2)", lambda: comm.unsend(mine), here())
        comm.unsend(mine)
    elif rank == 2:
        copy = comm.recv(source=0)
        stuck(case, "recv(source=0, tag=ANY_TAG)", lambda: comm.recv(source=0), here())
        comm.unrecv(copy)


@knot
def the_end_of_a_block_waits_too(comm: qmpi.Comm, case: str) -> None:
    mine = comm.alloc(1)
    if rank == 0:
        sent = comm.send_move(mine, 1)

        def block() -> None:
            with sent:
                pass

        stuck(case, "unsend_move(dest=1)", block, f"{__file__}:{block.__code__.co_firstlineno + 1}")
    elif rank == 1:
        moved = comm.recv_move(source=0)
        stuck(case, "prepare_epr(peer=0, tag=0)", lambda: comm.prepare_epr(mine, 0), here())
        qmpi.reset(moved)


@knot
def a_barrier_against_a_receive(comm: qmpi.Comm, case: str) -> None:
    if rank == 0:
        stuck(case, "barrier()", lambda: comm.barrier(), here())
    elif rank == 1:
        stuck(case, "recv(source=0, tag=ANY_TAG)", lambda: comm.recv(source=0), here())


@knot
def a_receive_against_a_barrier(comm: qmpi.Comm, case: str) -> None:
    """The other way round: what rank 2 has told rank 0 is taken back, or the next barrier would not be one."""
    if rank == 0:
        stuck(case, "recv(source=2, tag=ANY_TAG)", lambda: comm.recv(source=2), here())
    elif rank == 2:
        stuck(case, "barrier()", lambda: comm.barrier(), here())


@knot
def all_but_one_measure_together(comm: qmpi.Comm, case: str) -> None:
    mine = comm.alloc(1)
    if rank == 1:
        stuck(case, "recv(source=2, tag=ANY_TAG)", lambda: comm.recv(source=2), here())
    else:
        stuck(case, "measure()", lambda: comm.measure(mine), here())


@knot
def only_one_prepares_a_pair(comm: qmpi.Comm, case: str) -> None:
    mine = comm.alloc(1)
    if rank == 1:
        stuck(case, "prepare_epr(peer=2, tag=4)", lambda: comm.prepare_epr(mine, 2, tag=4), here())
        comm.free(mine)
    elif rank == 2:
        stuck(case, "recv(source=1, tag=4)", lambda: comm.recv(mine, source=1, tag=4), here())
        comm.free(mine)


@knot
def another_communicator_s_ranks(comm: qmpi.Comm, case: str) -> None:
    """Numbered from behind: rank 2 - k there."""
    part = comm.split(0, -rank)
    assert part is not None
    if part.rank == 0:
        stuck(case, "recv(source=1, tag=ANY_TAG)", lambda: part.recv(source=1), here())
    elif part.rank == 1:
        stuck(case, "recv(source=0, tag=ANY_TAG)", lambda: part.recv(source=0), here())


@knot
def who_hears_first_answers_at_once(comm: qmpi.Comm, case: str) -> None:
    """A rank that has caught the Deadlock sends what the others wait for: they get the Deadlock all the same."""
    stuck(case, f"recv(source={(rank + 1) % 3}, tag=6)", lambda: comm.recv(source=(rank + 1) % 3, tag=6), here())
    comm.send_move(comm.alloc(1), (rank + 2) % 3, tag=6)
    comm.free(poll(comm.irecv_move(source=(rank + 1) % 3, tag=6)))


@knot
def two_full_mailboxes(comm: qmpi.Comm, case: str) -> None:
    """The message that found no room is taken back, and with it nothing else."""
    if rank == 1:
        return
    peer, bits = 2 - rank, [k % 3 == 0 for k in range(S)]
    for bit in bits:
        mine = comm.alloc(1)
        if bit:
            qmpi.x(mine)
        comm.send_move(mine, peer, tag=2)
    last = comm.alloc(1)
    qmpi.x(last)
    stuck(case, f"send(dest={peer}, tag=2)", lambda: comm.send(last, peer, tag=2), here())
    qmpi.x(last)  # it is free again
    report(case, received=[qmpi.measure(poll(comm.irecv_move(source=peer, tag=2))[0]) for _ in range(S)] == bits)
    comm.free(last)


@knot
def a_full_mailbox_and_a_request(comm: qmpi.Comm, case: str) -> None:
    """The same for requests, whose message stays posted and can be cancelled."""
    if rank == 2:
        return
    peer = 1 - rank
    for _ in range(S):
        comm.send_move(comm.alloc(1), peer)
    last = comm.alloc(1)
    request, issued = comm.isend_move(last, peer, tag=1), here()
    stuck(case, f"isend_move(dest={peer}, tag=1) at {issued}, waited for", lambda: request.wait(), here())
    for _ in range(S):
        comm.free(poll(comm.irecv_move(source=peer, tag=0)))
    comm.free(poll(comm.irecv_move(source=peer, tag=1)))
    poll(request)


# --- and after each -------------------------------------------------------------------------------------------------------------------


def talk(comm: qmpi.Comm, case: str) -> None:
    """Messages pass, collectives line up, and what was shared before is still shared."""
    token = comm.alloc(1)
    if rank == 0:
        qmpi.x(token)
        comm.send_move(token, 1)
        came = comm.recv_move(source=2)
    else:
        came = comm.recv_move(source=rank - 1)
        comm.send_move(came, (rank + 1) % 3)
    bits = comm.alloc(2)
    for k in range(2):
        if rank >> k & 1:
            qmpi.x(bits[k])
    rows = [int(row) for row in comm.measure(bits)]
    passed = rank != 0 or qmpi.measure(came[0]) == 1
    report(case, passed=passed, rows=rows, same=bool(np.allclose(comm.statevector(q), shared)))
    comm.barrier()


# A state of all ranks that nothing should touch: a pair between 0 and 1 and one between 1 and 2, and a phase.
for lower in (0, 1):
    if rank in (lower, lower + 1):
        world.prepare_epr(q[rank == lower], 2 * lower + 1 - rank)
if rank == 1:
    qmpi.t(q[0])
shared = world.statevector(q)
for case in KNOTS:
    name = case.__name__
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    comm = world.dup()
    world.barrier()
    report(name, otherwise=attempt(partial(case, comm, name))["text"])
    meet(name)
    report(name, afterwards=attempt(partial(talk, comm, name))["text"])
