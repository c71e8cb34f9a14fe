"""Laws of the state vector on any number of ranks: it equals a dense simulation, whatever is called in whatever order."""

from __future__ import annotations

import numpy as np
import pytest

import qmpi
from qmpi import errors
from tests import dense

NODES = ("2:1-per-node", "4:1-per-node", "4:2-per-node")
pytestmark = pytest.mark.also_in(*(f"{kind}:{nodes}" for kind in ("threads", "mpi") for nodes in NODES))

TOLERANCE = {np.complex128: 1e-11, np.complex64: 5e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
QUBITS = 9
EVERYTHING = np.arange(2**QUBITS)


def bits(qubit: int) -> np.ndarray:
    return EVERYTHING >> qubit & 1


@dtypes
def test_gates_reads_and_measurements_in_any_order_equal_a_dense_simulation(
    comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating]
) -> None:
    tolerance = TOLERANCE[dtype]
    state, expected = qmpi.StateVector(comm, QUBITS, dtype), dense.zero_state(QUBITS)
    for _ in range(12):
        gates = dense.random_gates(rng, QUBITS, int(rng.integers(1, 30)), widest=QUBITS - 2)
        state.apply(gates)
        expected = dense.run(expected, gates)
        match rng.integers(6):
            case 0:
                strings = ["".join(rng.choice(list("IXYZ"), QUBITS - 2)) + "ZI" for _ in range(4)] + ["I" * QUBITS]
                factors = rng.normal(size=5)
                mean = sum(factor * dense.expectation(expected, s) for factor, s in zip(factors, strings, strict=True))
                assert abs(state.expectation(strings, factors) - mean) < 10 * tolerance
            case 1:
                chosen = rng.permutation(QUBITS)[:4].tolist()
                values = sum(bits(qubit) << k for k, qubit in enumerate(chosen))
                sums = np.bincount(values, np.abs(expected) ** 2, 16)
                np.testing.assert_allclose(state.probabilities(chosen), sums, atol=tolerance)
            case 2:
                outcomes = state.sample(64)
                assert outcomes.dtype == np.uint64 and (np.abs(expected[outcomes.astype(int)]) > 0.01 * tolerance).all()
            case 3:
                qubit = int(rng.integers(QUBITS))
                kept = expected * (bits(qubit) == state.measure(qubit))
                expected = kept / np.linalg.norm(kept)
                assert state.measure(qubit) == int(bits(qubit)[np.flatnonzero(expected)[0]])
            case 4:
                assert abs(state.norm() - 1) < tolerance
        np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=tolerance, rtol=0)
    state.restore_order()
    np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=tolerance, rtol=0)
    state.close()


@dtypes
def test_compiled_gates_do_the_same_each_time_wherever_the_qubits_are(
    comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating]
) -> None:
    gates = [*dense.random_gates(rng, QUBITS, 20, widest=5), ("swap", (0, 7), ()), ("swap", (7, 3), ())]
    with qmpi.StateVector(comm, QUBITS, dtype) as state:
        compiled, expected = state.compile(gates), dense.zero_state(QUBITS)
        assert len(compiled) == len(gates)
        for _ in range(4):
            state.apply(compiled)
            state.h(2)
            state.apply(compiled)
            expected = dense.run(expected, [*gates, ("h", (2,), ()), *gates])
            np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=TOLERANCE[dtype], rtol=0)
        for _ in range(2):
            state.apply(state.compile(gates, restore_order=True))
            expected = dense.run(expected, gates)
            assert state._shares.layout == list(range(QUBITS))
            np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=TOLERANCE[dtype], rtol=0)


