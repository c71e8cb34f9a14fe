"""What all ranks must call alike, over any ranks and nodes; what is refused on every rank; and that `reset` then starts anew.

The nodes are pretended (QMPI_RANKS_PER_NODE); the ranks are threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi import errors
from tests import dense

Program = Callable[[qmpi.Comm], Any]
SEVERAL = [(2, ""), (3, ""), (2, "1"), (4, "2"), (4, "1")]  # ranks, ranks per node
over_several = pytest.mark.parametrize(("ranks", "ranks_per_node"), SEVERAL)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """`on(ranks, ranks_per_node, program)`: what each rank's `program(comm)` returned."""

    def run(ranks: int, ranks_per_node: str, program: Program, seed: int = 37) -> list[Any]:
        monkeypatch.setenv("QMPI_RANKS_PER_NODE", ranks_per_node)
        return qmpi.run(lambda: program(qmpi.COMM_WORLD), ranks, seed=seed)

    return run


# --- the same calls with the same arguments ---------------------------------------------------------------------------------------------

TURN = np.array([[0, 1], [1, 0]])
UNLIKE: dict[str, Callable[[qmpi.StateVector, qmpi.StateVector, int], Any]] = {
    "measured qubits": lambda state, twin, k: state.measure(k),
    "several measured qubits": lambda state, twin, k: state.measure([0, 1 + k]),
    "qubits that are reset": lambda state, twin, k: state.reset(k),
    "all qubits and one that are reset": lambda state, twin, k: state.reset(k or None),
    "shots": lambda state, twin, k: state.sample(5 + k),
    "shots that are counted": lambda state, twin, k: state.counts(5 + k),
    "qubits that are counted": lambda state, twin, k: state.counts(5, [k]),
    "qubits of probabilities": lambda state, twin, k: state.probabilities([0, 1 + k]),
    "order of probabilities": lambda state, twin, k: state.probabilities([k, 1 - k]),
    "indices": lambda state, twin, k: state.amplitudes([k]),
    "Pauli strings": lambda state, twin, k: state.expectation(["XXXX", "ZZZZ"][k]),
    "coefficients": lambda state, twin, k: state.expectation(["ZZZZ"], [k + 0.5]),
    "states of a fidelity": lambda state, twin, k: state.fidelity([state, twin][k]),
    "files": lambda state, twin, k: state.load(f"/no/such/file{k}"),
    "new files": lambda state, twin, k: state.save(f"/no/such/file{k}"),
    "calls": lambda state, twin, k: [state.norm, state.flush][k](),
    "roots": lambda state, twin, k: state.set_amplitudes(np.eye(16)[0], root=k),
    "sizes": lambda state, twin, k: qmpi.StateVector(qmpi.COMM_WORLD, 4 + k),
    "precisions": lambda state, twin, k: qmpi.StateVector(qmpi.COMM_WORLD, 4, [np.complex128, np.complex64][k]),
    "orders of states": lambda state, twin, k: [each.norm() for each in [state, twin][:: 1 - 2 * k]],
}
OTHER_GATES: dict[str, Callable[[qmpi.StateVector, int], Any]] = {
    "gates": lambda state, k: (state.apply([[("h", (0,), ()), ("x", (0,), ())][k]]), state.norm()),
    "qubits of a gate": lambda state, k: (state.h(k), state.flush()),
    "angles": lambda state, k: (state.rx(0.5 + k, 0), state.sample(1)),
    "letters": lambda state, k: (state.pauli_rotation(0.5, "XZ"[k], [0]), state.measure(0)),
    "matrices": lambda state, k: (state.unitary(TURN * (1 - 2 * k), [0]), state.measure(0)),
    "numbers of gates": lambda state, k: ([state.x(0) for _ in range(k)], state.norm()),
    "orders of gates": lambda state, k: (state.apply([("h", (0,), ()), ("x", (0,), ())][:: 1 - 2 * k]), state.flush()),
    "compiled gates": lambda state, k: (state.apply(state.compile([("rx", (0,), (0.5 + k,))])), state.norm()),
    "orders of qubits": lambda state, k: (state.apply(state.compile([("swap", (0, 3), ())], restore_order=k == 0)), state.norm()),
}


