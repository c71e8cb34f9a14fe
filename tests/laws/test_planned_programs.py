"""Gates that wait to be planned together, on components over all ranks: random programs and large components equal the oracle.

Small components are planned here, too (`set_planned_from`), so that everything that can come in between does: messages of every kind,
inverses, measurements of other ranks. For how the random programs are drawn see test_random_programs.py.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import gates, testing
from tests import dense
from tests.laws.lab import Lab
from tests.laws.test_random_programs import require_the_oracle_s_state

EXAMPLES = 8  # in each world
LARGE = 13


@pytest.mark.timeout(100, method="thread")
def test_random_programs_whose_gates_wait_leave_the_oracle_s_state(comm: qmpi.Comm) -> None:
    with testing.plan_from(comm, 2):
        require_the_oracle_s_state(comm, EXAMPLES)


class Scattered:
    """One component of many qubits over all ranks, its oracle, and gates on what each rank has of it."""

    def __init__(self, comm: qmpi.Comm, rng: np.random.Generator) -> None:
        self.lab = lab = Lab(comm, rng)
        self.rng = rng
        self.count = LARGE
        names = [f"q{k}" for k in range(LARGE)]
        lab.alloc(0, *names)
        for k, name in enumerate(names):
            lab.gate("ry", name, angles=[0.7 + 0.2 * k])
        for left, right in pairwise(names):
            lab.gate("cx", left, right)
        for k, name in enumerate(names):
            self.move(name, k % comm.size)

    def names_on(self, rank: int) -> list[str]:
        return [name for name, owner in self.lab.owner.items() if owner == rank]

    def gates(self, rank: int, count: int) -> None:
        """Rows of the table on this rank's qubits. All ranks draw them, one applies them."""
        lab, names = self.lab, self.names_on(rank)
        for row in dense.random_gates(self.rng, len(names), count, widest=4) if names else []:
            name, places, parameters = row
            labels = [names[k] for k in places]
            lab.oracle.apply(dense.gate_matrix(row), labels)
            if lab.comm.rank == rank:
                self.apply(name, [lab.handle[label] for label in labels], parameters)

    def apply(self, name: str, qubits: list[qmpi.Qubit], parameters: tuple[Any, ...]) -> None:
        if name in ("mcx", "mcp"):
            getattr(gates, name)(*parameters, qmpi.Register(qubits[:-1]), qubits[-1])
        elif name in ("unitary", "pauli_rotation"):
            getattr(gates, name)(*parameters, qmpi.Register(qubits))
        else:
            getattr(gates, name)(*parameters, *qubits)

    def move(self, name: str, dest: int) -> None:
        """By teleportation, with prescribed outcomes where they are drawn."""
        lab, comm, source = self.lab, self.lab.comm, self.lab.owner[name]
        if dest == source:
            return
        self.count += 1
        new, bits = f"q{self.count}", (int(self.rng.integers(2)), int(self.rng.integers(2)))
        self.force(source, bits)
        if comm.rank == source:
            comm.send_move(lab.handle[name], dest)
        register = comm.recv_move(source=source) if comm.rank == dest else None
        lab.oracle.teleport(name, new, *bits)
        lab.bring(dest, [new], register)
        lab.forget(name)

    def copy_and_undo(self, name: str, dest: int, bits: tuple[int, int]) -> None:
        """A copy, gates controlled by it where it is, and its inverse."""
        lab, comm, source = self.lab, self.lab.comm, self.lab.owner[name]
        others = self.names_on(dest)
        self.force(source, bits[:1])
        if comm.rank == source:
            comm.send(lab.handle[name], dest)
        register = comm.recv(source=source) if comm.rank == dest else None
        lab.oracle.fan_out(name, "copy", bits[0])
        lab.bring(dest, ["copy"], register)
        for other in others:
            lab.gate("cp", "copy", other, angles=[0.3])
            lab.gate("cx", "copy", other)
        twin = lab.oracle.copy()
        twin.gate("h", "copy")
        bit = bits[1] if twin.weight("copy", bits[1]) > 1e-6 else 1 - bits[1]
        if comm.rank == dest:
            testing.force_outcomes(comm, [bit])
            comm.unrecv(register)
        if comm.rank == source:
            comm.unsend(lab.handle[name])
        lab.oracle.undo_fan_out(name, "copy", bit)
        lab.forget("copy")

    def force(self, rank: int, bits: tuple[int, ...]) -> None:
        if testing.settings(self.lab.comm).faithful and self.lab.comm.rank == rank:
            testing.force_outcomes(self.lab.comm, bits)


def test_a_large_component_over_all_ranks_equals_the_oracle(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    """13 qubits, moved and copied between ranks with gates of each rank in between, then measured one after the other."""
    state = Scattered(comm, rng)
    lab = state.lab
    for _ in range(3):
        for rank in rng.permutation(comm.size).tolist():
            state.gates(rank, 12)
        names = list(lab.owner)
        state.move(names[int(rng.integers(len(names)))], int(rng.integers(comm.size)))
        names = list(lab.owner)
        name = names[int(rng.integers(len(names)))]
        dest = int(rng.integers(comm.size))
        if dest != lab.owner[name]:
            state.copy_and_undo(name, dest, (int(rng.integers(2)), int(rng.integers(2))))
    lab.check(global_phase=False)
    assert comm.store_report().peak_component >= LARGE
    for _ in range(4):
        for rank in range(comm.size):
            state.gates(rank, 4)
        names = list(lab.owner)
        lab.measure(names[int(rng.integers(len(names)))])
    lab.check(global_phase=False)
    lab.give_up()