def test_every_gate_is_a_method_in_the_order_of_the_gate_functions(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    with qmpi.StateVector(comm, QUBITS) as state:
        expected = dense.zero_state(QUBITS)
        for name in qmpi.gates.TABLE:
            (gate,) = dense.random_gates(rng, QUBITS, 1, widest=4, names=[name])
            _, qubits, parameters = gate
            method = getattr(state, name)
            if name in ("mcx", "mcp"):
                method(*parameters, list(qubits[:-1]), qubits[-1])
            elif name in ("unitary", "pauli_rotation"):
                method(*parameters, qubits)
            else:
                method(*parameters, *qubits)
            expected = dense.run(expected, [gate])
        np.testing.assert_allclose(state.amplitudes(EVERYTHING), expected, atol=1e-11, rtol=0)


def test_fidelity_compares_two_states_of_any_precision(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    ours, theirs = dense.brickwork(rng, QUBITS, 3), dense.brickwork(rng, QUBITS, 3)
    with qmpi.StateVector(comm, QUBITS) as a, qmpi.StateVector(comm, QUBITS, np.complex64) as b:
        a.apply([*ours, ("swap", (0, 5), ())])
        b.apply(theirs)
        first, second = dense.run(dense.zero_state(QUBITS), [*ours, ("swap", (0, 5), ())]), dense.run(dense.zero_state(QUBITS), theirs)
        assert abs(a.fidelity(b) - abs(np.vdot(first, second)) ** 2) < 1e-5
        b.reset()
        b.apply([*ours, ("swap", (0, 5), ())])
        assert abs(a.fidelity(b) - 1) < 1e-5


def test_a_saved_state_can_be_read_again(comm: qmpi.Comm, rng: np.random.Generator, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = comm.mpi.bcast(str(tmp_path_factory.mktemp("states")) if comm.rank == 0 else None)
    gates = [*dense.brickwork(rng, QUBITS, 3), ("swap", (1, 8), ())]
    with qmpi.StateVector(comm, QUBITS) as state:
        state.apply(gates)
        before = state.amplitudes(EVERYTHING)
        state.save(f"{folder}/state.h5")
        state.reset()
        state.load(f"{folder}/state.h5")
        np.testing.assert_array_equal(state.amplitudes(EVERYTHING), before)
        state.x(0)
        np.testing.assert_array_equal(state.amplitudes(EVERYTHING), before[EVERYTHING ^ 1])


@pytest.mark.ranks(min_size=2)
def test_ranks_that_apply_different_gates_are_told(comm: qmpi.Comm) -> None:
    with qmpi.StateVector(comm, 4) as state:
        state.h(0)
        if comm.rank == 0:
            state.x(1)
        with pytest.raises(errors.MismatchedCollective, match="has applied other gates than rank 0 before flush"):
            state.flush()
        state.reset()
        state.h(1)
        assert state.expectation("IXII") == pytest.approx(1)


@pytest.mark.ranks(min_size=2)
def test_ranks_that_ask_for_different_things_are_told_and_the_state_is_as_before(comm: qmpi.Comm) -> None:
    with qmpi.StateVector(comm, 4) as state:
        state.x(3)
        with pytest.raises(errors.MismatchedCollective, match=r"rank 1 is in measure\(\[1\]\), rank 0 in measure\(\[0\]\)"):
            state.measure(min(comm.rank, 1))
        with pytest.raises(errors.MismatchedCollective, match=r"is in (norm|sample), rank 0 in (norm|sample)"):
            if comm.rank == 0:
                state.norm()
            else:
                state.sample(1)
        assert state.measure([3, 0]) == (1, 0)


def test_a_classical_communicator_is_wrapped_for_as_long_as_the_state_lives(comm: qmpi.Comm) -> None:
    state = qmpi.StateVector(comm.mpi, 3)
    state.h(1)
    state.cx(1, 2)
    twin = state.copy()
    state.close()
    with pytest.raises(errors.Closed):
        state._comm.alloc()
    assert len(set(comm.mpi.allgather(twin.measure(2)))) == 1 and twin.measure([1, 2]) in ((0, 0), (1, 1))
    twin.close()
    with pytest.raises(errors.StateTooLarge):
        qmpi.StateVector(comm.mpi, 48)
    comm.mpi.Barrier()


@dtypes
@pytest.mark.parametrize("how", ["equal parts", "unequal parts", "by the first", "by the last"])
def test_a_state_can_be_given(comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating], how: str) -> None:
    given = dense.random_state(rng, QUBITS)
    ends = (
        np.arange(1, comm.size) * len(given) // comm.size if how == "equal parts" else np.sort(rng.integers(0, len(given), comm.size - 1))
    )
    part, root = np.split(given, ends)[comm.rank], {"by the first": 0, "by the last": comm.size - 1}.get(how)
    if root is not None:
        part = given.tolist() if comm.rank == root else None
    with qmpi.StateVector(comm, QUBITS, dtype) as state:
        state.h(4)
        state.swap(1, 7)  # forgotten
        state.set_amplitudes(part, root)
        np.testing.assert_allclose(state.amplitudes(EVERYTHING), given, atol=TOLERANCE[dtype], rtol=0)
        gates = dense.random_gates(rng, QUBITS, 10, widest=4)
        state.apply(gates)
        np.testing.assert_allclose(state.amplitudes(EVERYTHING), dense.run(given, gates), atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.filterwarnings("error")
def test_what_is_no_state_is_refused_on_every_rank_and_nothing_is_touched(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    given = dense.random_state(rng, QUBITS)
    wrong = [
        given[:-1],
        given * 1.001,
        given * np.nan,
        given * np.inf,
        given * 1e200,
        given.reshape(2, -1),
        [given[0], "a"],
        None,
        given > 0,
    ]
    exact = {"single": given.astype(np.complex64), "double": given.astype(np.complex64).astype(complex)}
    with qmpi.StateVector(comm, QUBITS) as state:
        state.x(2)
        for amplitudes in [*wrong, np.append(given, 0), exact["double"] * (1 + 1e-7)]:
            with pytest.raises(errors.InvalidArgument, match="set_amplitudes"):
                state.set_amplitudes(amplitudes, root=comm.size - 1)
        with pytest.raises(errors.InvalidArgument, match="of all ranks together"):
            state.set_amplitudes(given[comm.rank : comm.rank + 1])
        for root in (comm.size, -1, "a"):
            with pytest.raises(errors.RankOutOfRange, match="root"):
                state.set_amplitudes(given, root)
        np.testing.assert_array_equal(state.amplitudes(EVERYTHING), np.eye(1, 2**QUBITS, 4)[0])
        state.set_amplitudes(exact["single"] * np.float32(1 + 1e-7), root=0)  # normalised as well as its precision allows
        assert abs(state.norm() - 1) < 1e-6


@dtypes
def test_a_copy_is_the_same_state_and_then_goes_its_own_way(
    comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating]
) -> None:
    gates = [*dense.brickwork(rng, QUBITS, 3), ("swap", (0, 5), ())]
    with qmpi.StateVector(comm, QUBITS, dtype) as state:
        state.apply(gates)
        with state.copy() as twin:
            assert twin.dtype == state.dtype and twin.num_qubits == QUBITS
            np.testing.assert_array_equal(twin.amplitudes(EVERYTHING), state.amplitudes(EVERYTHING))
            twin.h(3)
            state.x(5)
            expected = dense.run(dense.zero_state(QUBITS), gates)
            for each, last in ((twin, ("h", (3,), ())), (state, ("x", (5,), ()))):
                np.testing.assert_allclose(each.amplitudes(EVERYTHING), dense.run(expected, [last]), atol=TOLERANCE[dtype], rtol=0)
            assert twin.sample(50).tolist() != state.sample(50).tolist()


@dtypes
def test_measuring_several_qubits_is_measuring_one_after_the_other(
    comm: qmpi.Comm, rng: np.random.Generator, dtype: type[np.complexfloating]
) -> None:
    """The draws of a state vector depend on which one of its communicator it is: the first of each of two."""
    gates, order = dense.brickwork(rng, QUBITS, 3), rng.permutation(QUBITS)[:5].tolist()
    found = []
    for own in (comm.dup(), comm.dup()):
        with qmpi.StateVector(own, QUBITS, dtype) as state:
            state.apply(gates)
            bits = state.measure(order)
            assert isinstance(bits, qmpi.Bits) and state.measure(order) == bits
            assert [state.measure(qubit) for qubit in order] == list(bits)
            kept = dense.run(dense.zero_state(QUBITS), gates)
            for qubit, bit in zip(order, bits, strict=True):
                kept = kept * (EVERYTHING >> qubit & 1 == bit)
            np.testing.assert_allclose(state.amplitudes(EVERYTHING), kept / np.linalg.norm(kept), atol=20 * TOLERANCE[dtype], rtol=0)
            found.append(bits)
    assert comm.mpi.allgather(found) == [found] * comm.size


def test_qubits_that_are_reset_are_0_and_the_others_as_after_a_measurement(comm: qmpi.Comm, rng: np.random.Generator) -> None:
    gates = dense.brickwork(rng, QUBITS, 3)
    with qmpi.StateVector(comm, QUBITS) as state:
        for qubits in (4, [7], [2, 8, 0], []):
            state.reset()
            state.apply(gates)
            state.reset(qubits)
            chosen = [qubits] if isinstance(qubits, int) else qubits
            before, after = dense.run(dense.zero_state(QUBITS), gates), state.amplitudes(EVERYTHING)
            mask = sum(1 << qubit for qubit in chosen)
            assert abs(after[EVERYTHING & mask != 0]).max(initial=0) < 1e-12
            projections = [before * (EVERYTHING & mask == value) for value in range(mask + 1) if value & ~mask == 0]
            moved = [np.roll(p, -int(EVERYTHING[abs(p) > 0][0] & mask)) for p in projections if abs(p).max() > 0]
            overlaps = [abs(np.vdot(p, after)) / np.linalg.norm(p) for p in moved]
            assert abs(max(overlaps) - 1) < 1e-11


def test_counts_are_samples_under_their_names_in_qiskit(comm: qmpi.Comm) -> None:
    with qmpi.StateVector(comm, 4) as state:
        state.h(0)
        state.cx(0, 2)
        state.x(3)
        counts = state.counts(200)
        assert counts.keys() == {"1000", "1101"} and sum(counts.values()) == 200 and min(counts.values()) > 60
        assert state.counts(10, [3]) == {"1": 10} and state.counts(10, [1, 3]) == {"10": 10} and state.counts(3, []) == {"": 3}
        assert state.counts(50, [3, 2, 0]).keys() == {"001", "111"}
        assert comm.mpi.allgather(counts) == [counts] * comm.size
        for wrong in ([4], [0, 0], ["a"]):
            with pytest.raises(errors.InvalidArgument):
                state.counts(5, wrong)


def test_memory_comes_back_when_it_is_closed(comm: qmpi.Comm) -> None:
    before = comm.store_report().bytes
    state = qmpi.StateVector(comm, 12)
    assert comm.store_report().bytes == before + 2**16
    state.close()
    assert comm.store_report().bytes == before
    with pytest.raises(errors.Closed):
        state.h(0)
