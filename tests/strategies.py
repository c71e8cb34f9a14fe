"""Hypothesis strategies: programs over ranks, as plain data.

A step names an action and small numbers; whoever interprets it picks among what is possible at that point (`which` modulo the number of
candidates), so every drawn list is a legal program on any number of ranks and no draw is wasted.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

GATES = ("h", "x", "y", "z", "s", "t", "sx")
ROTATIONS = ("rx", "ry", "rz", "p")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a program.

    Attributes:
        action: "copy", "move", "undo", "measure", "epr", "gate", "rotate" or "control".
        which: picks the qubit, or the copy to undo.
        other: picks the destination, the gate or the second qubit.
        bits: outcomes of the protocol, where the mode draws them.
        angle: of a rotation, in radians.
    """

    action: str
    which: int
    other: int
    bits: tuple[int, int]
    angle: float


actions = st.sampled_from(["copy", "copy", "move", "undo", "undo", "measure", "epr", "gate", "rotate", "control"])
small = st.integers(0, 11)
steps = st.builds(
    Step,
    action=actions,
    which=small,
    other=small,
    bits=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    angle=st.floats(0.2, 2.9),
)
programs = st.lists(steps, min_size=6, max_size=24)
