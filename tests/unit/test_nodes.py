"""State vectors over nodes, ranks and threads: nothing depends on how many there are but the traffic, and that is as little as promised.

The nodes are pretended (QMPI_RANKS_PER_NODE); the ranks are threads. tests/test_nodes.py has them as processes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

import qmpi
from qmpi import errors
from qmpi.engine import exchange
from tests import dense
from tests.laws.programs.statevectors import QUBITS, outcomes

Result = TypeVar("Result")
TOLERANCE = {"complex128": 1e-12, "complex64": 2e-6}
LAYOUTS = [(1, ""), (2, ""), (2, "1"), (3, ""), (4, "1"), (4, "2"), (8, "2"), (8, "1")]  # ranks, ranks per node
OVER_NODES = [(2, "1"), (4, "1"), (4, "2"), (6, "3"), (8, "1")]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`on(ranks, ranks_per_node, program)`: what rank 0's `program(comm)` returned; all ranks' must be equal where they can be compared."""

    def run(ranks: int, ranks_per_node: str, program: Callable[[qmpi.Comm], Result], **settings: Any) -> Result:
        monkeypatch.setenv("QMPI_RANKS_PER_NODE", ranks_per_node)
        return qmpi.run(lambda: program(qmpi.COMM_WORLD), ranks, **({"seed": 31} | settings))[0]

    return run


