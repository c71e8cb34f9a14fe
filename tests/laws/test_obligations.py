"""What became of a copy that nobody undid: who waits for it is told, who closes is warned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import qmpi
from qmpi import errors, testing
from tests.laws.lab import Lab

HERE = Path(__file__).name


def copied(lab: Lab, qubits: int = 1) -> qmpi.Register | None:
    """A copy from rank 0 to the last rank; returns the copy there."""
    names = [f"a{k}" for k in range(qubits)]
    lab.payload(0, names, lab.comm.size - 1)
    register = None
    if lab.comm.rank == 0:
        lab.comm.send(lab.register(*names), lab.comm.size - 1)
    if lab.comm.rank == lab.comm.size - 1:
        register = lab.comm.recv(source=0)
    lab.comm.mpi.Barrier()
    return register


@pytest.mark.parametrize(
    ("how", "act"),
    [("measured", qmpi.measure), ("reset", qmpi.reset)],
    ids=["measured", "reset"],
)
def test_unsend_after_the_holder_spent_its_copy_raises_and_says_what_happened_where(
    lab: Lab, how: str, act: Callable[[qmpi.Register], object]
) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    copy = copied(lab)
    if comm.rank == dest:
        act(copy)
    comm.mpi.Barrier()
    if comm.rank == 0:
        with pytest.raises(errors.PeerFailed, match=f"rank {dest}.*{HERE}.*{how}.*{HERE}"):
            comm.unsend(lab.handle["a0"])
        qmpi.measure(lab.handle["a0"])
    lab.give_up()


def test_unsend_after_the_holder_freed_its_copy_raises(comm: qmpi.Comm) -> None:
    dest, q = comm.size - 1, comm.alloc(1)  # |0>: the copy is in a basis state and may be freed
    if comm.rank == 0:
        comm.send(q, dest)
    if comm.rank == dest:
        comm.free(comm.recv(source=0))
    comm.mpi.Barrier()
    if comm.rank == 0:
        with pytest.raises(errors.PeerFailed, match="freed"):
            comm.unsend(q)
        qmpi.reset(q)
    comm.free(q)


def test_a_waiting_unsend_is_told_when_the_copy_is_measured_later(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    copy = copied(lab)
    request = comm.iunsend(lab.handle["a0"]) if comm.rank == 0 else None
    comm.mpi.Barrier()
    if comm.rank == dest:
        qmpi.measure(copy)
    comm.mpi.Barrier()
    if request is not None:
        with pytest.raises(errors.PeerFailed, match="measured"):
            request.test()
        assert not lab.handle["a0"].frozen
        qmpi.measure(lab.handle["a0"])
    lab.give_up()


def test_an_exception_in_the_holder_s_block_reaches_the_owner_s_unsend(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest)
    if comm.rank == dest:
        with pytest.raises(ZeroDivisionError), comm.recv(source=0) as copy:
            qmpi.h(copy)
            1 / 0  # noqa: B018
        qmpi.reset(copy)
    if comm.rank == 0:
        with pytest.raises(errors.PeerFailed, match=f"rank {dest}.*{HERE}.*ZeroDivisionError"):
            comm.unsend(lab.handle["a"])
        qmpi.measure(lab.handle["a"])
    lab.give_up()


@pytest.mark.ranks(min_size=2)
def test_an_exception_in_the_holder_s_block_reaches_the_owner_s_block(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    if comm.rank == 0:
        with pytest.raises(errors.PeerFailed, match="KeyError"), comm.send(lab.handle["a"], dest):
            pass
        qmpi.measure(lab.handle["a"])
    if comm.rank == dest:
        with pytest.raises(KeyError), comm.recv(source=0):
            raise KeyError
    lab.give_up()


def test_an_exception_in_the_owner_s_block_attempts_no_inverse_and_lets_the_holder_go_on(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    if comm.rank == 0:
        with pytest.raises(KeyError), comm.send(lab.handle["a"], dest):
            raise KeyError
    if comm.rank == dest:
        with comm.recv(source=0) as copy:
            pass
        assert copy[0].freed  # what the library allocated
    lab.give_up()


def test_a_copy_measured_on_both_sides_owes_nothing(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    copy = copied(lab, 2)
    bits = [None, None]
    if comm.rank == 0:
        bits[0] = qmpi.measure(lab.register("a0", "a1"))
    comm.mpi.Barrier()
    if comm.rank == dest:
        bits[1] = qmpi.measure(copy)
    ours, theirs = comm.mpi.bcast(bits[0], root=0), comm.mpi.bcast(bits[1], root=dest)
    assert ours == theirs
    assert testing.outstanding(comm) == []
    lab.give_up()


def test_close_under_strict_lists_what_was_never_undone_with_its_lines(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    other = comm.dup()
    lab.payload(0, ["a"], dest)
    register = None
    if comm.rank == 0:
        other.send(lab.handle["a"], dest, tag=5)
    if comm.rank == dest:
        register = other.recv(source=0)
    comm.mpi.Barrier()
    sides = [word for rank, word in ((0, "copy sent"), (dest, "copy received")) if comm.rank == rank]
    if sides:
        with pytest.raises(errors.ObligationError) as info:
            other.close()
        text = str(info.value)
        assert f"{len(sides)} operation" in text and "tag 5" in text and HERE in text
        assert all(side in text for side in sides)
    else:
        other.close()
    if register is not None:
        qmpi.reset(register)
    if comm.rank == 0:
        qmpi.reset(lab.handle["a"])
    lab.give_up()


def test_close_of_a_communicator_asks_for_its_own_copies_only(lab: Lab) -> None:
    comm = lab.comm
    copy = copied(lab)
    with comm.dup() as other:
        other.barrier()
    if comm.rank == comm.size - 1:
        comm.unrecv(copy)
    if comm.rank == 0:
        comm.unsend(lab.handle["a0"])
    lab.give_up()


def test_moves_oblige_to_nothing(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    with comm.dup() as other:
        if comm.rank == 0:
            other.send_move(lab.handle["a"], dest)
        if comm.rank == dest:
            q = other.recv_move(source=0)
            qmpi.reset(q)
            other.free(q)
    lab.give_up()


def test_a_closed_communicator_refuses_everything(comm: qmpi.Comm) -> None:
    other, q = comm.dup(), comm.alloc(1)
    other.close()
    other.close()  # a second time does nothing
    with testing.timeout(comm, 5.0):
        for call in (
            lambda: other.alloc(1),
            lambda: other.free(q),
            lambda: other.send(q, 0),
            lambda: other.isend_move(q, 0),
            lambda: other.recv(),
            lambda: other.irecv_move(q, 0),
            lambda: other.prepare_epr(q, 0),
            lambda: other.unsend(q),
            lambda: other.measure(q),
            lambda: other.barrier(),
            lambda: other.statevector(q),
            lambda: other.density_matrix(q),
            lambda: other.store_report(),
            lambda: other.dup(),
            lambda: other.split(0),
        ):
            with pytest.raises(errors.Closed):
                call()
    comm.free(q)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("raises", ["holder", "owner"])
def test_an_exception_in_a_block_of_a_move_reaches_the_peer_s_block(lab: Lab, raises: str) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["a"], dest)
    with testing.timeout(comm, 10.0):
        if raises == "holder":
            if comm.rank == 0:
                with pytest.raises(errors.PeerFailed, match="KeyError"), comm.send_move(lab.handle["a"], dest):
                    pass
            if comm.rank == dest:
                with pytest.raises(KeyError), comm.recv_move(source=0) as moved:
                    raise KeyError
                qmpi.reset(moved)
                comm.free(moved)
        else:  # the holder never waits: its state goes back, or it keeps it
            if comm.rank == 0:
                with pytest.raises(KeyError), comm.send_move(lab.handle["a"], dest):
                    raise KeyError
            if comm.rank == dest:
                moved = comm.recv_move(source=0)
                qmpi.reset(moved)
                comm.free(moved)
    lab.give_up()


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("frees", ["holder", "owner"])
def test_the_end_of_a_block_names_the_move_that_it_cannot_undo_as_its_qubit_was_freed(comm: qmpi.Comm, frees: str) -> None:
    dest = comm.size - 1
    if comm.rank == 0:
        q = comm.alloc(1)
        error, text = (errors.FreedQubit, f"move sent.*{HERE}") if frees == "owner" else (errors.PeerFailed, f"rank {dest}.*{HERE}.*freed")
        with pytest.raises(error, match=text), comm.send_move(q, dest):
            if frees == "owner":
                comm.free(q)
        if frees == "holder":
            comm.free(q)
    if comm.rank == dest:
        moved = comm.recv_move(source=0)
        if frees == "holder":
            with pytest.raises(errors.FreedQubit, match=f"move received.*{HERE}"), moved:
                comm.free(moved)
        else:  # nobody would take the state back
            comm.free(moved)


def test_the_end_of_a_block_cannot_undo_a_copy_that_was_freed_in_part(comm: qmpi.Comm) -> None:
    dest, q = comm.size - 1, comm.alloc(2)
    sent = comm.send(q, dest) if comm.rank == 0 else None
    if comm.rank == dest:
        with pytest.raises(errors.FreedQubit, match=f"copy received.*{HERE}"), comm.recv(source=0) as copy:
            comm.free(copy[0])
        comm.free(copy[1])
    if sent is not None:
        with pytest.raises(errors.PeerFailed, match=f"rank {dest}.*freed"), sent:
            pass
    comm.free(q)


def test_the_end_of_a_block_undoes_both_halves_of_a_sendrecv_or_none(comm: qmpi.Comm) -> None:
    q = comm.alloc(2)
    got = comm.sendrecv(q, (comm.rank + 1) % comm.size, 0, None, (comm.rank - 1) % comm.size, 0)
    with pytest.raises(errors.FreedQubit, match=f"copy received.*{HERE}"), got:
        comm.free(got[0])
    comm.free(q + got[1:])


@pytest.mark.ranks(min_size=2)
def test_the_end_of_a_block_moves_back_what_its_place_holds(comm: qmpi.Comm) -> None:
    dest, q, kept = comm.size - 1, comm.alloc(1), comm.alloc(1)
    if comm.rank == 0:
        qmpi.gates.x(q)
        with comm.send_move(q, dest):
            pass
    if comm.rank == dest:
        with comm.recv_move(source=0) as moved:
            comm.send_move(moved, dest)  # on to another place: this one is in |0⟩
            comm.recv_move(kept, dest)
    assert qmpi.measure(q[0]) == 0
    assert qmpi.measure(kept[0]) == (comm.rank == dest)
    comm.free(q + kept)


@pytest.mark.parametrize("joint", [False, True], ids=["message", "collective"])
def test_a_copy_in_part_measured_is_not_undone_while_its_place_holds_another_copy(lab: Lab, joint: bool) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    q = comm.alloc(2)
    if joint:
        held = comm.bcast(q if comm.rank == 0 else None)
    elif comm.rank == 0:
        comm.send(q, dest)
    if comm.rank == dest and not joint:
        held = comm.recv(source=0)
    if comm.rank == 0:
        comm.send(q[0], dest, tag=1)
    if comm.rank == dest and (dest or not joint):  # the root of a broadcast holds no copy
        qmpi.reset(held[0])
        comm.recv(held[0], source=0, tag=1)
        with pytest.raises(errors.OutstandingCopies, match=f"copy received.*tag 1.*{HERE}"):
            comm.unbcast(held) if joint else comm.unrecv(held)
        comm.unrecv(held[0])
    elif comm.rank == dest:
        comm.unrecv(comm.recv(source=0, tag=1))
    comm.mpi.Barrier()
    if comm.rank == dest and not joint:
        comm.unrecv(held)
    if comm.rank == 0:
        comm.unsend(q[0])
        if not joint:
            comm.unsend(q)
    if joint:
        comm.unbcast(held)
    lab.give_up()


@pytest.mark.parametrize("bits", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("measured", [0, 1])
def test_a_partly_measured_copy_can_still_be_undone(lab: Lab, measured: int, bits: tuple[int, int]) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    copy = copied(lab, 2)
    for k in range(2):
        lab.oracle.fan_out(f"a{k}", f"b{k}", 0)
    lab.bring(dest, ["b0", "b1"], copy)
    lab.measure(f"b{measured}")
    if comm.rank == dest:
        testing.force_outcomes(comm, bits)
        comm.unrecv(copy)
    if comm.rank == 0:
        comm.unsend(lab.register("a0", "a1"))
    for k in range(2):
        lab.oracle.undo_fan_out(f"a{k}", f"b{k}", bits[k])
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("measured", [0, 1])
def test_a_partly_measured_original_can_still_be_restored(lab: Lab, measured: int) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    copy = copied(lab, 2)
    for k in range(2):
        lab.oracle.fan_out(f"a{k}", f"b{k}", 0)
    lab.bring(dest, ["b0", "b1"], copy)
    lab.measure(f"a{measured}")
    if comm.rank == dest:
        testing.force_outcomes(comm, [1, 1])
        comm.unrecv(copy)
    if comm.rank == 0:
        comm.unsend(lab.register("a0", "a1"))
    for k in range(2):
        lab.oracle.undo_fan_out(f"a{k}", f"b{k}", 1)
    lab.check()
    lab.give_up()
