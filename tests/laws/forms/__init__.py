"""Every form in which a collective can be called: one table. movements.py and reductions.py draw the calls, case.py performs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from .case import Case, Trial
from .movements import bcast, cat, movement
from .reductions import OPERATORS, reduction

__all__ = ["CAT", "FORMS", "Case", "Form", "Trial"]

MOST = 3  # qubits, or items, of a message
CASES = 3  # of a form that has one variant

Draw = Callable[[np.random.Generator, int, int], Case]  # with the number of ranks, and the most qubits (or items) of a message


@dataclass(frozen=True, slots=True)
class Form:
    """A call in one of its forms.

    Attributes:
        name: what it is.
        variants: each draws cases; with at most 1 qubit (or item) per message there is never none.
    """

    name: str
    variants: tuple[Draw, ...]

    def __str__(self) -> str:
        return self.name.replace(", ", "-").replace(" ", "-")

    def numbers(self, rng: np.random.Generator) -> np.random.Generator:
        """A generator of its own, so that not all forms draw alike; the same on all ranks."""
        return np.random.default_rng([int(rng.integers(2**32)), *self.name.encode()])

    def cases(self, rng: np.random.Generator, size: int, most: int = MOST) -> Iterator[Case]:
        """Random cases, the same on all ranks; some of each variant."""
        for draw in self.variants if len(self.variants) > 1 else self.variants * CASES:
            yield draw(rng, size, most)

    def case(self, rng: np.random.Generator, size: int, most: int = MOST) -> Case:
        """One random case."""
        return self.variants[rng.integers(len(self.variants))](rng, size, most)


def _movements() -> list[Form]:
    calls = {
        call + moves: ["given"] + ["none"] * (call != "alltoallw") + ["in place"] * (not moves or not call.startswith("alltoall"))
        for call in ("gather", "gatherv", "scatter", "scatterv", "allgather", "allgatherv", "alltoall", "alltoallv", "alltoallw")
        for moves in ("", "_move")
        if not (moves and call.startswith("allgather"))
    }
    return [Form(f"{call}, {style}", (partial(movement, call, style),)) for call, styles in calls.items() for style in styles]


def _reductions() -> list[Form]:
    calls = ("reduce", "allreduce", "reduce_scatter_block", "reduce_scatter", "scan", "exscan")
    return [
        Form(f"{call}, {style}", tuple(partial(reduction, call, style, name=name) for name in OPERATORS))
        for call in calls
        for style in ("given", "none", "in place")
    ]


CAT = Form("cat", (cat,))
FORMS = [
    *(Form(f"bcast, {algorithm}, given", (partial(bcast, "given", algorithm=algorithm),)) for algorithm in ("tree", "cat")),
    Form("bcast, auto, none", (partial(bcast, "none", algorithm="auto"),)),
    *_movements(),
    *_reductions(),
    *(Form(f"reduce, star, {style}", (partial(reduction, "reduce", style, algorithm="star"),)) for style in ("given", "none", "in place")),
]
