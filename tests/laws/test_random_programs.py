"""Random programs over all ranks, compared with the oracle step by step.

All ranks must draw the same examples: `derandomize=True` makes the draws a function of the test alone, `database=None` keeps one
machine's history out, and shrinking is off because one rank cannot replay an example alone. For the same reason a failure must not
reach Hypothesis: the rank prints the program and aborts the job. Each example starts by comparing the programs of all ranks.
"""

from __future__ import annotations

import traceback

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import qmpi
from qmpi import testing
from tests.laws.conftest import MODE
from tests.laws.lab import Lab
from tests.strategies import GATES, ROTATIONS, Step, programs

MOST_QUBITS = 9
EXAMPLES = 25  # in each world


class Interpreter:
    """Runs steps on the ranks and in the oracle. Copies may be tampered with, so every outcome of an inverse is prescribed."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.copies: list[tuple[str, str]] = []  # (original, copy), still to be undone
        self.count = 0

    def fresh(self) -> str:
        self.count += 1
        return f"q{self.count}"

    def bound(self, name: str) -> bool:
        return any(name in pair for pair in self.copies)

    def force(self, rank: int, bits: tuple[int, ...], always: bool) -> None:
        if (always or MODE == "faithful") and self.lab.comm.rank == rank:
            testing.force_outcomes(self.lab.comm, bits)

    def possible(self, name: str, bit: int) -> int:
        """The outcome asked for, or the other one where it (nearly) cannot be."""
        return bit if self.lab.oracle.weight(name, bit) > 1e-6 else 1 - bit

    def step(self, step: Step) -> None:
        lab, comm = self.lab, self.lab.comm
        names = list(lab.owner)
        free = [name for name in names if not self.bound(name)]
        if step.action == "undo":
            ripe = [(a, b) for a, b in self.copies if not any(original == b for original, _ in self.copies)]
            if ripe:
                self.undo(*ripe[step.which % len(ripe)], step.bits[0])
        elif step.action in ("copy", "epr") and len(names) <= MOST_QUBITS - 2:
            if step.action == "copy":
                self.copy(names[step.which % len(names)], step.other % comm.size, step.bits[0])
            else:
                self.pair(step.which % comm.size, step.other % comm.size)
        elif step.action == "move" and free:
            self.move(free[step.which % len(free)], step.other % comm.size, step.bits)
        elif step.action == "measure" and free:
            name = free[step.which % len(free)]
            bit = self.possible(name, step.bits[0])
            self.force(lab.owner[name], (bit,), always=True)
            assert lab.measure(name) == bit
        elif step.action == "rotate":
            lab.gate(ROTATIONS[step.other % len(ROTATIONS)], names[step.which % len(names)], angles=(step.angle,))
        elif step.action == "control":
            first = names[step.which % len(names)]
            others = [name for name in names if lab.owner[name] == lab.owner[first] and name != first]
            if others:
                second = others[step.other % len(others)]
                name, angles = ("cx", ()) if step.bits[0] else ("cp", (step.angle,))
                lab.gate(name, first, second, angles=angles)
        elif step.action == "gate":
            lab.gate(GATES[step.other % len(GATES)], names[step.which % len(names)])

    def pair(self, rank: int, other: int) -> None:
        a, b = self.fresh(), self.fresh()
        self.lab.alloc(rank, a)
        self.lab.alloc(other, b)
        self.lab.entangle(a, b)

    def copy(self, original: str, dest: int, bit: int) -> None:
        lab, comm, new = self.lab, self.lab.comm, self.fresh()
        source, register = lab.owner[original], None
        self.force(source, (bit,), always=False)
        if comm.rank == source:
            comm.send(lab.handle[original], dest, tag=self.count)
        if comm.rank == dest:
            register = comm.recv(tag=self.count)
        lab.oracle.fan_out(original, new, bit)
        lab.bring(dest, [new], register)
        self.copies.append((original, new))

    def undo(self, original: str, copy: str, bit: int) -> None:
        lab, comm = self.lab, self.lab.comm
        twin = lab.oracle.copy()
        twin.gate("h", copy)
        bit = bit if twin.weight(copy, bit) > 1e-6 else 1 - bit
        self.force(lab.owner[copy], (bit,), always=True)
        if comm.rank == lab.owner[copy]:
            comm.unrecv(lab.handle[copy])
        if comm.rank == lab.owner[original]:
            peers = [b for a, b in self.copies if a == original]
            # With several copies of one qubit, peer and tag say which: tags are the numbers in the copies' names.
            comm.unsend(lab.handle[original], lab.owner[copy], int(copy[1:]) if len(peers) > 1 else None)
        lab.oracle.undo_fan_out(original, copy, bit)
        self.copies.remove((original, copy))
        lab.forget(copy)

    def move(self, name: str, dest: int, bits: tuple[int, int]) -> None:
        lab, comm, new = self.lab, self.lab.comm, self.fresh()
        source, register = lab.owner[name], None
        twin = lab.oracle.copy()
        twin.fan_out(name, new, bits[0])
        self.force(source, bits, always=False)
        if comm.rank == source:
            comm.send_move(lab.handle[name], dest)
        if comm.rank == dest:
            register = comm.recv_move(source=source)
        lab.oracle.teleport(name, new, *bits)
        lab.bring(dest, [new], register)
        lab.forget(name)


def require_the_oracle_s_state(comm: qmpi.Comm, examples: int) -> None:
    """After each of many programs, the same on all ranks."""
    failure: list[str] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs)
    def together(program: list[Step]) -> None:
        if failure:  # Hypothesis would run it once more, on this rank alone
            return
        try:
            run(comm, program)
        except Exception:
            failure.append("in this program:\n" + "\n".join(map(str, program)) + "\n" + traceback.format_exc())

    together()
    assert not failure, failure[0]


@pytest.mark.timeout(100, method="thread")
def test_random_programs_leave_the_oracle_s_state(comm: qmpi.Comm) -> None:
    require_the_oracle_s_state(comm, EXAMPLES)


def run(comm: qmpi.Comm, program: list[Step]) -> None:
    texts = comm.mpi.allgather(repr(program))
    assert len(set(texts)) == 1, "the ranks drew different programs"
    lab = Lab(comm, np.random.default_rng(len(texts[0])))
    interpreter = Interpreter(lab)
    for rank in range(comm.size):
        lab.alloc(rank, interpreter.fresh())
    for name in list(lab.owner):
        lab.scramble(name)
    for step in program:
        interpreter.step(step)
    lab.check()
    while interpreter.copies:
        interpreter.step(Step("undo", 0, 0, (1, 1), 0.0))
    lab.check()
    lab.give_up()
