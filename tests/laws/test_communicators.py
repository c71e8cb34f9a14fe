"""Communicators: who is in one, what stays apart, and what all ranks look at together."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from mpi4py import MPI

import qmpi
from qmpi import ANY_SOURCE, ANY_TAG, errors, testing
from tests.laws.lab import Lab


def copied(comm: qmpi.Comm, lab: Lab, name: str, new: str, source: int, dest: int, tag: int = 0) -> None:
    """A copy through a communicator whose ranks are those of the lab's."""
    register = None
    if comm.rank == source:
        comm.send(lab.handle[name], dest, tag)
    if comm.rank == dest:
        register = comm.recv(source=source, tag=tag)
    lab.oracle.fan_out(name, new, 0)
    lab.bring(dest, [new], register)


def test_rank_and_size_are_those_of_the_classical_communicator(comm: qmpi.Comm) -> None:
    assert (comm.rank, comm.size) == (comm.mpi.rank, comm.mpi.size)
    assert (qmpi.COMM_WORLD.rank, qmpi.COMM_WORLD.size) == (comm.rank, comm.size)
    assert (qmpi.COMM_WORLD.mpi.rank, qmpi.COMM_WORLD.mpi.size) == (comm.rank, comm.size)
    assert repr(comm) == f"<qmpi.Comm rank {comm.rank} of {comm.size}>"


def test_contexts_are_separate(lab: Lab) -> None:
    """A wildcard receive on one communicator never takes another's message."""
    comm, dest = lab.comm, lab.comm.size - 1
    other = comm.dup()
    lab.payload(0, ["a", "b"], dest)
    registers = []
    if comm.rank == 0:
        comm.send(lab.handle["a"], dest, tag=1)
        other.send(lab.handle["b"], dest, tag=1)
    comm.mpi.Barrier()
    if comm.rank == dest:
        registers = [other.recv(None, ANY_SOURCE, ANY_TAG), comm.recv(None, ANY_SOURCE, ANY_TAG)]
    for old, new, k in (("b", "x", 0), ("a", "y", 1)):
        lab.oracle.fan_out(old, new, 0)
        lab.bring(dest, [new], registers[k] if registers else None)
    lab.check()
    if comm.rank == dest:
        comm.unrecv(registers[1])
        other.unrecv(registers[0])
    if comm.rank == 0:
        other.unsend(lab.handle["b"])
        comm.unsend(lab.handle["a"])
    lab.oracle.undo_fan_out("a", "y", 0)
    lab.oracle.undo_fan_out("b", "x", 0)
    lab.check()
    other.close()
    lab.give_up()