@over_several
@pytest.mark.parametrize("what", UNLIKE)
def test_calls_that_differ_are_refused_on_every_rank_and_the_state_is_as_before(
    on: Callable[..., list[Any]], what: str, ranks: int, ranks_per_node: str
) -> None:
    """The last rank calls otherwise."""

    def program(comm: qmpi.Comm) -> list[int]:
        state = qmpi.StateVector(comm, 4)
        state.h(2)
        twin = state.copy()
        state.ry(0.6, 3)
        with pytest.raises(errors.MismatchedCollective, match="all ranks must make the same"):
            UNLIKE[what](state, twin, int(comm.rank == comm.size - 1))
        expected = dense.run(dense.zero_state(4), [("h", (2,), ()), ("ry", (3,), (0.6,))])
        np.testing.assert_allclose(state.amplitudes(np.arange(16)), expected, atol=1e-12)
        return [state.measure(2), *state.sample(20).tolist()]

    drawn = on(ranks, ranks_per_node, program)
    assert drawn == [drawn[0]] * ranks


@over_several
@pytest.mark.parametrize("what", OTHER_GATES)
def test_gates_that_differ_are_refused_on_every_rank_and_reset_starts_anew(
    on: Callable[..., list[Any]], what: str, ranks: int, ranks_per_node: str
) -> None:
    """The last rank applies others."""

    def program(comm: qmpi.Comm) -> list[int]:
        state = qmpi.StateVector(comm, 4)
        state.h(2)
        with pytest.raises(errors.MismatchedCollective, match=r"other gates than rank 0|in the same order"):
            OTHER_GATES[what](state, int(comm.rank == comm.size - 1))
        state.reset()
        state.h(3)
        np.testing.assert_allclose(state.amplitudes([0, 8]), [0.5**0.5] * 2, atol=1e-12)
        return [state.measure(3), *state.sample(20).tolist()]

    drawn = on(ranks, ranks_per_node, program)
    assert drawn == [drawn[0]] * ranks


@over_several
def test_state_vectors_that_are_alike_are_not_mistaken_for_each_other(
    on: Callable[..., list[Any]], ranks: int, ranks_per_node: str
) -> None:
    def program(comm: qmpi.Comm) -> None:
        states = [qmpi.StateVector(comm, 4) for _ in range(2)]
        with pytest.raises(errors.MismatchedCollective, match="of another state vector"):
            states[comm.rank == 0].norm()
        with pytest.raises(errors.MismatchedCollective, match="of another state vector"):
            states[comm.rank == 0].reset()
        states[0].x(3)
        assert states[0].measure(3) == 1

    on(ranks, ranks_per_node, program)


def test_after_a_state_vector_that_only_one_rank_wanted_the_next_ones_draw_alike(on: Callable[..., list[Any]]) -> None:
    def program(comm: qmpi.Comm) -> list[int]:
        with pytest.raises(errors.MismatchedCollective):
            if comm.rank == 0:
                qmpi.StateVector(comm, 4)
            else:
                comm.barrier()
        state = qmpi.StateVector(comm, 4)
        state.h(0)
        return state.sample(30).tolist()

    for ranks_per_node in ("", "1"):
        drawn = on(2, ranks_per_node, program)
        assert drawn[0] == drawn[1]


