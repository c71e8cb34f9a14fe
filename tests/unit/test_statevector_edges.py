"""Where state vectors end: closed ones, arguments that are nearly right, files that are nearly theirs, reads after every kind of call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import qmpi
from qmpi import errors
from tests import dense


def on_one_rank(program: Callable[[qmpi.Comm], Any], **settings: Any) -> Any:
    return qmpi.run(lambda: program(qmpi.COMM_WORLD), 1, **({"seed": 53} | settings))[0]


# --- closed ---------------------------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[qmpi.StateVector, Path], Any]] = {
    "apply": lambda state, folder: state.apply([("h", (0,), ())]),
    "apply compiled": lambda state, folder: state.apply(state.compile([("h", (0,), ())])),
    "gate": lambda state, folder: state.h(0),
    "flush": lambda state, folder: state.flush(),
    "restore_order": lambda state, folder: state.restore_order(),
    "reset": lambda state, folder: state.reset(),
    "reset of a qubit": lambda state, folder: state.reset(0),
    "set_amplitudes": lambda state, folder: state.set_amplitudes(np.eye(8)[0]),
    "copy": lambda state, folder: state.copy(),
    "measure": lambda state, folder: state.measure(0),
    "measure several": lambda state, folder: state.measure([0, 1]),
    "sample": lambda state, folder: state.sample(1),
    "counts": lambda state, folder: state.counts(1),
    "probabilities": lambda state, folder: state.probabilities([0]),
    "amplitudes": lambda state, folder: state.amplitudes([0]),
    "expectation": lambda state, folder: state.expectation("ZZZ"),
    "norm": lambda state, folder: state.norm(),
    "fidelity": lambda state, folder: state.fidelity(qmpi.StateVector(qmpi.COMM_WORLD, 3)),
    "fidelity with it": lambda state, folder: qmpi.StateVector(qmpi.COMM_WORLD, 3).fidelity(state),
    "save": lambda state, folder: state.save(folder / "state.h5"),
    "load": lambda state, folder: state.load(folder / "good.h5"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_state_refuses_every_call(tmp_path: Path, name: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 3)
        state.x(1)
        state.save(tmp_path / "good.h5")
        state.close()
        state.close()  # once more does nothing
        with pytest.raises(errors.Closed):
            CALLS[name](state, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["good.h5"]

    on_one_rank(program)


def test_a_block_closes_its_state_whatever_happens_in_it() -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(KeyError), qmpi.StateVector(comm, 12) as state:
            raise KeyError
        assert comm.store_report().bytes == 0
        with pytest.raises(errors.Closed):
            state.norm()

    on_one_rank(program)


# --- arguments ------------------------------------------------------------------------------------------------------------------------

WRONG: dict[str, Callable[[qmpi.StateVector], Any]] = {
    "complex coefficients": lambda state: state.expectation(["ZZZ"], [1j]),
    "an array of complex coefficients": lambda state: state.expectation(["ZZZ"], np.array([1 + 1j])),
    "coefficients that are no numbers": lambda state: state.expectation(["ZZZ"], ["a"]),
    "coefficients that are not finite": lambda state: state.expectation(["ZZZ"], [np.nan]),
    "one qubit for a tuple of them": lambda state: state.apply([("h", 0, ())]),
    "one angle for a tuple of them": lambda state: state.apply([("rx", (0,), 0.3)]),
    "no list": lambda state: state.apply(None),
    "one control for a list of them": lambda state: state.mcx(0, 1),
    "another kind of state": lambda state: state.fidelity(np.ones(8)),
    "one qubit for a list of them": lambda state: state.probabilities(0),
    "no string": lambda state: state.expectation(5),
    "no type": lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 3, "complex127"),
    "an angle that is infinite": lambda state: state.rx(np.inf, 0),
    "a matrix that is not finite": lambda state: state.unitary([[np.nan, 0], [0, 1]], [0]),
    "a qubit beyond 64 bits": lambda state: state.h(2**70),
    "a qubit beyond 32 bits": lambda state: state.measure(2**40),
    "an index beyond 64 bits": lambda state: state.amplitudes([2**70]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", WRONG)
def test_an_argument_that_cannot_be_is_refused_and_nothing_is_touched(kind: str) -> None:
    """What is of another kind may be a TypeError, as Python has it."""

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 3)
        state.h(2)
        with pytest.raises((errors.InvalidArgument, TypeError)):
            WRONG[kind](state)
        np.testing.assert_allclose(state.amplitudes([0, 4]), [0.5**0.5] * 2, atol=1e-15)

    on_one_rank(program)


RIGHT: dict[str, tuple[Callable[[qmpi.StateVector], Any], Any]] = {
    "NumPy's whole numbers": (lambda state: state.probabilities([np.int8(2), np.uint64(0)])[[0, 1]], [0.5, 0.5]),
    "a generator of gates": (lambda state: [state.apply(("x", (k,), ()) for k in range(3)), state.amplitudes([7, 3])][1], [0.5**0.5] * 2),
    "indices of any shape": (lambda state: state.amplitudes([[0, 1], [4, 5]]), [[0.5**0.5, 0], [0.5**0.5, 0]]),
    "one index": (lambda state: state.amplitudes(4), 0.5**0.5),
    "no indices": (lambda state: state.amplitudes(np.zeros(0, int)), []),
    "no qubits": (lambda state: state.probabilities([]), [1]),
    "no strings": (lambda state: state.expectation([]), 0),
    "one string": (lambda state: state.expectation("IIX"), 1),
    "integers as coefficients": (lambda state: state.expectation(["IIX", "ZII"], [2, 3]), 5),
    "an empty list of gates": (lambda state: [state.apply([]), state.amplitudes([4])][1], [0.5**0.5]),
    "the name of a type": (lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 1, "complex64").amplitudes([0]), [1]),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_an_argument_that_can_be_is_taken(kind: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 3)
        for qubit in (0, 1, 2):
            state.h(qubit)
        state.h(0)
        state.h(1)
        state.sx(0)
        state.sxdg(0)
        found, expected = RIGHT[kind][0](state), RIGHT[kind][1]
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, atol=1e-15)

    on_one_rank(program)


def test_what_is_returned_is_the_caller_s_to_write() -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 3)
        for found in (state.amplitudes(np.arange(8)), state.probabilities([0, 1, 2]), state.sample(5)):
            found[:] = 5
        np.testing.assert_array_equal(state.amplitudes(np.arange(8)), np.eye(1, 8)[0])

    on_one_rank(program)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("h", lambda state: state.h(7)),
        ("mcx", lambda state: state.mcx([1], 1)),
        ("apply", lambda state: state.apply([("h", (7,), ())])),
        ("compile", lambda state: state.compile([("h", (7,), ())])),
        ("measure", lambda state: state.measure(7)),
        ("sample", lambda state: state.sample(0)),
        ("load", lambda state: state.load("/no/such/file")),
        ("save", lambda state: state.save("/no/such/folder/file")),
        ("StateVector", lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 0)),
        ("StateVector", lambda state: qmpi.StateVector(qmpi.COMM_WORLD, 40)),
    ],
)
def test_a_refusal_names_the_call_that_the_program_made(name: str, call: Callable[[qmpi.StateVector], Any]) -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(qmpi.QMPIError) as caught:
            call(qmpi.StateVector(comm, 3))
        assert caught.value.call == name and __file__ in caught.value.where

    on_one_rank(program)


# --- measurement ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_a_measurement_projects_whichever_outcome_comes(dtype: Any) -> None:
    """Of a random state; both outcomes come under some seed, and the state that is left is the projection of what was there."""
    gates = [*dense.random_gates(np.random.default_rng(61), 6, 60, widest=4), ("swap", (1, 4), ())]
    before = dense.run(dense.zero_state(6), gates)
    indices = np.arange(64)

    def program(comm: qmpi.Comm) -> list[int]:
        outcomes = []
        for qubit in range(6):
            state = qmpi.StateVector(comm, 6, dtype)
            state.apply(gates)
            outcome = state.measure(qubit)
            projected = before * ((indices >> qubit & 1) == outcome)
            tolerance = 1e-13 if dtype is np.complex128 else 1e-6
            np.testing.assert_allclose(state.amplitudes(indices), projected / np.linalg.norm(projected), atol=tolerance)
            assert state.measure(qubit) == outcome
            outcomes.append(outcome)
        return outcomes

    came = np.array([on_one_rank(program, seed=seed) for seed in range(20)])
    assert (came.min(axis=0) == 0).all() and (came.max(axis=0) == 1).all()


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_what_only_rounding_has_left_is_never_measured_or_drawn(dtype: Any) -> None:
    """A qubit that was turned around and back is 0, though its amplitude of 1 may be 10^-17 (complex64: 10^-8)."""
    angles = np.random.default_rng(61).uniform(0.1, 3, 40)

    def program(comm: qmpi.Comm) -> float:
        state = qmpi.StateVector(comm, 3, dtype)
        state.x(2)
        for angle in [*angles, -np.sum(angles)]:
            state.ry(float(angle), 1)
            state.flush()  # else they are one turn by 0
        left = abs(state.amplitudes(6))
        assert state.measure(1) == 0
        assert set(state.sample(200).tolist()) == {4}
        return left

    left = [on_one_rank(program, seed=seed) for seed in range(20)]
    assert 0 < max(left) < np.finfo(dtype).eps * 20


# --- files ----------------------------------------------------------------------------------------------------------------------------


def rewritten(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return rewrite


def replaced(values: Any) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file["amplitudes"]
        if values is not None:
            file["amplitudes"] = values

    return rewritten(change)


def grouped(file: h5py.File) -> None:
    del file["amplitudes"]
    file.create_group("amplitudes")


def unmarked(name: str) -> Callable[[Path], None]:
    return rewritten(lambda file: file.attrs.__delitem__(name))


def marked(name: str, value: Any) -> Callable[[Path], None]:
    return rewritten(lambda file: file.attrs.__setitem__(name, value))


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut off": shortened,
    "empty": lambda path: path.write_bytes(b""),
    "of another format": marked("format", 2),
    "without a format": unmarked("format"),
    "without a number of qubits": unmarked("qubits"),
    "with a number of qubits that is none": marked("qubits", "four"),
    "with the number of qubits of another": marked("qubits", 5),
    "without amplitudes": replaced(None),
    "with a group for amplitudes": rewritten(grouped),
    "with too few amplitudes": replaced(np.eye(1, 8, dtype=complex)[0]),
    "with amplitudes in two dimensions": replaced(np.eye(4, dtype=complex) / 2),
    "with words for amplitudes": replaced(["one"] * 16),
    "with zeros for amplitudes": replaced(np.zeros(16, complex)),
    "with what is not finite": replaced(np.array([np.nan] * 16, complex)),
    "of another norm": replaced(np.ones(16, complex)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_what_save_writes_is_refused_and_the_state_stays(tmp_path: Path, damage: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        state.h(2)
        state.save(tmp_path / "state.h5")
        DAMAGE[damage](tmp_path / "state.h5")
        state.x(0)
        with pytest.raises(qmpi.QMPIError):
            state.load(tmp_path / "state.h5")
        np.testing.assert_allclose(state.amplitudes([1, 5]), [0.5**0.5] * 2, atol=1e-15)

    on_one_rank(program)


def test_a_file_that_cannot_be_replaced_stays_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "state.h5").mkdir()
    (tmp_path / "state.h5" / "kept").touch()

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        with pytest.raises(qmpi.QMPIError, match="cannot write"):
            state.save(tmp_path / "state.h5")
        np.testing.assert_array_equal(state.amplitudes([0]), [1])

    on_one_rank(program)
    assert [path.name for path in tmp_path.iterdir()] == ["state.h5"]
    assert [path.name for path in (tmp_path / "state.h5").iterdir()] == ["kept"]


def test_a_file_is_replaced_by_the_next(tmp_path: Path) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4, np.complex64)
        state.save(tmp_path / "state.h5")
        state.x(3)
        state.save(str(tmp_path / "state.h5"))
        double = qmpi.StateVector(comm, 4)
        double.load(tmp_path / "state.h5")
        np.testing.assert_array_equal(double.amplitudes(np.arange(16)), np.eye(16)[8])

    on_one_rank(program)
    assert [path.name for path in tmp_path.iterdir()] == ["state.h5"]


# --- many gates -----------------------------------------------------------------------------------------------------------------------


def test_more_gates_than_wait_at_once_are_all_applied() -> None:
    """20,000 of them, in lists and one by one."""
    rng = np.random.default_rng(67)
    gates = dense.random_gates(rng, 4, 300, names=["h", "t", "cx", "rx", "swap", "ccx", "rzz"])

    def program(comm: qmpi.Comm) -> np.ndarray:
        state = qmpi.StateVector(comm, 4)
        for _ in range(33):
            state.apply(gates)
        for _ in range(33):
            for gate in gates:
                state.apply([gate])
        return state.amplitudes(np.arange(16))

    once = np.array([dense.run(column, gates) for column in np.eye(16, dtype=complex)]).T
    np.testing.assert_allclose(on_one_rank(program), np.linalg.matrix_power(once, 66)[:, 0], atol=1e-11)


def test_state_vectors_do_not_disturb_each_other_nor_the_runtime() -> None:
    """Several at once, in turns with qubits of the same rank; each draws numbers of its own."""
    rng = np.random.default_rng(71)
    gates = [dense.random_gates(rng, 5, 30, widest=4) for _ in range(3)]

    def program(comm: qmpi.Comm) -> None:
        q = comm.alloc(2)
        states = [qmpi.StateVector(comm, 5) for _ in gates]
        for part in (slice(0, 10), slice(10, 20), slice(20, 30)):
            qmpi.h(q[0])
            for state, own in zip(states, gates, strict=True):
                state.apply(own[part])
                qmpi.cx(q[0], q[1])
            qmpi.cx(q[0], q[1])
            qmpi.h(q[0])
        for state, own in zip(states, gates, strict=True):
            np.testing.assert_allclose(state.amplitudes(np.arange(32)), dense.run(dense.zero_state(5), own), atol=1e-12)
        assert qmpi.measure(q[0]) == qmpi.measure(q[1]) == 0
        comm.free(q)
        for state in states:
            state.reset()
            for qubit in range(5):
                state.h(qubit)
        drawn = [state.sample(20).tolist() for state in states]
        assert drawn[0] != drawn[1] != drawn[2] != drawn[0]

    on_one_rank(program)
