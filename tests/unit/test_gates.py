"""The gate table proves itself: every row against its inverse, its decomposition and Qiskit.

Matrices only; what the functions do to qubits is tested where there are qubits.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit.library import MCPhaseGate, XGate, get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from qmpi import _core, gates
from qmpi.errors import InvalidArgument, NotUnitary
from qmpi.gates import TABLE, Gate, matrix

NAMES = """
    x y z h s sdg t tdg sx sxdg id rx ry rz p u
    cx cy cz ch csx cp crx cry crz cu swap iswap ecr rxx ryy rzz rzx
    ccx ccz cswap
    mcx mcp unitary pauli_rotation
"""  # qmpi-standard, section 2
STANDARD = NAMES.split()
UNSIZED = ["mcx", "mcp", "unitary", "pauli_rotation"]
ANY = -1
EXACT = 1e-12


def over(*rows: Gate) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


sized = over(*[row for row in TABLE.values() if row.targets != ANY])
invertible = over(*[row for row in TABLE.values() if row.targets != ANY and row.inverse is not None])
composite = over(*[row for row in TABLE.values() if row.decomposition is not None])
some_angles = st.lists(st.floats(-10, 10), min_size=4, max_size=4)
some_controls = st.integers(0, 4)


def sizes(row: Gate, controls: int) -> dict[str, int]:
    """What `matrix` must be told besides the angles."""
    return {"controls": controls} if row.controls == ANY else {}


def close(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and bool(np.abs(left - right).max() <= EXACT)


def widened(small: np.ndarray, qubits: tuple[int, ...], width: int) -> np.ndarray:
    """`small` on some qubits of `width`: bit k of its index is bit qubits[k] of the large index."""
    rest = ~sum(1 << qubit for qubit in qubits)
    inner = [sum((index >> qubit & 1) << k for k, qubit in enumerate(qubits)) for index in range(1 << width)]
    return np.array([[small[inner[i], inner[j]] if (i ^ j) & rest == 0 else 0 for j in range(1 << width)] for i in range(1 << width)])


# --- the rows against themselves ----------------------------------------------------------------------------


def test_every_name_of_the_standard_is_present_and_nothing_else() -> None:
    assert list(TABLE) == STANDARD
    assert sorted(gates.__all__) == sorted([*STANDARD, "TABLE", "Gate", "matrix"])


def test_the_compiled_row_and_the_python_row_agree() -> None:
    for code, (name, *numbers) in enumerate(_core.gate_rows()):
        row = TABLE[name]
        assert (row.name, row.code) == (name, code)
        assert [row.parameters, row.controls, row.targets, row.kind, row.paulis] == numbers
        assert row.kind in ("single", "swap", "block", "pauli")


@sized
@given(angles=some_angles, controls=some_controls)
def test_the_matrix_is_unitary(row: Gate, angles: list[float], controls: int) -> None:
    u = matrix(row.name, *angles[: row.parameters], **sizes(row, controls))
    assert close(u.conj().T @ u, np.eye(len(u)))


def test_only_these_have_no_single_inverse() -> None:
    assert [name for name, row in TABLE.items() if row.inverse is None] == ["iswap", "unitary"]


@invertible
@given(angles=some_angles, controls=some_controls)
def test_the_gate_then_its_inverse_is_the_identity(row: Gate, angles: list[float], controls: int) -> None:
    assert row.inverse is not None
    angles = angles[: row.parameters]
    forward = matrix(row.name, *angles, **sizes(row, controls))
    backward = matrix(row.inverse, *row.inverse_angles(*angles), **sizes(row, controls))
    assert close(backward @ forward, np.eye(len(forward)))


def decomposed(row: Gate, angles: list[float], width: int) -> list[np.ndarray]:
    assert row.decomposition is not None
    return [widened(matrix(step.name, *step.angles(*angles)), step.qubits, width) for step in row.decomposition]


@composite
@given(angles=some_angles)
def test_the_decomposition_is_the_gate_global_phase_included(row: Gate, angles: list[float]) -> None:
    angles = angles[: row.parameters]
    product = np.eye(1 << (row.controls + row.targets))
    for step in decomposed(row, angles, row.controls + row.targets):
        product = step @ product
    assert close(product, matrix(row.name, *angles))


@composite
def test_a_decomposition_ends_in_primitives(row: Gate) -> None:
    def check(row: Gate, seen: tuple[str, ...]) -> None:
        assert row.name not in seen
        for step in row.decomposition or ():
            check(TABLE[step.name], (*seen, row.name))

    check(row, ())


def test_what_is_not_a_primitive_has_a_decomposition() -> None:
    primitives = [name for name, row in TABLE.items() if row.decomposition is None]
    assert primitives == ["h", "s", "t", "rx", "ry", "rz", "p", "cx", *UNSIZED]


@pytest.mark.parametrize("name", ["z", "s", "sdg", "t", "tdg", "id", "rz", "p", "cz", "cp", "crz", "rzz", "ccz", "mcp"])
def test_diagonal_gates_have_exact_zeros(name: str) -> None:
    """The kernels recognise a diagonal matrix by them."""
    u = matrix(name, *[0.3] * TABLE[name].parameters, **sizes(TABLE[name], 2))
    assert not (u - np.diag(np.diag(u))).any()


@pytest.mark.parametrize("name", ["x", "y", "cx", "cy", "ccx", "swap", "cswap", "iswap", "mcx"])
def test_permutations_with_phases_have_exact_zeros(name: str) -> None:
    u = matrix(name, **sizes(TABLE[name], 2))
    assert ((u != 0).sum(axis=0) == 1).all()
    assert (np.abs(u[u != 0]) == 1).all()


def test_a_phase_leaves_zero_alone_exactly() -> None:
    for name in ("s", "sdg", "t", "tdg", "p"):
        assert matrix(name, *[0.3] * TABLE[name].parameters)[0, 0] == 1


# --- the rows against Qiskit --------------------------------------------------------------------------------


@sized
@given(angles=some_angles, controls=st.integers(1, 4))
def test_the_matrix_is_qiskits(row: Gate, angles: list[float], controls: int) -> None:
    angles = angles[: row.parameters]
    expected = Operator(qiskits(row.name, angles, controls)).data
    assert close(matrix(row.name, *angles, **sizes(row, controls)), expected)


def qiskits(name: str, angles: list[float], controls: int) -> Any:
    if name == "mcx":
        return XGate().control(controls)
    if name == "mcp":
        return MCPhaseGate(*angles, controls)
    return get_standard_gate_name_mapping()[name].base_class(*angles)


@pytest.mark.parametrize("name", [name for name in STANDARD if hasattr(QuantumCircuit, name)])
def test_the_arguments_are_qiskits_in_qiskits_order(name: str) -> None:
    """But for the word qubit beside control and target, and one name for the only angle of a gate."""
    ours = list(inspect.signature(getattr(gates, name)).parameters)
    theirs = [*inspect.signature(getattr(QuantumCircuit, name)).parameters][1:]
    renamed = {("rz", "phi"): "theta", ("mcp", "lam"): "theta", ("unitary", "obj"): "matrix"}
    expected = [renamed.get((name, argument), argument) for argument in theirs[: len(ours)]]
    assert ours == [argument.replace("_qubit", "") for argument in expected]
    assert set(theirs[len(ours) :]) <= {"label", "ctrl_state", "ancilla_qubits", "mode"}


# --- the functions' faces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STANDARD)
def test_a_gate_is_a_python_function_with_name_types_and_words(name: str) -> None:
    function: Callable[..., None] = getattr(gates, name)
    assert inspect.isfunction(function)
    assert (function.__module__, function.__qualname__, function.__code__.co_name) == (
        "qmpi.gates",
        name,
        name,
    )
    signature = inspect.signature(function)
    assert signature.return_annotation is None
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    words = inspect.getdoc(function) or ""
    assert words.startswith(TABLE[name].summary) and TABLE[name].definition in words
    positions = [words.index(title) for title in ("Inverse: ", "Args:", "Raises:", "Example:")]
    assert positions == sorted(positions)
    for argument in signature.parameters:
        assert f"\n    {argument}: " in words


@pytest.mark.parametrize(
    ("name", "inverse"),
    [("t", "tdg"), ("rzz", "rzz(-theta)"), ("u", "u(-theta, -lam, -phi)"),
     ("csx", "cu(0.5*pi, 0.5*pi, -0.5*pi, -0.25*pi)"), ("iswap", "its decomposition, backwards")],
)  # fmt: skip
def test_the_documentation_names_the_inverse(name: str, inverse: str) -> None:
    assert f"\nInverse: {inverse}\n" in getattr(gates, name).__doc__


# --- what is refused before the core is asked ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "angles", "sizes"),
    [("cnot", (), {}), ("mcx", (), {}), ("mcx", (), {"controls": -1}), ("x", (), {"controls": 1}),
     ("rx", (), {}), ("x", (0.1,), {}), ("rx", (float("nan"),), {}), ("rx", (float("inf"),), {}),
     ("unitary", (), {}), ("pauli_rotation", (0.1,), {})],
)  # fmt: skip
def test_matrix_refuses(name: str, angles: tuple[float, ...], sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=name):
        matrix(name, *angles, **sizes)


def qubits(count: int) -> tuple[_core.Qubit, ...]:
    return _core.Session(_core.Arena.create(1, 1, False, False, 1 << 20), 0).alloc(count)


@pytest.mark.parametrize(
    ("u", "error"),
    [(np.eye(2), InvalidArgument), (np.eye(4)[:3], InvalidArgument), ([[1, 0], [0]], InvalidArgument),
     (None, InvalidArgument), (2 * np.eye(4), NotUnitary), ((1 + 1e-8) * np.eye(4), NotUnitary),
     (np.full((4, 4), np.nan), NotUnitary), (np.diag([1, 1, 1, np.inf]), NotUnitary),
     (np.full((4, 4), 1e200), NotUnitary)],
)  # fmt: skip
def test_unitary_refuses(u: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="unitary"):
        gates.unitary(u, qubits(2))


@pytest.mark.parametrize("width", [0, 11])
def test_unitary_refuses_no_qubit_and_too_many(width: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{width} qubits"):
        gates.unitary(np.eye(1 << width), qubits(width))


@pytest.mark.parametrize("paulis", ["", "X", "XZY", "Xz", "A-", ["X", "Y"]])
def test_pauli_rotation_refuses(paulis: Any) -> None:
    with pytest.raises(InvalidArgument, match="pauli_rotation"):
        gates.pauli_rotation(0.1, paulis, qubits(2))
