"""On basis states a collective does what MPI's call of the same name does, stays a product state, and costs what the standard says.

The expectation is a dull function of all ranks' bits; where ranks are processes, mpi4py performs the same call and must agree with it.
"""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

import qmpi
from qmpi import testing
from tests.laws.forms import FORMS, Case, Form, Trial
from tests.laws.forms.case import over_mpi4py

pytestmark = pytest.mark.also_in("mpi:5:fast", "mpi:6:faithful")

Row = dict[str, np.ndarray]


def by_mpi(comm: qmpi.Comm, case: Case, row: Row) -> dict[int, int]:
    """What mpi4py makes of this rank's receive buffer, where it performs the call."""
    if not over_mpi4py(comm):
        return {}
    return dict(case.by_mpi(comm.mpi, comm.rank, row["send"].copy(), row["recv"].copy()))


def spent(comm: qmpi.Comm) -> np.ndarray:
    """EPR halves and bits sent through this communicator; test_ledger.py has it that all views of the ledger agree."""
    charges = testing.spent(comm)
    return np.array([charges.epr_halves, charges.bits_sent])


def require(found: Row, expected: Row, where: str) -> None:
    for buffer, bits in expected.items():
        assert found[buffer].tolist() == bits.tolist(), f"{where}: the {buffer} buffer"


def perform(comm: qmpi.Comm, case: Case, rng: np.random.Generator) -> np.ndarray:
    """The call and its inverse on random bits; returns this rank's EPR halves and bits sent, of both."""
    values, how = case.random(rng), str(rng.choice(["call", "icall", "block"]))
    before = case.rows(values)
    after = case.effect(before)
    here, where, held = comm.rank, f"{case}, {how}, of {before}, on rank {comm.rank}", testing.qubits_held(comm)
    expected = by_mpi(comm, case, before[here])
    assert {k: after[here]["recv"][k] for k in expected} == expected, f"mpi4py disagrees: {where}"

    trial = Trial(comm, case, how)
    trial.set(values)
    costs = [spent(comm)]
    result = trial.forward()
    costs.append(spent(comm))
    require(trial.bits(), after[here], f"after {where}")
    assert result == case.returns(here, trial.send, trial.recv), f"{where} returned {result}"
    trial.inverse()
    costs.append(spent(comm))
    given = {"send": before[here]["send"], "recv": before[here]["recv"][: len(trial.recv)]}
    require(trial.bits(), given, f"undone {where}")
    trial.free()
    assert testing.qubits_held(comm) == held, f"{where} kept qubits of the library"
    return np.diff(costs, axis=0).reshape(-1)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_mpi_s_call_and_the_inverse_takes_it_back(comm: qmpi.Comm, rng: np.random.Generator, faithful: bool, form: Form) -> None:
    rng = form.numbers(rng)
    cases, store = list(form.cases(rng, comm.size)), comm.store_report()
    costs = comm.mpi.allgather([perform(comm, case, rng) for case in cases])
    for case, (halves, bits, inverse_halves, inverse_bits) in zip(cases, np.sum(costs, axis=0), strict=True):
        assert (halves / 2, bits, inverse_halves / 2, inverse_bits) == astuple(case.cost), str(case)
    report = comm.store_report()
    assert report.components == store.components
    if not faithful and not any(case.over_pairs for case in cases):
        assert report.merges == store.merges