@cache
def on_one_rank(dtype: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as settings:
        settings.delenv("QMPI_RANKS_PER_NODE", raising=False)
        return qmpi.run(lambda: outcomes(qmpi.COMM_WORLD, dtype), 1, seed=31)[0]


def require_the_same(found: dict[str, Any], dtype: str) -> None:
    """Outcomes are equal, numbers up to rounding."""
    expected = on_one_rank(dtype)
    assert found["measured"] == expected["measured"]
    assert found["samples"] == expected["samples"]
    for name in ("means", "probabilities", "amplitudes", "norm"):
        np.testing.assert_allclose(found[name], expected[name], atol=TOLERANCE[dtype], rtol=0, err_msg=name)


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize(("ranks", "ranks_per_node"), LAYOUTS)
@pytest.mark.parametrize("dtype", QUBITS)
def test_one_seed_gives_the_same_outcomes_on_any_ranks_nodes_and_threads(
    on: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, dtype: str, ranks: int, ranks_per_node: str, threads: str
) -> None:
    monkeypatch.setenv("QMPI_NUM_THREADS", threads)
    found = on(ranks, ranks_per_node, lambda comm: outcomes(comm, dtype))
    require_the_same(found, dtype)
    assert (found["exchanges"] > 0) == (ranks_per_node != "")


def test_another_seed_gives_other_outcomes(on: Callable[..., Any]) -> None:
    found = on(2, "1", lambda comm: outcomes(comm, "complex64"), seed=32)
    assert found["samples"] != on_one_rank("complex64")["samples"]


# --- traffic --------------------------------------------------------------------------------------------------------------------------


def traffic_of(gates: list[dense.Triple], qubits: int) -> Callable[[qmpi.Comm], tuple[int, int, int]]:
    """A program that applies the gates to |0…0⟩ and tells what each node has sent for it."""

    def program(comm: qmpi.Comm) -> tuple[int, int, int]:
        with qmpi.StateVector(comm, qubits) as state:
            state.apply(gates)
            state.flush()
            return state.traffic.exchanges, state.traffic.messages, state.traffic.sent_bytes

    return program


@pytest.mark.parametrize(("ranks", "ranks_per_node"), [(2, "1"), (4, "2")])
def test_the_fourier_transform_of_a_fresh_state_takes_one_exchange_of_half_a_share_between_two_nodes(
    on: Callable[..., Any], ranks: int, ranks_per_node: str
) -> None:
    assert on(ranks, ranks_per_node, traffic_of(dense.fourier(12), 12)) == (1, 1, 2**11 * 16 // 2)


def test_the_fourier_transform_of_a_fresh_state_takes_one_exchange_between_four_nodes(on: Callable[..., Any]) -> None:
    """Of two bits at once: to each other node a quarter of a share."""
    assert on(4, "1", traffic_of(dense.fourier(12), 12)) == (1, 3, 2**10 * 16 * 3 // 4)


@pytest.mark.parametrize(("ranks", "ranks_per_node"), OVER_NODES)
def test_diagonal_gates_and_controls_of_any_qubit_send_nothing(on: Callable[..., Any], ranks: int, ranks_per_node: str) -> None:
    gates: list[dense.Triple] = [("h", (k,), ()) for k in range(7)]
    for control in range(7, 10):
        gates += [("cx", (control, target), ()) for target in range(7)] + [("rz", (control,), (0.3,)), ("cp", (control, 2), (0.4,))]
        gates += [("ccx", (control, 1, 0), ()), ("cswap", (control, 3, 4), ()), ("pauli_rotation", (control, 5), (0.2, "ZX"))]
    gates += [("pauli_rotation", tuple(range(10)), (0.3, "Z" * 10)), ("mcp", tuple(range(10)), (0.5,)), ("swap", (0, 9), ())]
    assert on(ranks, ranks_per_node, traffic_of(gates, 10)) == (0, 0, 0)


def test_measuring_sampling_and_reading_in_order_send_no_amplitudes(on: Callable[..., Any]) -> None:
    def program(comm: qmpi.Comm) -> int:
        state = qmpi.StateVector(comm, 8)
        state.restore_order()  # the top qubit is the node's
        state.apply([("h", (k,), ()) for k in range(7)])
        state.probabilities([7, 0, 3])
        state.amplitudes([0, 128, 255])
        state.expectation("XXXXXXXZ")
        state.measure(7)
        state.sample(10)
        state.norm()
        return state.traffic.sent_bytes

    assert on(2, "1", program) == 0


@pytest.mark.parametrize("chunk", [1, 3, 8, 2**20])
@pytest.mark.parametrize(("ranks", "ranks_per_node"), OVER_NODES)
def test_an_exchange_in_messages_of_any_size_moves_the_same(
    on: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, ranks: int, ranks_per_node: str, chunk: int
) -> None:
    monkeypatch.setattr(exchange, "CHUNK", chunk)
    gates = dense.random_gates(np.random.default_rng(37), 7, 40, widest=4)

    def program(comm: qmpi.Comm) -> tuple[np.ndarray, float]:
        state = qmpi.StateVector(comm, 7)
        state.apply(gates)
        found = state.amplitudes(np.arange(128))
        state.restore_order()
        np.testing.assert_array_equal(state.amplitudes(np.arange(128)), found)
        return found, state.traffic.sent_bytes / max(1, state.traffic.messages)

    found, bytes_each = on(ranks, ranks_per_node, program)
    np.testing.assert_allclose(found, dense.run(dense.zero_state(7), gates), atol=1e-13, rtol=0)
    assert bytes_each <= chunk * 16


# --- what is refused ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks_per_node", ["0", "-1", "x", "2.0", "3", "8", " 1"])
def test_a_number_of_ranks_per_node_that_makes_no_nodes_is_refused(on: Callable[..., Any], ranks_per_node: str) -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(errors.InvalidArgument, match="QMPI_RANKS_PER_NODE"):
            qmpi.StateVector(comm, 4)
        assert comm.store_report().bytes == 0

    on(4, ranks_per_node, program)


def test_three_nodes_are_refused(on: Callable[..., Any]) -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(errors.InvalidArgument, match="no power of two of nodes out of 3 ranks"):
            qmpi.StateVector(comm, 4)

    on(3, "1", program)


def test_a_register_that_leaves_a_node_no_qubit_is_refused(on: Callable[..., Any]) -> None:
    def program(comm: qmpi.Comm) -> None:
        with pytest.raises(errors.InvalidArgument, match="2 qubits cannot be spread over 4 nodes"):
            qmpi.StateVector(comm, 2)
        state = qmpi.StateVector(comm, 3)
        for qubit in range(3):
            state.h(qubit)
        np.testing.assert_allclose(state.amplitudes(np.arange(8)), [8**-0.5] * 8, atol=1e-12)

    on(4, "1", program)


WIDE: dict[str, Callable[[qmpi.StateVector], Any]] = {
    "unitary": lambda state: (state.unitary(np.eye(16)[::-1], range(4)), state.flush()),
    "pauli_rotation": lambda state: (state.pauli_rotation(0.3, "XYXX", range(4)), state.flush()),
    "compiled": lambda state: (state.apply(state.compile([("x", (0,), ()), ("unitary", range(4), (np.eye(16)[::-1],))])), state.flush()),
}


@pytest.mark.parametrize(("ranks", "ranks_per_node"), [(2, "1"), (4, "2")])
@pytest.mark.parametrize("kind", WIDE)
def test_what_mixes_more_qubits_than_a_node_has_is_refused_and_the_state_goes_on(
    on: Callable[..., Any], kind: str, ranks: int, ranks_per_node: str
) -> None:
    """Every rank is told; gates before it are applied, it and those in its list are not; and all works as before."""

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        state.ry(0.6, 2)
        with pytest.raises(errors.InvalidArgument, match="only 3 of 4 are on one node"):
            WIDE[kind](state)
        state.cx(2, 0)
        expected = dense.run(dense.zero_state(4), [("ry", (2,), (0.6,)), ("cx", (2, 0), ())])
        np.testing.assert_allclose(state.amplitudes(np.arange(16)), expected, atol=1e-12)

    on(ranks, ranks_per_node, program)


@pytest.mark.parametrize(("ranks", "ranks_per_node"), LAYOUTS)
def test_a_register_that_takes_all_memory_fits_and_a_larger_one_takes_nothing(
    on: Callable[..., Any], ranks: int, ranks_per_node: str
) -> None:
    def program(comm: qmpi.Comm) -> None:
        for attempt in range(3):
            with pytest.raises(errors.StateTooLarge, match="18 qubits would fit"):
                qmpi.StateVector(comm, 19)
            comm.barrier()
            assert comm.store_report().bytes == 0, attempt
            comm.barrier()
            with qmpi.StateVector(comm, 18) as state:
                state.h(17)
                state.cx(17, 0)
                np.testing.assert_allclose(state.amplitudes([0, 2**17 + 1]), [0.5**0.5] * 2, atol=1e-12)
                assert state.sample(3).shape == (3,)
            comm.barrier()
            assert comm.store_report().bytes == 0, attempt
            comm.barrier()

    on(ranks, ranks_per_node, program, memory="4M")


# --- files ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_a_file_can_be_read_by_any_number_of_nodes(on: Callable[..., Any], tmp_path: Path, dtype: str) -> None:
    gates = [*dense.random_gates(np.random.default_rng(41), 9, 40, widest=4), ("swap", (0, 8), ())]
    expected = dense.run(dense.zero_state(9), gates)

    def saves(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 9, dtype)
        state.apply(gates)
        state.save(tmp_path / "state.h5")

    def loads(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 9, dtype)
        state.apply(gates[:7])
        state.load(tmp_path / "state.h5")
        np.testing.assert_allclose(state.amplitudes(np.arange(512)), expected, atol=TOLERANCE[dtype], rtol=0)
        state.h(8)
        after = dense.run(expected, [("h", (8,), ())])
        np.testing.assert_allclose(state.amplitudes(np.arange(512)), after, atol=TOLERANCE[dtype], rtol=0)

    for ranks, ranks_per_node in LAYOUTS:
        on(ranks, ranks_per_node, saves)
        for others in LAYOUTS:
            on(*others, loads)
        (tmp_path / "state.h5").unlink()
        assert list(tmp_path.iterdir()) == []


def test_every_rank_is_told_that_a_file_cannot_be_read(on: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no state vector")

    def program(comm: qmpi.Comm) -> None:
        state = qmpi.StateVector(comm, 4)
        state.h(3)
        for path in ("text.h5", "missing.h5"):
            with pytest.raises(qmpi.QMPIError, match="cannot read"):
                state.load(tmp_path / path)
        with pytest.raises(qmpi.QMPIError, match="cannot write"):
            state.save(tmp_path / "no" / "folder.h5")
        np.testing.assert_allclose(state.probabilities([3]), [0.5, 0.5], atol=1e-12)

    on(4, "2", program)
