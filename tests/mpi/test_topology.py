"""Groups and grids through mpi4py's own calls, and quantum messages to neighbours: PROC_NULL at the borders. In both worlds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import qmpi
from qmpi import cx, h
from qmpi.world.wildcards import means
from tests.mpi.lab import Lab

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


@pytest.mark.parametrize("which", range(2))
@pytest.mark.parametrize("closed", [False, True])
def test_a_grid_is_row_major_and_its_shifts_end_at_open_borders(comm: qmpi.Comm, which: int, closed: bool) -> None:
    dims = SHAPES[comm.size][which]
    periods = [closed, *[False] * (len(dims) - 1)]
    with qmpi.Comm(comm.mpi.Create_cart(dims, periods=periods)) as grid:
        assert list(grid.mpi.coords) == [int(k) for k in np.unravel_index(grid.rank, dims)]
        assert [list(grid.mpi.Get_coords(rank)) for rank in range(grid.size)] == [list(k) for k in np.ndindex(*dims)]
        assert grid.mpi.Get_cart_rank(grid.mpi.coords) == grid.rank
        for direction in range(len(dims)):
            for disp in (1, -1, 2):
                found = [-1 if means(rank, qmpi.PROC_NULL) else rank for rank in grid.mpi.Shift(direction, disp)]
                assert found == expected_shift(grid.mpi.coords, dims, periods, direction, disp)
        line = grid.mpi.Sub([True, *[False] * (len(dims) - 1)])
        assert line.Get_size() == dims[0] and line.Get_rank() == grid.mpi.coords[0]


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


def test_ranks_outside_of_a_grid_have_no_communicator(comm: qmpi.Comm) -> None:
    grid = comm.mpi.Create_cart([max(comm.size - 1, 1)])
    if comm.size > 1 and comm.rank == comm.size - 1:
        with pytest.raises(qmpi.errors.CommunicatorError):
            qmpi.Comm(grid)
    else:
        with qmpi.Comm(grid) as part:
            assert part.size == max(comm.size - 1, 1)


@pytest.mark.ranks(min_size=3)
def test_a_group_makes_a_communicator_of_its_own(lab: Lab, comm: qmpi.Comm) -> None:
    group = comm.mpi.Get_group()
    ends = group.Incl([comm.size - 1, 0])
    inner = group.Excl([0, comm.size - 1])
    assert group.Translate_ranks([0, comm.size - 1], ends) == [1, 0]
    assert type(group).Union(ends, inner).Get_size() == comm.size
    assert type(group).Intersection(ends, inner).Get_size() == 0
    assert type(group).Difference(group, inner).Get_size() == 2
    if comm.rank in (0, comm.size - 1):
        with qmpi.Comm(comm.mpi.Create_group(ends)) as pair:
            assert pair.rank == (comm.rank == 0)
            with pair.bcast(pair.alloc(), root=1) as copy:
                assert len(copy) == 1
