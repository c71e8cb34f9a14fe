"""Every measurement branch of every protocol. Outcomes are prescribed on the rank for which a protocol draws; what comes out must be
the oracle's textbook protocol with the same outcomes. Inverses draw in both modes; the forward direction draws in faithful mode only.
"""

from __future__ import annotations

import itertools

import pytest

from qmpi import testing
from tests.laws.lab import Lab

TAMPERINGS = [
    ("x", ()),
    ("y", ()),
    ("z", ()),
    ("h", ()),
    ("rx", (0.7,)),
    ("ry", (1.1,)),
    ("rz", (0.4,)),
    ("id", ()),
]


def branches(count: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, 1), repeat=count))


def force(lab: Lab, rank: int, bits: tuple[int, ...]) -> None:
    """Prescribes the next outcomes on a rank."""
    if lab.comm.rank == rank:
        testing.force_outcomes(lab.comm, bits)


def transfer(lab: Lab, verb: str, here: list[str], there: list[str], source: int, dest: int) -> None:
    """`send` or `send_move`, received; the oracle is left to the caller."""
    comm = lab.comm
    register = None
    if comm.rank == source:
        (comm.send if verb == "copy" else comm.send_move)(lab.register(*here), dest)
    if comm.rank == dest:
        register = (comm.recv if verb == "copy" else comm.recv_move)(source=source)
    lab.bring(dest, there, register)


def undo_copy(lab: Lab, here: list[str], there: list[str]) -> None:
    if lab.comm.rank == lab.owner[there[0]]:
        lab.comm.unrecv(lab.register(*there))
    if lab.comm.rank == lab.owner[here[0]]:
        lab.comm.unsend(lab.register(*here))


def setting(lab: Lab, qubits: int, reverse: bool) -> tuple[list[str], list[str], int, int]:
    """A payload on one rank, its spectators on another, a destination on a third (as far as there are so many)."""
    size = lab.comm.size
    source, dest = (size - 1, 0) if reverse else (0, size - 1)
    here, there = [f"a{k}" for k in range(qubits)], [f"b{k}" for k in range(qubits)]
    lab.payload(source, here, 1 % size)
    return here, there, source, dest


