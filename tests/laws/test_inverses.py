"""Inverses undo: whatever was copied or moved, and whatever was done with it in between, the original is as it was."""

from __future__ import annotations

import itertools

import pytest

import qmpi
from tests.laws.lab import Lab


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{k}" for k in range(count)]


def copy(lab: Lab, originals: list[str], copies: list[str], source: int, dest: int, tag: int = 0) -> None:
    """A copy from rank to rank, in the oracle too (its bit does not matter: the X is applied)."""
    comm = lab.comm
    register = None
    if comm.rank == source and source != dest:
        comm.send(lab.register(*originals), dest, tag)
    elif comm.rank == source:
        comm.send(lab.register(*originals), dest, tag)
        register = comm.recv(source=source, tag=tag)
    elif comm.rank == dest:
        register = comm.recv(source=source, tag=tag)
    for original, twin in zip(originals, copies, strict=True):
        lab.oracle.fan_out(original, twin, 0)
    lab.bring(dest, copies, register)


def uncopy(lab: Lab, originals: list[str], copies: list[str]) -> None:
    """Undoes a copy that was not tampered with; frees what held it."""
    comm = lab.comm
    if comm.rank == lab.owner[copies[0]]:
        comm.unrecv(lab.register(*copies))
    if comm.rank == lab.owner[originals[0]]:
        comm.unsend(lab.register(*originals))
    for original, twin in zip(originals, copies, strict=True):
        lab.oracle.undo_fan_out(original, twin, 0)
    lab.forget(*copies)


def move(lab: Lab, sources: list[str], targets: list[str], source: int, dest: int) -> None:
    register = None
    if lab.comm.rank == source:
        lab.comm.send_move(lab.register(*sources), dest)
    if lab.comm.rank == dest:
        register = lab.comm.recv_move(source=source)
    for a, b in zip(sources, targets, strict=True):
        lab.oracle.teleport(a, b, 0, 0)
    lab.bring(dest, targets, register)


@pytest.mark.parametrize("qubits", [1, 2, 3])
def test_unsend_after_send_is_the_identity(lab: Lab, qubits: int) -> None:
    source, dest, third = 0, lab.comm.size - 1, min(1, lab.comm.size - 1)
    originals, copies = names("a", qubits), names("b", qubits)
    lab.payload(source, originals, third)
    before = lab.oracle.vector(lab.order())
    copy(lab, originals, copies, source, dest)
    lab.check()
    uncopy(lab, originals, copies)
    lab.check()
    assert abs(lab.oracle.vector(lab.order()) - before).max() < 1e-12
    lab.give_up()


@pytest.mark.parametrize("qubits", [1, 2, 3])
def test_unsend_move_after_send_move_is_the_identity(lab: Lab, qubits: int) -> None:
    source, dest, third = 0, lab.comm.size - 1, min(1, lab.comm.size - 1)
    here, there = names("a", qubits), names("b", qubits)
    lab.payload(source, here, third)
    before = lab.oracle.vector(lab.order())
    move(lab, here, there, source, dest)
    lab.check()
    if lab.comm.rank == dest:
        request = lab.comm.iunrecv_move(lab.register(*there))
    if lab.comm.rank == source:
        lab.comm.unsend_move(lab.register(*here))
    if lab.comm.rank == dest:
        request.wait()
    for a, b in zip(here, there, strict=True):  # the move back ends in the same handles
        lab.oracle.rename(a, "spare")
        lab.oracle.remove("spare")
        lab.oracle.teleport(b, a, 0, 0)
    lab.check()
    lab.forget(*there)
    assert abs(lab.oracle.vector(lab.order()) - before).max() < 1e-12
    lab.give_up()


def test_a_moved_register_is_left_in_zero_and_can_be_used_again(lab: Lab) -> None:
    dest = lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    move(lab, ["a", "b"], ["c", "d"], 0, dest)
    lab.gate("h", "a")
    lab.gate("cx", "a", "b")
    lab.scramble("c", "d")
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("gate", ["cx", "cz"])
def test_a_gate_against_a_copy_is_the_gate_against_the_original(lab: Lab, gate: str) -> None:
    dest = lab.comm.size - 1
    lab.payload(0, ["control"], dest)
    lab.payload(dest, ["target"], 0)
    expected = lab.oracle.copy()
    expected.gate(gate, "control", "target")
    copy(lab, ["control"], ["copy"], 0, dest)
    lab.gate(gate, "copy", "target")
    lab.check()
    uncopy(lab, ["control"], ["copy"])
    lab.check()
    assert abs(lab.oracle.vector(lab.order()) - expected.vector(lab.order())).max() < 1e-12
    lab.give_up()


