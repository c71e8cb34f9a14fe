"""Groups and grids through mpi4py's own calls, and quantum messages to neighbours: PROC_NULL at the borders. In both worlds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import cx, h, probability, ry
from qmpi.world.wildcards import means
from tests.laws.lab import Lab

SHAPES = {1: ([1], [1, 1]), 2: ([2], [2, 1]), 3: ([3], [1, 3]), 4: ([4], [2, 2])}


def expected_shift(coords: list[int], dims: list[int], periods: list[bool], direction: int, disp: int) -> list[int]:
    """Source and destination by the definition; -1 beyond a border."""
    ranks = []
    for step in (-disp, disp):
        there = list(coords)
        there[direction] += step
        inside = periods[direction] or 0 <= there[direction] < dims[direction]
        there[direction] %= dims[direction]
        ranks.append(int(np.ravel_multi_index(there, dims)) if inside else -1)
    return ranks


# --- grids ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", range(2))
@pytest.mark.parametrize("closed", [False, True])
def test_a_grid_is_row_major_and_its_shifts_end_at_open_borders(comm: qmpi.Comm, which: int, closed: bool) -> None:
    dims = SHAPES[comm.size][which]
    periods = [closed, *[False] * (len(dims) - 1)]
    with qmpi.Comm(comm.mpi.Create_cart(dims, periods=periods, reorder=False)) as first, first.dup() as grid:
        assert grid.mpi.coords == [int(k) for k in np.unravel_index(grid.rank, dims)]
        assert [grid.mpi.Get_coords(rank) for rank in range(grid.size)] == [list(k) for k in np.ndindex(*dims)]
        assert grid.mpi.Get_cart_rank(grid.mpi.coords) == grid.rank == comm.rank
        for direction in range(len(dims)):
            for disp in (1, -1, 2, 0):
                found = [-1 if means(rank, qmpi.PROC_NULL) else rank for rank in grid.mpi.Shift(direction, disp)]
                assert found == expected_shift(grid.mpi.coords, dims, periods, direction, disp)
        line = grid.mpi.Sub([True, *[False] * (len(dims) - 1)])
        assert (line.Get_size(), line.Get_rank()) == (dims[0], grid.mpi.coords[0])
        assert line.Get_topo() == (dims[:1], [closed], grid.mpi.coords[:1])


def test_ranks_outside_of_a_grid_have_no_communicator(comm: qmpi.Comm) -> None:
    places = max(comm.size - 1, 1)
    grid = comm.mpi.Create_cart([places])
    assert bool(grid) == (comm.rank < places)
    if grid:
        with qmpi.Comm(grid) as part:
            assert (part.rank, part.size) == (comm.rank, places)
    else:
        with pytest.raises(qmpi.errors.CommunicatorError, match="this rank is left out"):
            qmpi.Comm(grid)


# What MPICH and Open MPI refuse, too. (More that threads refuse is in tests/unit/test_classical_ends.py.)
REFUSED: dict[str, Callable[[Any], Any]] = {
    "a grid of more ranks than there are": lambda mpi: mpi.Create_cart([2, mpi.size]),
    "one number for dims": lambda mpi: mpi.Create_cart(mpi.size),
    "a dimension that is no integer": lambda mpi: mpi.Create_cart([1.0]),
    "more periods than dimensions": lambda mpi: mpi.Create_cart([mpi.size], [True, False]),
    "a direction below 0": lambda mpi: mpi.Create_cart([mpi.size]).Shift(-1, 1),
    "coordinates beyond an open border": lambda mpi: mpi.Create_cart([mpi.size]).Get_cart_rank([mpi.size]),
    "too many coordinates": lambda mpi: mpi.Create_cart([mpi.size]).Get_cart_rank([0, 0]),
    "too few dimensions to keep": lambda mpi: mpi.Create_cart([mpi.size]).Sub([]),
    "a rank that the group has not": lambda mpi: mpi.Get_group().Incl([mpi.size]),
    "a rank to leave out that the group has not": lambda mpi: mpi.Get_group().Excl([-7]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_on_every_rank(comm: qmpi.Comm, what: str) -> None:
    with pytest.raises((RuntimeError, ValueError, TypeError)):  # mpi4py's are RuntimeErrors, or the latter two; qmpi's are ValueErrors
        REFUSED[what](comm.mpi)
    assert comm.mpi.allreduce(1) == comm.size


# --- messages to neighbours -------------------------------------------------------------------------------------------------------------


def test_copies_go_to_the_neighbours_that_are_there(comm: qmpi.Comm) -> None:
    with qmpi.Comm(comm.mpi.Create_cart([comm.size], periods=[False])) as grid:
        source, dest = grid.mpi.Shift(0, 1)
        q, mine = grid.alloc(), grid.alloc()
        h(q)
        before = grid.ledger.total()
        sent = grid.isend(q, dest)
        with grid.recv(source=source) as copy:
            assert len(copy) == (grid.rank > 0)
            if copy:
                cx(copy, mine)
            sent.wait()
        grid.unsend(q, dest)
        assert grid.ledger.total().epr_pairs - before.epr_pairs == grid.size - 1
        bits = grid.measure(q + mine)
        assert all(right[1] == left[0] for left, right in pairwise(bits)) and bits[0][1] == 0


@pytest.mark.parametrize("closed", [False, True])
def test_copies_go_along_every_dimension(lab: Lab, closed: bool) -> None:
    comm, size, here = lab.comm, lab.comm.size, lab.comm.rank
    dims, periods = SHAPES[size][1], [False, closed]
    with qmpi.Comm(comm.mpi.Create_cart(dims, periods=periods)) as grid:
        lab.payload(0, ["a0"], size - 1)
        for rank in range(1, size):
            lab.alloc(rank, f"a{rank}")
            lab.scramble(f"a{rank}")
        before, q = lab.oracle.copy(), lab.handle[f"a{here}"]
        shifts = [grid.mpi.Shift(axis, 1) for axis in range(2)]
        copies = [grid.sendrecv(q, dest, axis, source=source, recvtag=axis) for axis, (source, dest) in enumerate(shifts)]
        names = []
        for rank, place in enumerate(np.ndindex(*dims)):
            for axis in range(2):
                source, _ = expected_shift(list(place), dims, periods, axis, 1)
                assert rank != here or len(copies[axis]) == (source >= 0)
                if source >= 0:
                    names.append(f"c{rank} along {axis}")
                    lab.bring_copy([f"a{source}"], names[-1:], rank, copies[axis])
        lab.check()
        for axis, (source, dest) in enumerate(shifts):
            grid.unsendrecv(q, dest, axis, copies[axis], source)
        lab.back_to(before, *names)
    lab.give_up()


def test_a_state_moves_from_border_to_border(comm: qmpi.Comm) -> None:
    dims = SHAPES[comm.size][1]
    with qmpi.Comm(comm.mpi.Create_cart(dims)) as grid:
        source, dest = grid.mpi.Shift(1, 1)
        begins, ends = (means(rank, qmpi.PROC_NULL) for rank in (source, dest))
        q = grid.alloc()
        before = grid.ledger.total()
        grid.recv_move(q, source)  # from nobody nothing comes
        if begins:
            ry(1.2, q)
        grid.send_move(q, dest)  # to nobody nothing goes
        assert grid.ledger.total().epr_pairs - before.epr_pairs == dims[0] * (dims[1] - 1)
        assert probability(q[0]) == pytest.approx(np.sin(0.6) ** 2 if ends else 0, abs=1e-6)
        if ends:
            ry(-1.2, q)
        qmpi.reset(q)
        grid.free(q)


def test_rows_of_a_grid_broadcast_at_once(comm: qmpi.Comm) -> None:
    dims = SHAPES[comm.size][1]
    with qmpi.Comm(comm.mpi.Create_cart(dims)) as grid, qmpi.Comm(grid.mpi.Sub([False, True])) as row:
        assert (row.rank, row.size) == (grid.mpi.coords[1], dims[1])
        q = row.alloc()
        if row.rank == 0:
            h(q)
        with row.bcast(q, root=0) as copy:
            mine = row.alloc()
            cx(copy, mine)
        bits = [int(bits) for bits in comm.measure(mine)]
        assert all(bits[rank] == bits[rank - 1] for rank in range(1, grid.size) if grid.mpi.Get_coords(rank)[1] > 0)


# --- groups -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.ranks(min_size=3)
def test_a_group_makes_a_communicator_of_its_own(comm: qmpi.Comm) -> None:
    group = comm.mpi.Get_group()
    ends = group.Incl([comm.size - 1, 0])
    inner = group.Excl([0, comm.size - 1])
    assert group.Translate_ranks([0, comm.size - 1], ends) == [1, 0]
    assert group.Union(ends, inner).Get_size() == comm.size
    assert group.Intersection(ends, inner).Get_size() == 0
    assert group.Difference(group, inner).Get_size() == 2
    made = comm.mpi.Create_group(ends)
    assert bool(made) == (comm.rank in (0, comm.size - 1))
    if made:
        with qmpi.Comm(made) as pair:
            assert pair.rank == (comm.rank == 0)
            with pair.bcast(pair.alloc(), root=1) as copy:
                assert len(copy) == 1


def test_groups_without_a_common_rank_make_communicators_at_once(comm: qmpi.Comm) -> None:
    everybody = comm.mpi.Get_group()
    even = everybody.Incl(range(0, comm.size, 2))
    odd = everybody.Difference(everybody, even)
    with qmpi.Comm(comm.mpi.Create(odd if comm.rank % 2 else even)) as part:
        assert (part.rank, part.size) == (comm.rank // 2, (comm.size + 1 - comm.rank % 2) // 2)
        q, mine = part.alloc(), part.alloc()
        h(q)
        with part.sendrecv(q, (part.rank + 1) % part.size, source=(part.rank - 1) % part.size) as copy:
            cx(copy, mine)
        bits = comm.measure(q + mine)
        assert all(
            bits[rank][1] == bits[(comm.rank % 2) + 2 * ((rank // 2 - 1) % part.size)][0] for rank in range(comm.rank % 2, comm.size, 2)
        )