@pytest.mark.modes("faithful")
@pytest.mark.parametrize("reverse", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("bits", [*branches(1), *branches(2)])
def test_every_branch_of_a_copy(lab: Lab, bits: tuple[int, ...], reverse: bool) -> None:
    here, there, source, dest = setting(lab, len(bits), reverse)
    force(lab, source, bits)
    transfer(lab, "copy", here, there, source, dest)
    for k, bit in enumerate(bits):
        lab.oracle.fan_out(here[k], there[k], bit)
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.parametrize("bits", [*branches(1), *branches(2), (1, 0, 1)])
def test_every_branch_of_undoing_a_copy(lab: Lab, bits: tuple[int, ...]) -> None:
    here, there, source, dest = setting(lab, len(bits), False)
    before = lab.oracle.vector(lab.order())
    transfer(lab, "copy", here, there, source, dest)
    force(lab, dest, bits)
    undo_copy(lab, here, there)
    for k, bit in enumerate(bits):
        lab.oracle.fan_out(here[k], there[k], 0)
        lab.oracle.undo_fan_out(here[k], there[k], bit)
    lab.check(global_phase=True)
    lab.forget(*there)
    assert abs(lab.oracle.vector(lab.order()) - before).max() < 1e-12
    lab.give_up()


@pytest.mark.modes("faithful")
@pytest.mark.parametrize("reverse", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("bits", [*branches(2), *branches(4)])
def test_every_branch_of_a_move(lab: Lab, bits: tuple[int, ...], reverse: bool) -> None:
    here, there, source, dest = setting(lab, len(bits) // 2, reverse)
    force(lab, source, bits)
    transfer(lab, "move", here, there, source, dest)
    for k in range(len(here)):
        lab.oracle.teleport(here[k], there[k], bits[2 * k], bits[2 * k + 1])
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.modes("faithful")
@pytest.mark.parametrize("bits", branches(4))
def test_every_branch_of_a_move_and_a_move_back(lab: Lab, bits: tuple[int, ...]) -> None:
    here, there, source, dest = setting(lab, 1, False)
    before = lab.oracle.vector(lab.order())
    force(lab, source, bits[:2])
    transfer(lab, "move", here, there, source, dest)
    request = None
    force(lab, dest, bits[2:])
    if lab.comm.rank == dest:
        request = lab.comm.iunrecv_move(lab.register(*there))
    if lab.comm.rank == source:
        lab.comm.unsend_move(lab.register(*here))
    if request is not None:
        request.wait()
    lab.oracle.teleport(here[0], there[0], bits[0], bits[1])
    lab.oracle.rename(here[0], "old")
    lab.oracle.remove("old")
    lab.oracle.teleport(there[0], here[0], bits[2], bits[3])
    lab.check(global_phase=True)
    lab.forget(*there)
    assert abs(lab.oracle.vector(lab.order()) - before).max() < 1e-12
    lab.give_up()


@pytest.mark.modes("faithful")
@pytest.mark.parametrize("bits", branches(2))
def test_every_branch_when_the_receiver_executes_the_protocol(lab: Lab, bits: tuple[int, ...]) -> None:
    """Beyond S unreceived qubits a message is packed by whoever makes room, with the draws of its sender."""
    comm, dest = lab.comm, lab.comm.size - 1
    capacity = testing.settings(comm).epr_buffer
    lab.payload(0, ["a"], dest)
    filler = comm.alloc(capacity) if comm.rank == 0 else None
    if comm.rank == 0:
        comm.send_move(filler, dest, tag=1)
    force(lab, 0, bits)
    request = comm.isend_move(lab.handle["a"], dest, tag=2) if comm.rank == 0 else None
    comm.mpi.Barrier()
    register = None
    if comm.rank == dest:
        register = comm.recv_move(source=0, tag=2)  # overtakes the filler
        comm.free(comm.recv_move(source=0, tag=1))
    if request is not None:
        request.wait()
        comm.free(filler)
    lab.oracle.teleport("a", "b", *bits)
    lab.bring(dest, ["b"], register)
    lab.check(global_phase=True)
    lab.give_up()


# --- tampering ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize(("gate", "angles"), TAMPERINGS, ids=[name for name, _ in TAMPERINGS])
def test_undoing_a_tampered_copy_is_the_physical_protocol(lab: Lab, gate: str, angles: tuple[float, ...], bit: int) -> None:
    here, there, source, dest = setting(lab, 1, False)
    transfer(lab, "copy", here, there, source, dest)
    lab.oracle.fan_out(here[0], there[0], 0)
    lab.gate(gate, there[0], angles=angles)
    lab.check(global_phase=True)
    force(lab, dest, (bit,))
    undo_copy(lab, here, there)
    lab.oracle.undo_fan_out(here[0], there[0], bit)
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.parametrize("bit", [0, 1])
def test_undoing_after_tampering_with_the_original_is_the_physical_protocol(lab: Lab, bit: int) -> None:
    here, there, source, dest = setting(lab, 1, True)
    transfer(lab, "copy", here, there, source, dest)
    lab.oracle.fan_out(here[0], there[0], 0)
    lab.scramble(here[0])
    lab.scramble(there[0])
    force(lab, dest, (bit,))
    undo_copy(lab, here, there)
    lab.oracle.undo_fan_out(here[0], there[0], bit)
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.parametrize("bits", branches(2))
def test_undoing_a_register_entangled_with_local_qubits_is_the_physical_protocol(lab: Lab, bits: tuple[int, ...]) -> None:
    here, there, source, dest = setting(lab, 2, False)
    lab.payload(dest, ["local"], source)
    transfer(lab, "copy", here, there, source, dest)
    for a, b in zip(here, there, strict=True):
        lab.oracle.fan_out(a, b, 0)
    lab.scramble(*there, "local")
    force(lab, dest, bits)
    undo_copy(lab, here, there)
    for k, bit in enumerate(bits):
        lab.oracle.undo_fan_out(here[k], there[k], bit)
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.parametrize("bits", branches(2))
def test_a_tampered_copy_of_a_copy_is_the_physical_protocol(lab: Lab, bits: tuple[int, ...]) -> None:
    size = lab.comm.size
    ranks = (0, 1 % size, 2 % size)
    lab.payload(0, ["a"], size - 1)
    transfer(lab, "copy", ["a"], ["b"], ranks[0], ranks[1])
    lab.oracle.fan_out("a", "b", 0)
    lab.scramble("b")
    transfer(lab, "copy", ["b"], ["c"], ranks[1], ranks[2])
    lab.oracle.fan_out("b", "c", 0)
    lab.scramble("c")
    force(lab, ranks[2], bits[:1])
    undo_copy(lab, ["b"], ["c"])
    lab.oracle.undo_fan_out("b", "c", bits[0])
    lab.check(global_phase=True)
    force(lab, ranks[1], bits[1:])
    undo_copy(lab, ["a"], ["b"])
    lab.oracle.undo_fan_out("a", "b", bits[1])
    lab.check(global_phase=True)
    lab.give_up()


@pytest.mark.parametrize("bit", [0, 1])
def test_measuring_a_copy_instead_of_undoing_it_collapses_both(lab: Lab, bit: int) -> None:
    here, there, source, dest = setting(lab, 1, False)
    transfer(lab, "copy", here, there, source, dest)
    lab.oracle.fan_out(here[0], there[0], 0)
    force(lab, dest, (bit,))
    assert lab.measure(there[0]) == bit
    lab.check(global_phase=True)
    assert lab.measure(here[0]) == bit
    lab.check(global_phase=True)
    lab.give_up()
