"""On superpositions a collective does to each basis state what it does to it alone: no phase, nothing lost, nothing told.

Some of the ranks' data are in a random state, entangled with each other and with a spectator on another rank. After the call every
amplitude must stand, whole, where the classical call takes its basis state, beside one basis state of what the library keeps, whatever
the spectator is in. The inverse must bring back the very vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import product

import numpy as np
import pytest

import qmpi
from qmpi import testing
from qmpi.gates import unitary
from tests.laws.forms import CAT, FORMS, Case, Form, Trial
from tests.laws.forms.case import Place
from tests.oracle import random_unitary

SUPERPOSED = [3, 3, 3, 3, 2]  # qubits of data, by the number of ranks; fewer where more than REACHED of the buffers' depend on them
REACHED = 6  # as many again may depend on them among those that the library keeps
CERTAIN = 1e-6  # a qubit with P(1) this close to 0 or 1 is in a basis state


@dataclass(frozen=True, slots=True)
class View:
    """The joint state of buffers on all ranks.

    Attributes:
        tensor: amplitudes of all qubits that are not in basis states, an axis each.
        places: of the axes.
        certain: the bits of all others.
    """

    tensor: np.ndarray
    places: list[Place]
    certain: dict[Place, int]

    def within(self, *buffers: str) -> list[Place]:
        """The axes that belong to these buffers."""
        return [place for place in self.places if place[1] in buffers]

    def grouped(self, *groups: Sequence[Place]) -> np.ndarray:
        """An index for each group, its first place most significant."""
        order = [self.places.index(place) for group in groups for place in group]
        return self.tensor.transpose(order).reshape([2 ** len(group) for group in groups])


def look(comm: qmpi.Comm, **buffers: Iterable[qmpi.Qubit]) -> View:
    """The view of these buffers. Collective."""
    mine = {(comm.rank, name, k): qubit for name, qubits in buffers.items() for k, qubit in enumerate(qubits)}
    chances = {place: qmpi.probability(qubit) for place, qubit in mine.items()}
    open_ = [place for place, chance in chances.items() if CERTAIN < chance < 1 - CERTAIN]
    rows = comm.mpi.allgather((open_, {place: round(chance) for place, chance in chances.items() if place not in open_}))
    vector = comm.statevector(qmpi.Register([mine[place] for place in open_]))
    places = [place for places, _ in rows for place in places]
    return View(vector.reshape((2,) * len(places)), places[::-1], {place: bit for _, bits in rows for place, bit in bits.items()})


def reached(case: Case, live: Sequence[Place], values: dict[Place, int]) -> int:
    """How many qubits of the buffers depend on these places afterwards."""
    ends = [case.effect(case.rows(values | dict(zip(live, bits, strict=True)))) for bits in product((0, 1), repeat=len(live))]
    flat = np.array([[bit for line in end for buffer in line.values() for bit in buffer] for end in ends])
    return int((flat != flat[0]).any(axis=0).sum())


def some_places(case: Case, values: dict[Place, int], rng: np.random.Generator) -> list[Place]:
    """Random places, on as many ranks as possible."""
    live: list[Place] = []
    places = [list(values)[k] for k in rng.permutation(len(values))]
    for _ in range(SUPERPOSED[len(case.sides)]):
        places.sort(key=lambda place: sum(other[0] == place[0] for other in live))
        live += [place for place in places if place not in live and reached(case, [*live, place], values) <= REACHED][:1]
    return sorted(live)


def superpose(comm: qmpi.Comm, handles: Mapping[Place, qmpi.Qubit], places: Sequence[Place], rng: np.random.Generator) -> None:
    """A random state of each place and the next, then a random unitary on each rank's. Collective; handles: this rank's.

    No two amplitudes have the same modulus, so they can be told apart. (Those of an EPR pair would, whatever the ranks do to it.)
    """
    for a, b in zip(places[:-1:2], places[1::2], strict=False):
        matrix = random_unitary(rng, 2)
        if comm.rank == a[0]:
            courier = comm.alloc(1)
            unitary(matrix, courier + handles[a])
            comm.send_move(courier, b[0])
        if comm.rank == b[0]:
            comm.recv_move(handles[b], a[0])
        if comm.rank == a[0]:
            comm.free(courier)
    for rank in range(comm.size):
        ours = [place for place in places if place[0] == rank]
        matrix = random_unitary(rng, len(ours))
        if rank == comm.rank and ours:
            unitary(matrix, qmpi.Register([handles[place] for place in ours]))


def require_whole_amplitudes(case: Case, before: View, after: View, live: list[Place], values: dict[Place, int], tolerance: float) -> None:
    """`values`: of the data that are in basis states."""
    spectators, seen = before.within("spectator"), after.within("send", "recv")
    rows = before.grouped(live, spectators)
    found = after.grouped(seen, after.within("held"), spectators)
    taken: dict[tuple[int, int], complex] = {}
    for row, bits in zip(rows, product((0, 1), repeat=len(live)), strict=True):
        effect = case.effect(case.rows(values | dict(zip(live, bits, strict=True))))
        goal = {(rank, name, k): int(bit) for rank, line in enumerate(effect) for name in line for k, bit in enumerate(line[name])}
        assert all(after.certain[place] == bit for place, bit in goal.items() if place not in seen), f"{case}: {bits} in {live}"
        index = int("0" + "".join(str(goal[place]) for place in seen), 2)
        beside = int(np.abs(np.abs(found[index]) - np.abs(row)).max(axis=1).argmin())
        taken[index, beside] = np.exp(1j * np.angle(np.vdot(row, found[index, beside])))
        phase = next(iter(taken.values()))  # of all alike: qubits that are in basis states have phases, too
        difference = np.abs(found[index, beside] - phase * row).max()
        assert difference < tolerance, f"{case}: {bits} in {live} is off by {difference:.3g}"
    assert len(taken) == len(rows), f"{case}: two basis states went to one"


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_each_amplitude_goes_where_its_basis_state_goes_and_comes_back(comm: qmpi.Comm, form: Form) -> None:
    rng = form.numbers(np.random.default_rng(2105))
    for case in form.cases(rng, comm.size, 1):
        check(comm, case, rng)


def check(comm: qmpi.Comm, case: Case, rng: np.random.Generator) -> None:
    tolerance = 2e-5 if testing.settings(comm).single_precision else 1e-12
    values = case.random(rng)
    live = some_places(case, values, rng)
    values = {place: bit for place, bit in values.items() if place not in live}
    spectator = comm.alloc(1)
    trial = Trial(comm, case, str(rng.choice(["call", "icall"])))
    buffers = {"send": trial.send, "recv": trial.recv, "spectator": spectator}
    handles = {(comm.rank, name, k): qubit for name, qubits in buffers.items() for k, qubit in enumerate(qubits)}
    far = (live[-1][0] + 1) % comm.size if live else 0
    superpose(comm, handles, [*live, (far, "spectator", 0)], rng)
    trial.set(values)
    before = look(comm, **buffers)
    trial.forward()
    after = look(comm, **(buffers | {"recv": trial.recv, "held": trial.held}))
    require_whole_amplitudes(case, before, after, live, values, tolerance)
    trial.inverse()
    again = look(comm, **buffers)
    assert (again.places, again.certain) == (before.places, before.certain), str(case)
    phase = np.vdot(before.tensor, again.tensor)
    assert np.abs(again.tensor - phase * before.tensor).max() < tolerance, f"{case} came back as another state"
    qmpi.reset(spectator)
    comm.free(spectator)
    trial.free()


@pytest.mark.parametrize("count", [1, 2])
def test_a_cat_state_is_all_zeros_and_all_ones_and_uncat_takes_it_back(comm: qmpi.Comm, rng: np.random.Generator, count: int) -> None:
    def spent() -> np.ndarray:
        total = comm.ledger.total()
        return np.array([total.epr_pairs, total.classical_bits])

    case = CAT.case(rng, comm.size, count)
    trial, costs = Trial(comm, case), [spent()]
    trial.forward()
    costs.append(spent())
    width = len(trial.recv)
    cat = np.zeros((2,) * (width * comm.size), complex)
    for bits in product((0, 1), repeat=width):
        cat[bits * comm.size] = 2 ** (-width / 2)
    tolerance = 2e-5 if testing.settings(comm).single_precision else 1e-12
    np.testing.assert_allclose(comm.statevector(trial.recv), cat.reshape(-1), atol=tolerance, rtol=0)
    trial.inverse()
    costs.append(spent())
    assert not trial.bits()["recv"].any()
    assert tuple(np.diff(costs, axis=0).reshape(-1)) == astuple(case.cost)
    trial.free()