@over_several
def test_a_state_whose_gates_differ_is_refused_until_it_is_reset(on: Callable[..., list[Any]], ranks: int, ranks_per_node: str) -> None:
    def program(comm: qmpi.Comm) -> list[Any]:
        state = qmpi.StateVector(comm, 4)
        if comm.rank == 0:
            state.h(0)
        for call in (state.norm, state.norm, lambda: state.measure(0), lambda: state.sample(3)):
            with pytest.raises(errors.MismatchedCollective, match="other gates than rank 0"):
                call()
        state.reset()
        state.h(1)
        return [state.measure(1), *state.sample(30).tolist(), state.norm() > 0.99]

    found = on(ranks, ranks_per_node, program)
    assert found == [found[0]] * ranks


def test_the_refusal_says_what_was_called(on: Callable[..., list[Any]]) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        with pytest.raises(errors.MismatchedCollective, match=r"rank 1 is in sample\(6\), rank 0 in sample\(5\)"):
            state.sample(5 + comm.rank)

    for ranks_per_node in ("", "1"):
        on(2, ranks_per_node, program)


# --- files that cannot be written -------------------------------------------------------------------------------------------------------


@pytest.fixture
def limited() -> Any:
    """`limited(bytes)`: no file may grow beyond it. As on a full disk, a write ends early or fails."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [100, 5000, 2**20])
@pytest.mark.parametrize(("ranks", "ranks_per_node"), [(1, ""), *SEVERAL])
def test_a_disk_that_is_full_leaves_the_old_file_and_a_process_that_goes_on(
    on: Callable[..., list[Any]], tmp_path: Path, limited: Callable[[int], None], ranks: int, ranks_per_node: str, limit: int
) -> None:
    def program(comm: qmpi.Comm) -> None:
        small, states = qmpi.StateVector(comm, 9), [qmpi.StateVector(comm, qubits) for qubits in (16, 18)]
        small.x(4)
        small.save(tmp_path / "x.h5")
        comm.mpi.Barrier()
        limited(limit)
        for state in states:
            state.h(3)
            with pytest.raises(qmpi.QMPIError, match=r"cannot write .*x\.h5"):
                state.save(tmp_path / "x.h5")
            small.reset()
            small.load(tmp_path / "x.h5")
            assert small.amplitudes(16) == 1
        comm.mpi.Barrier()
        limited(-1)
        states[0].save(tmp_path / "x.h5")
        states[0].load(tmp_path / "x.h5")
        np.testing.assert_allclose(states[0].amplitudes([0, 8]), [0.5**0.5] * 2, atol=1e-12)

    on(ranks, ranks_per_node, program)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


@pytest.mark.parametrize(("ranks", "ranks_per_node"), [(1, ""), (2, ""), (2, "1")])
def test_what_is_no_file_or_has_no_folder_is_refused_on_every_rank_before_anything_is_touched(
    on: Callable[..., list[Any]], tmp_path: Path, ranks: int, ranks_per_node: str
) -> None:
    import os

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "pipe")  # as good as a device, and no loss to the machine where this law is broken
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    before = sorted(path.name for path in tmp_path.iterdir())

    def program(comm: qmpi.Comm) -> list[type]:
        raised, state = [], qmpi.StateVector(comm, 3)
        for path in [str(tmp_path / name) for name in ("folder", "pipe", "link", "file/x.h5", "no/x.h5")]:
            with pytest.raises(qmpi.QMPIError, match=f"cannot write {path}") as caught:
                state.save(path)
            raised.append(type(caught.value))
        for name in ("folder", "pipe", "link"):
            with pytest.raises(qmpi.QMPIError, match="cannot read"):
                state.load(tmp_path / name)
        return raised

    assert on(ranks, ranks_per_node, program) == [[qmpi.QMPIError] * 5] * ranks
    assert sorted(path.name for path in tmp_path.iterdir()) == before and (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_one_and_a_file_of_the_user_s_beside_it_is_not_touched(on: Callable[..., list[Any]], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "state.h5")
    (tmp_path / "state.h5.part").write_text("mine")

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 3)
        state.save(tmp_path / "link")
        state.load(tmp_path / "state.h5")

    on(1, "", program)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "state.h5.part").read_text() == "mine"


# --- few qubits on many nodes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(2, 6))])
@pytest.mark.parametrize(
    ("ranks", "ranks_per_node", "qubits"), [(2, "1", 2), (4, "1", 3), (4, "1", 4), (8, "1", 4), (8, "1", 5), (8, "2", 3)]
)
def test_all_calls_equal_a_dense_simulation_where_nodes_have_fewer_qubits_than_their_number_has_bits(
    on: Callable[..., list[Any]], tmp_path: Path, ranks: int, ranks_per_node: str, qubits: int, seed: int, dtype: str
) -> None:
    tolerance = {"complex128": 1e-12, "complex64": 1e-5}[dtype]
    everything = np.arange(2**qubits)
    nodes = ranks // int(ranks_per_node)
    widest = qubits - nodes.bit_length() + 1  # of a gate

    def program(comm: qmpi.Comm) -> list[Any]:
        rng, outcomes = np.random.default_rng([seed, qubits]), []
        state, expected = qmpi.StateVector(comm, qubits, dtype), dense.zero_state(qubits)
        names = None if widest > 1 else ["h", "cx", "t", "swap", "mcx", "rzz", "u", "ccx"]
        for _ in range(25):
            gates = dense.random_gates(rng, qubits, int(rng.integers(1, 5)), widest, *([] if names is None else [names]))
            if names is not None:
                gates += dense.random_gates(rng, qubits, 4, min(3, qubits), names)
            state.apply(gates)
            expected = dense.run(expected, gates)
            match rng.integers(10):
                case 0:
                    string = "".join(rng.choice(list("XYXYZI"), qubits))
                    assert abs(state.expectation(string) - dense.expectation(expected, string)) < tolerance
                case 1:
                    outcomes += state.sample(5).tolist()
                    assert (np.abs(expected[outcomes[-5:]]) > 0).all()
                case 2:
                    qubit = int(rng.integers(qubits))
                    outcomes.append(state.measure(qubit))
                    kept = expected * ((everything >> qubit & 1) == outcomes[-1])
                    expected = kept / np.linalg.norm(kept)
                case 3:
                    order = rng.permutation(qubits).tolist()
                    values = sum((everything >> qubit & 1) << k for k, qubit in enumerate(order))
                    sums = np.bincount(values, np.abs(expected) ** 2, 2**qubits)
                    np.testing.assert_allclose(state.probabilities(order), sums, atol=tolerance)
                case 4:
                    state.restore_order()
                case 5:
                    state.save(tmp_path / "state.h5")
                    state.reset()
                    state.load(tmp_path / "state.h5")
                case 6:
                    twin = state.copy()
                    state.close()
                    state = twin
                case 7:
                    expected = dense.random_state(rng, qubits)
                    state.set_amplitudes(expected, root=int(rng.integers(comm.size)))
                case 8:
                    twin = state.copy()
                    twin.x(0)
                    flipped = dense.run(expected, [("x", (0,), ())])
                    assert abs(state.fidelity(twin) - abs(np.vdot(expected, flipped)) ** 2) < 10 * tolerance
                    twin.close()
            np.testing.assert_allclose(state.amplitudes(everything), expected, atol=tolerance, rtol=0)
        return outcomes

    on(ranks, ranks_per_node, program)


@pytest.mark.parametrize(("ranks", "ranks_per_node"), [(2, "1"), (4, "1"), (4, "2"), (8, "1")])
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("chunk", [1, 5, 2**20])
def test_a_product_that_flips_more_qubits_than_a_node_has_sends_half_a_share_and_changes_nothing(
    on: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch, ranks: int, ranks_per_node: str, dtype: str, chunk: int
) -> None:
    monkeypatch.setattr("qmpi.engine.exchange.CHUNK", chunk)
    rng, qubits, nodes = np.random.default_rng(41), 5, ranks // int(ranks_per_node)
    expected = dense.random_state(rng, qubits)
    strings = ["".join(letters) for letters in rng.choice(list("XY"), (8, qubits))]

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, qubits, dtype)
        state.set_amplitudes(expected, root=0)
        state.swap(0, 4)
        state.swap(0, 4)
        for string in strings:
            before = state.traffic.sent_bytes
            found = state.expectation(string)
            assert abs(found - dense.expectation(expected, string)) < {"complex128": 1e-14, "complex64": 1e-6}[dtype]
            if comm.rank % int(ranks_per_node) == 0:
                assert state.traffic.sent_bytes - before == 2**qubits // nodes // 2 * state.dtype.itemsize
        atol = {"complex128": 0, "complex64": 1e-7}[dtype]
        np.testing.assert_allclose(state.amplitudes(np.arange(2**qubits)), expected, atol=atol, rtol=0)

    on(ranks, ranks_per_node, program)


# --- threads, communicators, numbers ------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[qmpi.StateVector, Path], Any]] = {
    "gate": lambda state, folder: state.h(0),
    "apply": lambda state, folder: state.apply([("h", (0,), ())]),
    "apply compiled": lambda state, folder: state.apply(state.compile([("h", (0,), ())])),
    "flush": lambda state, folder: state.flush(),
    "restore_order": lambda state, folder: state.restore_order(),
    "reset": lambda state, folder: state.reset(),
    "reset of a qubit": lambda state, folder: state.reset(1),
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
    "fidelity": lambda state, folder: state.fidelity(state),
    "save": lambda state, folder: state.save(folder / "state.h5"),
    "load": lambda state, folder: state.load(folder / "good.h5"),
}
THREADS = {**CALLS, "close": lambda state, folder: state.close()}


def in_another_thread(call: Callable[[], Any]) -> BaseException | None:
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return raised[0] if raised else None


@pytest.mark.parametrize("name", THREADS)
def test_another_thread_is_refused_and_nothing_is_touched(on: Callable[..., list[Any]], tmp_path: Path, name: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 3)
        state.x(0)
        state.save(tmp_path / "good.h5")
        assert isinstance(in_another_thread(lambda: THREADS[name](state, tmp_path)), errors.SecondThread)
        np.testing.assert_array_equal(state.amplitudes(np.arange(8)), np.eye(8)[1])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["good.h5"]

    on(1, "", program)


def test_another_rank_s_thread_is_another_thread(on: Callable[..., list[Any]]) -> None:
    states: dict[int, qmpi.StateVector] = {}

    def program(comm: qmpi.Comm) -> None:
        states[comm.rank] = qmpi.StateVector(comm, 3)
        comm.mpi.Barrier()
        with pytest.raises(errors.SecondThread):
            states[1 - comm.rank].h(0)
        comm.mpi.Barrier()

    on(2, "", program)


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_communicator_has_no_state_vectors(on: Callable[..., list[Any]], tmp_path: Path, name: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        own = comm.dup()
        state = qmpi.StateVector(own, 3)
        state.save(tmp_path / "good.h5")
        own.close()
        with pytest.raises(errors.Closed):
            CALLS[name](state, tmp_path)
        with pytest.raises(errors.Closed):
            qmpi.StateVector(own, 3)
        state.close()
        assert comm.store_report().bytes == 0

    on(1, "", program)


def test_fidelity_with_a_state_of_other_ranks_is_refused(on: Callable[..., list[Any]]) -> None:
    def program(comm: qmpi.Comm) -> None:
        part = comm.split(comm.rank // 2)
        turned = comm.split(0, key=-comm.rank)
        assert part is not None and turned is not None
        whole, half, other = (qmpi.StateVector(each, 3) for each in (comm, part, turned))
        for first, second in ((whole, half), (half, whole), (whole, other)):
            with pytest.raises(errors.InvalidArgument, match="over the same ranks"):
                first.fidelity(second)
        with qmpi.StateVector(comm.dup(), 3) as twin:
            assert twin.fidelity(whole) == 1

    on(4, "", program)


def test_no_communicator_is_refused(on: Callable[..., list[Any]]) -> None:
    def program(comm: qmpi.Comm) -> None:
        for wrong in (None, 3, "world"):
            with pytest.raises(errors.CommunicatorError):
                qmpi.StateVector(wrong, 3)

    on(1, "", program)


class Three:
    """What stands for a whole number."""

    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize("three", [3, np.int64(3), np.uint8(3), np.array(3), Three()], ids=lambda value: type(value).__name__)
def test_whatever_stands_for_a_whole_number_is_taken_as_one(on: Callable[..., list[Any]], three: Any) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, three)
        assert state.num_qubits == 3 and type(state.num_qubits) is int
        four = qmpi.StateVector(comm, np.int32(4))
        four.x(three)
        four.apply([("cx", (three, 0), ())])
        four.mcx([three], 1)
        assert four.measure(three) == 1 and four.measure([three, 2]) == (1, 0)
        np.testing.assert_allclose(four.probabilities([three]), [0, 1])
        assert four.sample(three).tolist() == [11] * 3 and four.counts(three, [three]) == {"1": 3}
        four.reset(three)
        assert four.amplitudes(3) == 1

    on(1, "", program)


FLOATS: dict[str, Callable[[qmpi.StateVector, Any], Any]] = {
    "qubits of a state": lambda state, number: qmpi.StateVector(qmpi.COMM_WORLD, number),
    "qubit of a gate": lambda state, number: state.h(number),
    "control": lambda state, number: state.mcx([number], 0),
    "measured qubit": lambda state, number: state.measure(number),
    "measured qubits": lambda state, number: state.measure([number]),
    "qubit that is reset": lambda state, number: state.reset(number),
    "qubit of probabilities": lambda state, number: state.probabilities([number]),
    "shots": lambda state, number: state.sample(number),
    "shots that are counted": lambda state, number: state.counts(number),
    "root": lambda state, number: state.set_amplitudes(np.eye(16)[0], root=number),
    "index": lambda state, number: state.amplitudes([number]),
}


@pytest.mark.parametrize("number", [2.0, np.float64(2), Fraction(2), "2", 2 + 0j], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("what", FLOATS)
def test_a_float_is_no_whole_number(on: Callable[..., list[Any]], what: str, number: Any) -> None:
    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        with pytest.raises(errors.InvalidArgument):
            FLOATS[what](state, number)
        assert state.amplitudes(0) == 1

    on(1, "", program)


# --- precision ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.complex64, np.float32])
@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_matrix_is_as_unitary_as_its_own_precision_allows(on: Callable[..., list[Any]], kind: Any, width: int) -> None:
    rng = np.random.default_rng(43)
    exact = np.linalg.qr(
        rng.normal(size=(2**width, 2**width)) + (1j if kind is np.complex64 else 0) * rng.normal(size=(2**width, 2**width))
    )[0]
    given = exact.astype(kind)
    assert abs(given.conj().T.astype(complex) @ given - np.eye(2**width)).max() > 1e-9

    def program(comm: qmpi.Comm) -> None:
        q = comm.alloc(width)
        qmpi.unitary(given, q)
        np.testing.assert_allclose(comm.statevector(q), exact[:, 0], atol=1e-6)
        qmpi.reset(q)
        for dtype in (np.complex128, np.complex64):
            state = qmpi.StateVector(comm, width, dtype)
            state.unitary(given, range(width))
            state.apply([("unitary", range(width), (given,))])
            np.testing.assert_allclose(state.amplitudes(np.arange(2**width)), (exact @ exact)[:, 0], atol=1e-6)
        for wrong in (given.astype(complex), given * kind(1.0001)):  # off by as much in double; by more in single
            with pytest.raises(errors.NotUnitary):
                state.unitary(wrong, range(width))
            with pytest.raises(errors.NotUnitary):
                qmpi.unitary(wrong, q)

    on(1, "", program)
