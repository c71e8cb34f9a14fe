"""State vectors over nodes whose ranks are processes: what rank 0 of programs/statevectors.py prints does not depend on how many there are.

The nodes are pretended (QMPI_RANKS_PER_NODE). tests/unit/test_nodes.py has the same laws, and more, on threads.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.worlds.launch import launch

TOLERANCE = {"complex128": 1e-12, "complex64": 2e-6}


@cache
def found(ranks: int, ranks_per_node: str, threads: str) -> dict[str, dict[str, Any]]:
    """What came of it in each precision."""
    settings = {"QMPI_RANKS_PER_NODE": ranks_per_node, "QMPI_NUM_THREADS": threads}
    run = launch(ranks, ["-m", "tests.laws.programs.statevectors"], settings, timeout_s=60)
    lines = run.output.splitlines()
    assert run.code == 0 and len(lines) == len(TOLERANCE), run.tail()
    return {row["dtype"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("ranks", "ranks_per_node", "threads"), [(2, "", "1"), (2, "1", "2"), (3, "", "2"), (4, "1", "1"), (4, "2", "1")])
def test_one_seed_gives_the_same_outcomes_on_any_ranks_nodes_and_threads(ranks: int, ranks_per_node: str, threads: str, dtype: str) -> None:
    expected, row = found(1, "", "1")[dtype], found(ranks, ranks_per_node, threads)[dtype]
    assert row["measured"] == expected["measured"]
    assert row["samples"] == expected["samples"]
    for name in ("means", "probabilities", "amplitudes", "norm"):
        np.testing.assert_allclose(row[name], expected[name], atol=TOLERANCE[dtype], rtol=0, err_msg=name)
    assert (row["exchanges"] > 0) == (ranks_per_node != "")