def test_with_statements_on_both_sides_do_the_same(lab: Lab) -> None:
    comm, dest = lab.comm, lab.comm.size - 1
    lab.payload(0, ["control"], dest)
    lab.payload(dest, ["target"], 0)
    if comm.size == 1:
        with comm.send(lab.handle["control"], 0), comm.recv() as copied:
            qmpi.cx(copied, lab.handle["target"])
    elif comm.rank == 0:
        with comm.send(lab.handle["control"], dest):
            pass
    elif comm.rank == dest:
        with comm.recv(source=0) as copied:
            qmpi.cx(copied, lab.handle["target"])
    lab.oracle.gate("cx", "control", "target")
    lab.check()
    lab.give_up()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_independent_copies_may_be_undone_in_any_order(lab: Lab, order: tuple[int, ...]) -> None:
    size = lab.comm.size
    lab.payload(0, ["a"], size - 1)
    for k in range(3):  # three copies of one qubit, to whatever ranks there are
        copy(lab, ["a"], [f"copy{k}"], 0, (k + 1) % size)
    lab.check()
    for k in range(3):
        lab.alloc(lab.owner[f"copy{k}"], f"target{k}")
        lab.gate("cx", f"copy{k}", f"target{k}")
    # Each holder undoes its copies in one order, the owner in the other: pairing is by operation, not by arrival.
    for k in order:
        if lab.comm.rank == lab.owner[f"copy{k}"]:
            lab.comm.unrecv(lab.register(f"copy{k}"))
    lab.comm.mpi.Barrier()
    for k in reversed(order):
        if lab.comm.rank == 0:
            lab.comm.unsend(lab.handle["a"], dest=(k + 1) % size)
        lab.oracle.undo_fan_out("a", f"copy{k}", 0)
    lab.check()
    lab.give_up()


def test_a_copy_of_a_copy_is_a_copy_and_is_undone_backwards(lab: Lab) -> None:
    size = lab.comm.size
    first, second, third = 0, 1 % size, 2 % size
    lab.payload(first, ["a"], third)
    copy(lab, ["a"], ["b"], first, second)
    copy(lab, ["b"], ["c"], second, third)
    lab.alloc(third, "target")
    lab.gate("cx", "c", "target")
    lab.check()
    uncopy(lab, ["b"], ["c"])
    lab.check()
    uncopy(lab, ["a"], ["b"])
    lab.check()
    lab.give_up()


def test_a_received_state_may_be_moved_on_and_back(lab: Lab) -> None:
    size = lab.comm.size
    lab.payload(0, ["a"], size - 1)
    move(lab, ["a"], ["b"], 0, 1 % size)
    move(lab, ["b"], ["c"], 1 % size, 2 % size)
    lab.check()
    move(lab, ["c"], ["d"], 2 % size, 0)
    lab.check()
    lab.give_up()


def test_a_register_of_many_qubits_in_any_order_of_qubits(lab: Lab) -> None:
    dest = lab.comm.size - 1
    lab.payload(0, ["a", "b", "c"], dest)
    copy(lab, ["c", "a", "b"], ["x", "y", "z"], 0, dest)
    lab.gate("ccx", "x", "y", "z")
    lab.check()
    lab.gate("ccx", "x", "y", "z")
    uncopy(lab, ["c", "a", "b"], ["x", "y", "z"])
    lab.check()
    lab.give_up()


def test_swap_gates_between_copying_and_undoing_follow_the_handles(lab: Lab) -> None:
    dest = lab.comm.size - 1
    lab.payload(0, ["a", "b"], dest)
    copy(lab, ["a", "b"], ["x", "y"], 0, dest)
    lab.gate("swap", "x", "y")
    lab.gate("swap", "a", "b")
    lab.check()
    uncopy(lab, ["a", "b"], ["x", "y"])
    lab.check()
    lab.give_up()
