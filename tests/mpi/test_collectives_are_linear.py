"""On superpositions that are entangled with other ranks, collectives permute basis states as they do one by one, and add no phase; inverses
give back the amplitudes. What a reduction keeps until its inverse is traced out: then the probabilities are the permuted ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import qmpi
from tests.mpi.forms import FORMS, Case, Form, Trial
from tests.mpi.forms.case import Place
from tests.oracle import random_unitary

AMPLITUDES, PROBABILITIES = 12, 7  # most qubits that are looked at: of amplitudes, and of a density matrix
INPUTS, OPERANDS = 3, 2  # most qubits in superposition, each with a spectator; fewer where those that are kept are entangled, too


class Superposed:
    """Some of a case's data in a random superposition, each entangled with a spectator on the next rank; all else in a basis state."""

    def __init__(self, comm: qmpi.Comm, case: Case, rng: np.random.Generator, keeps: bool) -> None:
        self.comm, self.case = comm, case
        self.basis = case.random(rng)
        self.chosen: list[Place] = []
        data = case.data()
        for k in rng.permutation(len(data))[: OPERANDS if keeps else INPUTS]:
            wider = [*self.chosen, data[k]]
            if len(self.touched(wider)) + len(wider) <= (PROBABILITIES if keeps else AMPLITUDES):
                self.chosen = wider
        self.trial = Trial(comm, case)
        self.trial.set({place: bit for place, bit in self.basis.items() if place not in self.chosen})
        self.spectators: list[tuple[int, qmpi.Register]] = []
        for rank, buffer, k in self.chosen:
            there, matrix = (rank + 1) % comm.size, random_unitary(rng, 2)
            pair = comm.alloc(2) if comm.rank == there else qmpi.Register()
            if comm.rank == there:
                qmpi.unitary(matrix, pair)
                comm.send_move(pair[0], rank)
            if comm.rank == rank:
                comm.recv_move(getattr(self.trial, buffer)[k], source=there)
            if comm.rank == there:
                comm.free(pair[0])
            self.spectators.append((there, pair[1:]))
        for rank in range(comm.size):
            mine = [place for place in self.chosen if place[0] == rank]
            matrix = random_unitary(rng, len(mine))
            if mine and comm.rank == rank:
                qmpi.unitary(matrix, self.register(mine, spectators=False))

    def after(self, chosen: list[Place], bits: tuple[int, ...]) -> list[dict[str, np.ndarray]]:
        return self.case.effect(self.case.rows(self.basis | dict(zip(chosen, bits, strict=True))))

    def touched(self, chosen: list[Place]) -> list[Place]:
        """The chosen places, and those whose value afterwards depends on them."""
        ends = [self.after(chosen, bits) for bits in itertools.product((0, 1), repeat=len(chosen))]
        places = [(rank, buffer, k) for rank, row in enumerate(ends[0]) for buffer in row for k in range(len(row[buffer]))]
        return [place for place in places if place in chosen or len({int(end[place[0]][place[1]][place[2]]) for end in ends}) > 1]

    def register(self, places: list[Place], spectators: bool = True) -> qmpi.Register:
        """This rank's, then its spectators."""
        qubits = [getattr(self.trial, buffer)[k] for rank, buffer, k in places if rank == self.comm.rank]
        return qmpi.Register(qubits + [pair[0] for _, pair in self.spectators if spectators and pair])

    def positions(self, places: list[Place]) -> tuple[dict[Place, int], list[int]]:
        """Where places and spectators stand in the joint state."""
        order: list[object] = []
        for rank in range(self.comm.size):
            order += [place for place in places if place[0] == rank]
            order += [k for k, (there, _) in enumerate(self.spectators) if there == rank]
        return {place: order.index(place) for place in places}, [order.index(k) for k in range(len(self.spectators))]

    def permuted(self, numbers: np.ndarray, places: list[Place]) -> np.ndarray:
        """Amplitudes, or probabilities, of the chosen places and spectators, as they must stand over all touched places afterwards."""
        (here, near), (there, far) = self.positions(self.chosen), self.positions(places)
        moved = np.zeros(2 ** (len(places) + len(far)), numbers.dtype)
        for index, number in enumerate(numbers):
            end = self.after(self.chosen, tuple(index >> here[place] & 1 for place in self.chosen))
            to = sum(int(end[rank][buffer][k]) << there[rank, buffer, k] for rank, buffer, k in places)
            moved[to + sum((index >> a & 1) << b for a, b in zip(near, far, strict=True))] += number
        return moved

    def free(self) -> None:
        spectators = qmpi.Register([pair[0] for _, pair in self.spectators if pair])
        qmpi.reset(spectators)
        self.comm.free(spectators)
        self.trial.free()


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_permutes_amplitudes_and_its_inverse_gives_them_back(comm: qmpi.Comm, form: Form) -> None:
    call, *style = form.name.split(", ")
    combines = "reduce" in call or "scan" in call
    keeps = combines and ("star" not in style or "in place" in style)
    rng = np.random.default_rng([2105, FORMS.index(form)])
    for case in form.cases(rng, comm.size, 1 if combines else 2):
        check(comm, case, rng, keeps)


def check(comm: qmpi.Comm, case: Case, rng: np.random.Generator, keeps: bool) -> None:
    given = Superposed(comm, case, rng, keeps)
    tolerance = 2e-5 if comm._session.universe.settings.single_precision else 1e-12
    before = comm.statevector(given.register(given.chosen))
    given.trial.forward()
    touched = given.touched(given.chosen)
    if keeps:
        found = np.diag(comm.density_matrix(given.register(touched)))
        expected = given.permuted(np.abs(before) ** 2, touched)
    else:
        found, expected = comm.statevector(given.register(touched)), given.permuted(before, touched)
    assert np.abs(found - expected).max() < tolerance, str(case)
    given.trial.inverse()
    assert np.abs(comm.statevector(given.register(given.chosen)) - before).max() < tolerance, str(case)
    comm.barrier()
    given.free()
