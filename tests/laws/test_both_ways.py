"""sendrecv and sendrecv_replace: shifts that no ring of ranks can lock up, with borders, and their inverses."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

import qmpi
from qmpi import ANY_TAG, PROC_NULL, Status, errors, testing
from tests.laws.lab import Lab

IMMEDIATE = pytest.mark.parametrize("immediate", [False, True], ids=["blocking", "immediate"])
TABLE = {"sendrecv": ((1, 1), (0, 1)), "sendrecv_replace": ((1, 2), (1, 2))}  # pairs and bits per qubit and way; the inverse's


def call(lab: Lab, name: str, immediate: bool, *arguments: Any) -> Any:
    result = getattr(lab.comm, ("i" if immediate else "") + name)(*arguments)
    return result.wait() if immediate else result


def ring(lab: Lab, qubits: int = 1) -> tuple[int, int, list[list[str]]]:
    """Neighbours, and the names of a payload on each rank, entangled with the next but one."""
    size = lab.comm.size
    names = [[f"a{rank}{k}" for k in range(qubits)] for rank in range(size)]
    for rank in range(size):
        lab.payload(rank, names[rank], (rank + 2) % size)
    return (lab.comm.rank + 1) % size, (lab.comm.rank - 1) % size, names


def totals(lab: Lab) -> tuple[int, int]:
    total = lab.comm.ledger.total()
    return total.epr_pairs, total.classical_bits


def costs(lab: Lab, name: str, inverse: bool, messages: int, before: tuple[int, int]) -> None:
    after = totals(lab)
    assert (after[0] - before[0], after[1] - before[1]) == tuple(messages * part for part in TABLE[name][inverse])


@IMMEDIATE
@pytest.mark.parametrize("allocate", [True, False], ids=["None", "target"])
def test_a_ring_of_sendrecv_copies_to_the_next_and_unsendrecv_undoes_it(lab: Lab, allocate: bool, immediate: bool) -> None:
    comm, size = lab.comm, lab.comm.size
    after, before, names = ring(lab)
    original, spent, held = lab.oracle.copy(), totals(lab), testing.qubits_held(comm)
    q, status = lab.register(*names[comm.rank]), Status()
    target = None if allocate else comm.alloc(1)
    got = call(lab, "sendrecv", immediate, q, after, 10 + comm.rank, target, before, 10 + before, status)
    assert status == Status(before, 10 + before, 1) and (allocate or got == target)
    for rank in range(size):
        lab.oracle.fan_out(names[rank][0], f"b{(rank + 1) % size}", 0)
        lab.bring((rank + 1) % size, [f"b{(rank + 1) % size}"], got)
    lab.check()
    costs(lab, "sendrecv", False, size, spent)
    spent = totals(lab)
    call(lab, "unsendrecv", immediate, q, after, 10 + comm.rank, got, before, 10 + before)
    comm.mpi.Barrier()
    costs(lab, "sendrecv", True, size, spent)
    lab.back_to(original, *(f"b{rank}" for rank in range(size)))
    assert testing.qubits_held(comm) == held
    lab.give_up()


@IMMEDIATE
@pytest.mark.parametrize("qubits", [1, 2])
def test_a_ring_of_sendrecv_replace_moves_all_states_on_and_back(lab: Lab, qubits: int, immediate: bool) -> None:
    comm, size = lab.comm, lab.comm.size
    if size * qubits > 6:  # twelve qubits and their spectators are enough
        qubits = 1
    after, before, names = ring(lab, qubits)
    original, spent, held = lab.oracle.copy(), totals(lab), testing.qubits_held(comm)
    q, status = lab.register(*names[comm.rank]), Status()
    got = call(lab, "sendrecv_replace", immediate, q, after, 5, before, ANY_TAG, status)
    assert got == q and status == Status(before, 5, qubits)
    for rank in range(size):
        for k in range(qubits):
            lab.oracle.rename(names[rank][k], ("moving", rank, k))
    for rank in range(size):
        for k in range(qubits):
            lab.oracle.rename(("moving", rank, k), names[(rank + 1) % size][k])
    lab.check()
    costs(lab, "sendrecv_replace", False, size * qubits, spent)
    spent = totals(lab)
    call(lab, "unsendrecv_replace", immediate, q, after, 5, before, 5)
    comm.mpi.Barrier()
    costs(lab, "sendrecv_replace", True, size * qubits, spent)
    lab.back_to(original)
    assert testing.qubits_held(comm) == held
    lab.give_up()


@pytest.mark.parametrize("name", TABLE)
def test_the_end_of_the_block_undoes_both_ways_and_frees_what_was_allocated(lab: Lab, name: str) -> None:
    comm = lab.comm
    after, before, names = ring(lab)
    original, held = lab.oracle.copy(), testing.qubits_held(comm)
    q = lab.register(*names[comm.rank])
    if name == "sendrecv":
        with comm.sendrecv(q, after, 0, None, before) as copy:
            assert testing.qubits_held(comm) == held + 1
            qmpi.gates.rz(0.3, copy[0])
            qmpi.gates.rz(-0.3, copy[0])
    else:
        with comm.sendrecv_replace(q, after, 0, before) as moved:
            assert moved == q
            qmpi.gates.h(moved)
            qmpi.gates.h(moved)
    assert testing.qubits_held(comm) == held and not testing.outstanding(comm)
    lab.back_to(original)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("name", TABLE)
def test_what_is_done_in_a_block_of_moved_states_comes_back_with_them(lab: Lab, name: str) -> None:
    """A phase on the copy is one on the original; a gate on the moved state is one on the state that comes back."""
    comm, size = lab.comm, lab.comm.size
    after, before, names = ring(lab)
    q = lab.register(*names[comm.rank])
    gate, angle = ("rz", 0.4) if name == "sendrecv" else ("ry", 0.9)
    arguments = (q, after, 0, None, before) if name == "sendrecv" else (q, after, 0, before)
    with getattr(comm, name)(*arguments) as here:
        getattr(qmpi.gates, gate)(angle * (1 + before), here)
    for rank in range(size):
        lab.oracle.gate(gate, names[rank][0], angles=(angle * (1 + rank),))
    lab.check()
    lab.give_up()


# --- borders --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["call", "block"])
def test_a_shift_of_copies_between_borders_needs_no_special_case(lab: Lab, how: str) -> None:
    comm, size = lab.comm, lab.comm.size
    names = ring(lab)[2]
    original = lab.oracle.copy()
    right = comm.rank + 1 if comm.rank + 1 < size else PROC_NULL
    left = comm.rank - 1 if comm.rank else PROC_NULL
    q, status = lab.register(*names[comm.rank]), Status()
    got = comm.sendrecv(q, right, 0, None, left, 0, status)
    assert len(got) == (comm.rank > 0) == status.count and status.source == left
    for rank in range(1, size):
        lab.oracle.fan_out(names[rank - 1][0], f"b{rank}", 0)
        lab.bring(rank, [f"b{rank}"], got)
    lab.check()
    if how == "call":
        comm.unsendrecv(q, right, None, None, left)
        lab.back_to(original, *(f"b{rank}" for rank in range(1, size)))
    else:
        with got:
            pass
        for rank in range(1, size):
            lab.owner.pop(f"b{rank}")
            lab.handle.pop(f"b{rank}", None)
        lab.back_to(original)
    lab.give_up()


@pytest.mark.parametrize("how", ["call", "block"])
def test_a_shift_of_states_between_borders_fills_with_zero_and_drops_what_is_in_zero(lab: Lab, how: str) -> None:
    """The last rank's qubits are in |0⟩; the first rank's are afterwards."""
    comm, size = lab.comm, lab.comm.size
    names = [f"a{rank}" for rank in range(size)]
    for rank in range(size - 1):
        lab.payload(rank, [names[rank]], (rank + 2) % size)
    lab.alloc(size - 1, names[-1])
    original, held = lab.oracle.copy(), testing.qubits_held(comm)
    right = comm.rank + 1 if comm.rank + 1 < size else PROC_NULL
    left = comm.rank - 1 if comm.rank else PROC_NULL
    q = lab.register(names[comm.rank])
    got = comm.sendrecv_replace(q, right, 0, left)
    assert got == q and testing.qubits_held(comm) == held
    lab.oracle.rename(names[-1], "free")
    for rank in reversed(range(size - 1)):
        lab.oracle.rename(names[rank], names[rank + 1])
    lab.oracle.rename("free", names[0])
    lab.check()
    if how == "call":
        comm.unsendrecv_replace(q, right, 0, left)
    else:
        with got:
            pass
    lab.back_to(original)
    assert testing.qubits_held(comm) == held
    lab.give_up()


@pytest.mark.parametrize("name", TABLE)
def test_an_exchange_with_nobody_leaves_the_state_where_it_is(lab: Lab, name: str) -> None:
    comm = lab.comm
    lab.payload(0, ["a"], comm.size - 1)
    q, spare = lab.register(*lab.handle), (None,) if name == "sendrecv" else ()
    held = testing.qubits_held(comm)
    with lab.untouched():
        for _ in range(2):
            got = getattr(comm, name)(q, PROC_NULL, 0, *spare, PROC_NULL)
            assert len(got) == (0 if name == "sendrecv" else len(q))
            getattr(comm, "un" + name)(q)
    assert testing.qubits_held(comm) == held
    lab.check()
    lab.give_up()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("how", ["call", "block"])
def test_no_qubits_one_way_and_some_the_other_are_undone_together(lab: Lab, how: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    before, got = lab.oracle.copy(), None
    q = lab.register("a") if comm.rank == 0 else qmpi.Register()
    peer = {0: dest, dest: 0}.get(comm.rank, PROC_NULL)
    got = comm.sendrecv(q, peer, 0, None, peer)
    assert len(got) == (comm.rank == dest)
    lab.bring_copy(["a"], ["b"], dest, got)
    lab.check()
    if how == "call":
        comm.unsendrecv(q, peer, 0, got)
        lab.back_to(before, "b")
    else:
        with got:
            pass
        lab.owner.pop("b")
        lab.handle.pop("b", None)
        lab.back_to(before)
    lab.give_up()


def test_what_would_come_into_a_qubit_that_nothing_leaves_needs_zero(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    held = testing.qubits_held(comm)
    with lab.untouched():
        if comm.rank == 0:
            with pytest.raises(errors.NotZero):
                comm.sendrecv_replace(lab.handle["a"], PROC_NULL, 0, dest)
    assert testing.qubits_held(comm) == held
    lab.check()
    lab.give_up()


# --- with other calls ------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("name", TABLE)
def test_both_ways_pair_with_messages_of_one_way_and_so_do_their_inverses(lab: Lab, name: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    lab.payload(dest, ["b"], 0)
    original = lab.oracle.copy()
    copies = name == "sendrecv"
    here = there = None
    if comm.rank == 0:
        q = lab.handle["a"]
        here = comm.sendrecv(q, dest, 1, None, dest, 2) if copies else comm.sendrecv_replace(q, dest, 1, dest, 2)
    elif comm.rank == dest:
        (comm.send if copies else comm.send_move)(lab.handle["b"], 0, 2)
        there = (comm.recv if copies else comm.recv_move)(source=0, tag=1)
    if copies:
        lab.bring_copy(["a", "b"], ["c", "d"], dest, there + there if there is not None else None)
        lab.owner["d"] = 0
        lab.handle.pop("d", None)
        lab.bring(0, ["d"], here)
    else:
        lab.bring_moved(["a"], ["c"], dest, there)
        lab.oracle.rename("a", "zero")
        lab.oracle.rename("b", "a")
        lab.oracle.rename("zero", "b")
    lab.check()
    if comm.rank == 0:
        (comm.unsendrecv if copies else comm.unsendrecv_replace)(lab.handle["a"])
    elif comm.rank == dest and copies:
        comm.unsend(lab.handle["b"])
        comm.unrecv(there)
    elif comm.rank == dest:
        requests = [comm.iunsend_move(lab.handle["b"]), comm.iunrecv_move(there)]
        qmpi.waitall(requests)
    lab.back_to(original, *("cd" if copies else "c"))
    lab.give_up()


@IMMEDIATE
@pytest.mark.parametrize("name", TABLE)
def test_more_qubits_than_the_buffer_holds_do_not_lock_a_ring(lab: Lab, name: str, immediate: bool) -> None:
    comm, size = lab.comm, lab.comm.size
    count = testing.settings(comm).epr_buffer + 6
    assert count == 70
    q = comm.alloc(count)
    qmpi.gates.x(q[:: 2 + comm.rank])
    after, before = (comm.rank + 1) % size, (comm.rank - 1) % size
    spare = (None,) if name == "sendrecv" else ()
    got = call(lab, name, immediate, q, after, 0, *spare, before)
    bits = comm.measure(got)[comm.rank]
    assert [k for k in range(count) if bits[k]] == [k for k in range(count) if k % (2 + before) == 0]
    comm.mpi.Barrier()
    for register in (got, q) if name == "sendrecv" else (q,):
        qmpi.reset(register)
        comm.free(register)


@pytest.mark.parametrize("name", TABLE)
def test_what_is_refused_on_the_way_out_has_not_posted_the_way_in(lab: Lab, name: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    held = testing.qubits_held(comm)
    spare = (None,) if name == "sendrecv" else ()
    with lab.untouched():
        if comm.rank == 0:
            for bad, error in (((comm.size, 0, *spare, 0), errors.RankOutOfRange), ((0, -1, *spare, 0), errors.TagOutOfRange)):
                with pytest.raises(error):
                    getattr(comm, name)(lab.handle["a"], *bad)
    assert testing.qubits_held(comm) == held
    if comm.rank == dest:
        comm.send_move(comm.alloc(1), 0, 9)
    comm.mpi.Barrier()
    if comm.rank == 0:
        assert comm.iprobe(dest, 9)  # a posted receive would have got it
        comm.free(comm.recv_move())
    lab.give_up()


@pytest.mark.parametrize("name", ["unsendrecv", "unsendrecv_replace"])
def test_an_exchange_that_was_not_made_cannot_be_undone(lab: Lab, name: str) -> None:
    comm = lab.comm
    after, before, names = ring(lab)
    q = lab.register(*names[comm.rank])
    with lab.untouched(), pytest.raises(errors.UnmatchedInverse):
        getattr(comm, name)(q)
    with comm.send(q, after), comm.recv(source=before):  # two calls are not one
        with pytest.raises(errors.UnmatchedInverse):
            getattr(comm, name)(q)
        comm.mpi.Barrier()
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("name", TABLE)
def test_an_inverse_that_is_refused_one_way_is_not_begun_the_other_way(lab: Lab, name: str) -> None:
    comm = lab.comm
    right, left, names = ring(lab)
    q = lab.register(*names[comm.rank])
    original, held = lab.oracle.copy(), testing.qubits_held(comm)
    undo = getattr(comm, "un" + name)
    if name == "sendrecv":
        got = comm.sendrecv(q, right, 0, None, left)
        request = comm.isend(q, right, 1)
        with pytest.raises(errors.FrozenQubit):
            undo(q)
        with request.wait(), comm.recv(source=left, tag=1):
            pass
        undo(q)
        comm.free(got)
    else:
        comm.sendrecv_replace(q, right, 0, left)
        with comm.send(q, right), comm.recv(source=left), pytest.raises(errors.OutstandingCopies):
            undo(q)
        undo(q)
    assert testing.qubits_held(comm) == held
    lab.oracle = original
    lab.check()
    lab.give_up()


def test_a_shift_of_states_comes_back_into_zero_only(lab: Lab) -> None:
    comm = lab.comm
    right, left = (comm.rank + 1 if comm.rank + 1 < comm.size else PROC_NULL), (comm.rank - 1 if comm.rank else PROC_NULL)
    q, held = comm.alloc(1), testing.qubits_held(comm)
    qmpi.gates.x(q)
    if right is PROC_NULL:
        qmpi.gates.x(q)
    comm.sendrecv_replace(q, right, 0, left)
    if comm.rank == 0 and comm.size > 1:  # nothing came to it
        qmpi.gates.h(q)
        with pytest.raises(errors.NotZero):
            comm.unsendrecv_replace(q)
        qmpi.gates.h(q)
    comm.unsendrecv_replace(q)
    assert qmpi.measure(q[0]) == (right is not PROC_NULL) and testing.qubits_held(comm) == held
    comm.free(q)


@pytest.mark.ranks(min_size=2)
def test_qubits_of_a_shift_are_frozen_where_only_one_way_has_a_rank_too(lab: Lab) -> None:
    comm, held = lab.comm, testing.qubits_held(lab.comm)
    right, left = (comm.rank + 1 if comm.rank + 1 < comm.size else PROC_NULL), (comm.rank - 1 if comm.rank else PROC_NULL)
    q = comm.alloc(1)
    request = comm.isendrecv_replace(q, right, 0, left)
    if right is PROC_NULL:
        with pytest.raises(errors.FrozenQubit):
            qmpi.gates.h(q)
    request.wait()
    comm.mpi.Barrier()
    request = comm.iunsendrecv_replace(q)
    if left is PROC_NULL:
        with pytest.raises(errors.FrozenQubit):
            qmpi.gates.h(q)
    request.wait()
    comm.free(q)
    assert testing.qubits_held(comm) == held


@pytest.mark.parametrize("how", ["call", "block"])
@pytest.mark.parametrize("half", ["sent", "received"])
def test_the_half_of_a_sendrecv_that_was_not_measured_is_undone(lab: Lab, half: str, how: str) -> None:
    comm = lab.comm
    right, left, names = ring(lab)
    q, listed = lab.register(*names[comm.rank]), testing.postings(comm)
    comm.mpi.Barrier()
    got = comm.sendrecv(q, right, 0, None, left)
    if comm.rank == 0:
        qmpi.measure(q if half == "sent" else got)
    comm.mpi.Barrier()

    def undo() -> None:
        if how == "block":
            with got:
                pass
        elif comm.rank or half == "received":
            comm.unsendrecv(q)
        else:  # what was sent owes nothing any more
            comm.unrecv(got)

    told = half == "received" and right == 0  # that what it sent was measured
    with testing.timeout(comm, 10.0), pytest.raises(errors.PeerFailed, match="measured") if told else nullcontext():
        undo()
    comm.mpi.Barrier()
    assert not testing.outstanding(comm) and testing.postings(comm) == listed
    comm.mpi.Barrier()
    if not got[0].freed:
        qmpi.reset(got)
        comm.free(got)
    lab.give_up()
