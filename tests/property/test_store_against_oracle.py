"""Whatever gates, measurements and resets come in whatever order, the store's amplitudes are the dense oracle's, global phase included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmpi import Register, gates, measure, reset
from qmpi._core import Arena, Session, kernels

from ..oracle import Oracle, random_unitary
from ..unit.conftest import state

QUBITS = 6
VARIABLE = {"mcx", "mcp", "unitary", "pauli_rotation"}
FIXED = sorted(set(gates.TABLE) - VARIABLE)

angle = st.floats(-7, 7)
places = st.permutations(range(QUBITS))
# Diagonal gates, permutations and basis states take ways of their own through the store, so they come often.
often = ["x", "cx", "cz", "swap", "ccx", "cswap", "iswap", "cp", "rzz", "h"]
step = st.one_of(
    st.tuples(st.just("gate"), st.sampled_from(FIXED), places, st.lists(angle, min_size=4, max_size=4)),
    st.tuples(st.just("gate"), st.sampled_from(often), places, st.lists(angle, min_size=4, max_size=4)),
    st.tuples(st.just("controlled"), st.sampled_from(["mcx", "mcp"]), places, st.tuples(st.integers(1, QUBITS - 1), angle)),
    st.tuples(st.just("unitary"), st.integers(1, 3), places, st.sampled_from(["dense", "diagonal", "permutation"])),
    st.tuples(st.just("pauli"), st.text("IXYZ", min_size=1, max_size=QUBITS), places, angle),
    st.tuples(st.sampled_from(["measure", "reset"]), st.integers(0, 1), places, st.none()),
)


def user_unitary(kind: str, qubits: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "dense":
        return random_unitary(rng, qubits)
    phases = np.exp(1j * rng.uniform(0, 6.28, 2**qubits))
    return np.diag(phases) if kind == "diagonal" else np.diag(phases)[rng.permutation(2**qubits)]


def pauli_matrix(paulis: str) -> np.ndarray:
    letters = {
        "I": np.eye(2),
        "X": np.array([[0, 1], [1, 0]]),
        "Y": np.array([[0, -1j], [1j, 0]]),
        "Z": np.diag([1, -1]),
    }
    product = np.eye(1)
    for letter in paulis:
        product = np.kron(letters[letter], product)
    return product


def run_step(session: Session, qubits: tuple, oracle: Oracle, what, name, order, extra) -> None:
    if what == "gate":
        row = gates.TABLE[name]
        count, parameters = row.controls + row.targets, extra[: row.parameters]
        getattr(gates, name)(*parameters, *(qubits[k] for k in order[:count]))
        oracle.apply(gates.matrix(name, *parameters), order[:count])
    elif what == "controlled":
        controls, theta = extra
        parameters = (theta,) if name == "mcp" else ()
        getattr(gates, name)(*parameters, Register([qubits[k] for k in order[:controls]]), qubits[order[controls]])
        oracle.apply(gates.matrix(name, *parameters, controls=controls), order[: controls + 1])
    elif what == "unitary":
        matrix = user_unitary(extra, name, sum(order[:2]))
        gates.unitary(matrix, Register([qubits[k] for k in order[:name]]))
        oracle.apply(matrix, order[:name])
    elif what == "pauli":
        gates.pauli_rotation(extra, name, Register([qubits[k] for k in order[: len(name)]]))
        p = pauli_matrix(name)
        oracle.apply(np.cos(extra / 2) * np.eye(len(p)) - 1j * np.sin(extra / 2) * p, order[: len(name)])
    else:
        wanted = name if oracle.weight(order[0], name) > 1e-6 else 1 - name
        session.force(wanted, 1)
        if what == "measure":
            assert measure(qubits[order[0]]) == wanted
            oracle.measure(order[0], wanted)
        else:
            # A reset forgets the phase with which it found the qubit: compared up to that by normalising it away.
            reset(qubits[order[0]])
            oracle.reset(order[0], wanted)


@pytest.mark.parametrize("isa", kernels.available())
@pytest.mark.parametrize("single_precision", [False, True])
@pytest.mark.parametrize("planned_from", [2, 13], ids=["gates are planned together", "gates run one by one"])
def test_the_store_equals_a_dense_simulation(isa, single_precision, planned_from, monkeypatch):
    monkeypatch.setenv("QMPI_ISA", isa)

    @settings(derandomize=True, database=None)
    @given(st.lists(step, max_size=25))
    def law(steps):
        session = Session(Arena.create(1, 1, False, single_precision, 1 << 24), 0)
        session.set_planned_from(planned_from)
        qubits = session.alloc(QUBITS)
        oracle = Oracle()
        for k in range(QUBITS):
            oracle.add(k)
        phase_is_known = True
        for entry in steps:
            run_step(session, qubits, oracle, *entry)
            phase_is_known = phase_is_known and entry[0] != "reset"
        ours, theirs = state([session], [qubits]), oracle.vector(range(QUBITS))
        if not phase_is_known:
            overlap = np.vdot(ours, theirs)
            ours = ours * overlap / abs(overlap)
        np.testing.assert_allclose(ours, theirs, atol=2e-5 if single_precision else 1e-12)
        np.testing.assert_allclose(np.linalg.norm(ours), 1, atol=2e-5 if single_precision else 1e-12)

    law()