def test_a_qubit_may_be_copied_through_several_communicators(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    others = [comm.dup() for _ in range(3)]
    lab.payload(0, ["a"], size - 1)
    for k, other in enumerate(others):
        copied(other, lab, "a", f"c{k}", 0, (k + 1) % size)
    lab.check()
    for k in (1, 2, 0):
        if comm.rank == lab.owner[f"c{k}"]:
            others[k].unrecv(lab.handle[f"c{k}"])
        if comm.rank == 0:
            others[k].unsend(lab.handle["a"])
        lab.oracle.undo_fan_out("a", f"c{k}", 0)
        lab.check()
    for other in others:
        other.close()
    lab.give_up()


def test_split_orders_by_key_and_translates_ranks(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    backwards = comm.split(0, key=-comm.rank)
    assert backwards is not None
    assert (backwards.rank, backwards.size) == (size - 1 - comm.rank, size)
    lab.payload(0, ["a"], size - 1)
    register = None
    if backwards.rank == size - 1:  # rank 0 of comm
        backwards.send(lab.handle["a"], 0, tag=4)
    if backwards.rank == 0:
        status = qmpi.Status()
        register = backwards.recv(status=status)
        assert status == qmpi.Status(size - 1, 4, 1)
    lab.oracle.fan_out("a", "b", 0)
    lab.bring(size - 1, ["b"], register)
    lab.check()
    if backwards.rank == 0:
        backwards.unrecv(register, source=size - 1)
    if backwards.rank == size - 1:
        backwards.unsend(lab.handle["a"], dest=0, tag=4)
    lab.oracle.undo_fan_out("a", "b", 0)
    lab.check()
    backwards.close()
    lab.give_up()


@pytest.mark.ranks(min_size=3)
def test_parts_of_a_split_work_at_once_on_entangled_qubits(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    part = comm.split(comm.rank % 2)
    assert part is not None
    assert part.size == (size + 1 - comm.rank % 2) // 2
    for rank in range(size):
        lab.payload(rank, [f"a{rank}"], rank) if rank < 2 else lab.alloc(rank, f"a{rank}")
    right, left = (part.rank + 1) % part.size, (part.rank - 1) % part.size
    part.send(lab.handle[f"a{comm.rank}"], right)
    copy = part.recv(source=left)
    for rank in range(size):
        mates = list(range(rank % 2, size, 2))
        source = mates[(mates.index(rank) - 1) % len(mates)]
        lab.oracle.fan_out(f"a{source}", f"b{rank}", 0)
        lab.bring(rank, [f"b{rank}"], copy)
    lab.check()
    part.unrecv(copy)
    part.unsend(lab.handle[f"a{comm.rank}"])
    for rank in range(size):
        mates = list(range(rank % 2, size, 2))
        source = mates[(mates.index(rank) - 1) % len(mates)]
        lab.oracle.undo_fan_out(f"a{source}", f"b{rank}", 0)
    lab.check()
    part.close()
    lab.give_up()


@pytest.mark.parametrize("nobody", [None, MPI.UNDEFINED], ids=["None", "UNDEFINED"])
def test_split_without_a_color_takes_no_part(comm: qmpi.Comm, nobody: int | None) -> None:
    part = comm.split(nobody if comm.rank == comm.size - 1 else 1)
    assert (part is None) == (comm.rank == comm.size - 1)
    if part is not None:
        assert part.size == comm.size - 1
        part.barrier()
        part.close()


@pytest.mark.processes("0010-two-worlds")
def test_the_world_is_mpi_s() -> None:
    assert qmpi.COMM_WORLD.mpi == MPI.COMM_WORLD


@pytest.mark.processes("0010-two-worlds")
def test_any_intracommunicator_can_be_wrapped() -> None:
    with qmpi.Comm(MPI.COMM_SELF) as alone:
        assert (alone.rank, alone.size) == (0, 1)
        q = alone.alloc()
        alone.send(q, 0)
        with alone.recv() as copy:
            assert len(copy) == 1
        alone.unsend(q)
        alone.free(q)


def test_what_is_no_intracommunicator_is_refused() -> None:
    for wrong in (MPI.COMM_NULL, None, 3):
        with pytest.raises(errors.CommunicatorError):
            qmpi.Comm(wrong)


# --- how they end -------------------------------------------------------------------------------------------------------------------------


def test_communicators_that_are_closed_leave_room_for_as_many_more(comm: qmpi.Comm) -> None:
    """MPICH has room for some 2,000 at once. (More than two ranks only take longer.)"""
    makes = [comm.dup, lambda: comm.split(0), lambda: comm.dup()]
    for k in range(2100 if comm.size <= 2 else 100):
        made = makes[k % 3]()
        assert made is not None
        made.close()


def test_many_open_communicators_can_be_closed_in_any_order(comm: qmpi.Comm) -> None:
    for _ in range(5):
        some = [comm.dup() for _ in range(500 if comm.size <= 2 else 30)]
        for made in some[:: 1 if comm.rank % 2 else -1]:
            made.close()


def test_the_end_of_a_block_ends_the_communicator_even_by_an_exception(comm: qmpi.Comm) -> None:
    for fails in (False, True) * 30:
        made = []
        with suppress(ZeroDivisionError), comm.dup() as d:
            made.append(d)
            assert not fails or 1 / 0
        with pytest.raises(errors.Closed):
            made[0].alloc()


def test_a_classical_communicator_that_was_wrapped_outlives_the_wrapper(comm: qmpi.Comm) -> None:
    theirs = comm.mpi.Dup()
    for _ in range(3):
        with qmpi.Comm(theirs):
            pass
        comm.dup().close()
    assert theirs.allreduce(1) == comm.size
    theirs.Free()


def test_a_program_may_free_what_dup_made_after_close(comm: qmpi.Comm) -> None:
    for _ in range(3):
        made = comm.dup()
        made.close()
        made.close()
        comm.mpi.Barrier()
        made.mpi.Free()
    comm.dup().close()


# --- mpi4py's spellings -------------------------------------------------------------------------------------------------------------------

SPELLINGS = {"Barrier": "barrier", "Split": "split", "Dup": "dup", "Free": "close"}  # and Get_rank, Get_size, Abort


def test_mpi4py_s_spellings_are_ours() -> None:
    assert {name: getattr(qmpi.Comm, name) for name in SPELLINGS} == {name: getattr(qmpi.Comm, ours) for name, ours in SPELLINGS.items()}
    capital = {name for name in vars(qmpi.Comm) if name[0].isupper()}
    assert capital == {*SPELLINGS, "Get_rank", "Get_size", "Abort"}
    assert all(hasattr(MPI.Comm, name) or hasattr(MPI.Intracomm, name) for name in capital)


def test_a_program_with_mpi4py_s_spellings_runs(comm: qmpi.Comm) -> None:
    assert (comm.Get_rank(), comm.Get_size()) == (comm.rank, comm.size)
    assert (qmpi.COMM_WORLD.Get_rank(), qmpi.COMM_WORLD.Get_size()) == (comm.rank, comm.size)
    twin, part = comm.Dup(), comm.Split(comm.rank % 2, key=-comm.rank)
    assert part is not None
    twin.Barrier()
    if comm.rank:
        comm.Barrier()
    else:
        comm.barrier()
    twin.Free()
    part.Free()


# --- looked at together -------------------------------------------------------------------------------------------------------------------


def test_collective_measurement_gives_everybody_all_outcomes_in_rank_order(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    names = [f"a{rank}" for rank in range(size)]
    for name, rank in zip(names, range(size), strict=True):
        lab.payload(rank, [name], (rank + 1) % size)
    mine = lab.register(names[comm.rank])
    rows = comm.measure(mine)
    assert rows == comm.mpi.bcast(rows, root=0)
    assert [len(row) for row in rows] == [1] * size
    for name, row in zip(names, rows, strict=True):
        assert isinstance(row, qmpi.Bits)
        lab.oracle.measure(name, row[0])
    lab.check()
    lab.give_up()


def test_collective_measurement_takes_registers_of_any_length(comm: qmpi.Comm) -> None:
    q = comm.alloc(comm.rank + 1)
    qmpi.gates.x(q[comm.rank])
    rows = comm.measure(q if comm.rank else qmpi.Register())
    assert rows == [qmpi.Bits((0,) * rank + (1,)) if rank else qmpi.Bits() for rank in range(comm.size)]
    assert [int(row) for row in rows] == [1 << rank if rank else 0 for rank in range(comm.size)]
    with pytest.raises(ValueError, match="ambiguous"):
        bool(rows[0])
    qmpi.reset(q)
    comm.free(q)


def test_all_ranks_find_the_same_in_a_chain_of_copies(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    lab.payload(0, ["a"], size - 1)
    previous = "a"
    for rank in range(1, size):
        copied(comm, lab, previous, f"c{rank}", rank - 1, rank)
        previous = f"c{rank}"
    mine = lab.handle["a" if comm.rank == 0 else f"c{comm.rank}"]
    rows = comm.measure(mine)
    assert len(set(rows)) == 1
    lab.give_up()


def test_statevector_orders_ranks_and_qubits_little_endian(comm: qmpi.Comm) -> None:
    q = comm.alloc(2)
    if comm.rank == comm.size - 1:
        qmpi.gates.x(q[1])
    amplitudes = comm.statevector(q)
    assert amplitudes.dtype == np.complex128
    assert amplitudes.shape == (4**comm.size,)
    assert np.flatnonzero(amplitudes).tolist() == [1 << (2 * comm.size - 1)]
    amplitudes[0] = 7  # the caller's to write
    assert comm.statevector(q)[0] == 0
    backwards = comm.statevector(q[::-1])
    assert np.flatnonzero(backwards).tolist() == [1 << (2 * comm.size - 2)]
    qmpi.reset(q)
    comm.free(q)


def test_statevector_refuses_registers_entangled_with_others_on_every_rank(lab: Lab) -> None:
    comm = lab.comm
    lab.payload(0, ["a", "b"], comm.size - 1)
    mine = [name for name in ("a", "b, far") if lab.owner[name] == comm.rank]
    with pytest.raises(errors.EntangledQubit, match="density"):
        comm.statevector(lab.register(*mine))
    lab.check()
    lab.give_up()


def test_statevector_of_part_of_the_qubits_leaves_out_what_is_not_entangled(lab: Lab) -> None:
    comm = lab.comm
    alone = comm.alloc(1)
    qmpi.h(alone)
    lab.payload(0, ["a"], comm.size - 1)
    lab.check()  # `alone` is not given, and not missed
    qmpi.reset(alone)
    comm.free(alone)
    lab.give_up()


def test_density_matrix_is_the_partial_trace(lab: Lab) -> None:
    comm, size = lab.comm, lab.comm.size
    lab.payload(0, ["a", "b"], size - 1)
    copied(comm, lab, "a", "c", 0, 1 % size)
    for chosen in (["a"], ["b", "c"], ["a", "b, far"], ["c", "a", "b"], []):
        chosen.sort(key=lambda name: lab.owner[name])
        mine = [name for name in chosen if lab.owner[name] == comm.rank]
        density = comm.density_matrix(lab.register(*mine))
        expected = lab.oracle.density(chosen)
        assert density.shape == expected.shape
        assert np.abs(density - expected).max() < lab.tolerance
    lab.check()
    lab.give_up()


def test_windows_refuse_a_qubit_given_twice(comm: qmpi.Comm) -> None:
    q = comm.alloc(1)
    for window in (comm.statevector, comm.density_matrix):
        with pytest.raises((errors.InvalidArgument, errors.DuplicateQubit)):
            window(q + q)
    comm.free(q)


@pytest.mark.ranks(min_size=2)
@pytest.mark.parametrize("call", ["statevector", "density_matrix", "measure"])
def test_a_collective_call_that_one_rank_cannot_make_raises_on_all(comm: qmpi.Comm, call: str) -> None:
    q = comm.alloc(1)
    if comm.rank == comm.size - 1:
        comm.free(q)
    expected = errors.FreedQubit if comm.rank == comm.size - 1 else errors.PeerFailed
    with testing.timeout(comm, 10.0), pytest.raises(expected, match="has been freed"):
        getattr(comm, call)(q)
    if comm.rank != comm.size - 1:
        comm.free(q)
    comm.barrier()  # and the communicator is as usable as before


def test_the_store_report_sees_entangled_groups_come_and_go(lab: Lab) -> None:
    comm = lab.comm
    before = comm.store_report()
    lab.payload(0, ["a"], comm.size - 1)
    during = comm.store_report()
    assert during.qubits == before.qubits + 2
    assert during.components == before.components + 1
    assert during.entangled_qubits == before.entangled_qubits + 2
    assert during.bytes > before.bytes
    lab.give_up()
    after = comm.store_report()
    assert (after.qubits, after.components, after.entangled_qubits) == (before.qubits, before.components, before.entangled_qubits)


def test_barrier_flushes_the_buffer(comm: qmpi.Comm) -> None:
    q = comm.alloc(1)
    qmpi.h(q)
    assert testing.pending_gates(comm) == 1
    comm.barrier()
    assert testing.pending_gates(comm) == 0
    qmpi.reset(q)
    comm.free(q)


# --- too large to look at -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "most"), [("statevector", 26), ("density_matrix", 13)])
def test_a_window_shows_a_bounded_number_of_qubits(comm: qmpi.Comm, window: str, most: int) -> None:
    q = comm.alloc(most + 1 if comm.rank == 0 else 1)
    with pytest.raises(errors.StateTooLarge, match=f"{most + comm.size} qubits are too many.*{most} at most"):
        getattr(comm, window)(q)
    comm.free(q)
    comm.barrier()  # and the communicator is as usable as before


@pytest.mark.parametrize(("window", "qubits"), [("statevector", 20), ("density_matrix", 10)])
def test_a_window_without_room_in_memory_is_refused_on_every_rank_before_anything_is_allocated(
    comm: qmpi.Comm, window: str, qubits: int
) -> None:
    """In a world of its own, which has 16 MiB: an array of 2^20 numbers takes all of it on one rank."""

    def looks() -> tuple[int, int]:
        here = qmpi.COMM_WORLD
        q = here.alloc(qubits + 1 if here.rank == here.size - 1 else 0)
        tracemalloc.start()
        with pytest.raises(errors.StateTooLarge, match=f"{qubits + 1} qubits need .* on each of {here.size} rank.*QMPI_MEMORY"):
            getattr(here, window)(q)
        peak = tracemalloc.get_traced_memory()[1]
        here.barrier()
        small = here.alloc(4 if here.rank == 0 else 0)
        return getattr(here, window)(small).size, peak

    if comm.rank == 0:
        for size, peak in qmpi.run(looks, comm.size, memory="16M"):
            assert size in (16, 256) and peak < 2**20
    comm.mpi.Barrier()
