"""Call shapes: from a row of the gate table to the function that a program calls.

Each shape is a type (how the function is called) and a factory (an inner function that hands the call to the
compiled core). `published` gives that function the row's name and documentation once its arguments agree with
the compiled table. What an operand is the core decides.
"""

# ruff: noqa: D102 (the docstring of a shape says how it is called)

from collections.abc import Callable, Sequence
from math import pi
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from qmpi._core import apply, apply_controlled, apply_one, apply_pauli, apply_two, apply_unitary, qubits_of, rotate_one
from qmpi.errors import InvalidArgument, NotUnitary
from qmpi.gates.table import ANY, Gate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from qmpi._core import Qubit

LARGEST_UNITARY = 10  # qubits
TOLERANCE, SINGLE_TOLERANCE = 1e-9, 1e-5  # how far what is given in double, in single precision may be from unitary, from normalised


Qubits: TypeAlias = "Qubit | Sequence[Qubit | Sequence[Qubit]]"
"""What a gate acts on: a qubit, a register, or a list or tuple of these. The core's `qubits_of` decides."""

# --- the words of a function --------------------------------------------------------------------------------

_Call = TypeVar("_Call", bound=Callable[..., None])

_ANGLES = ("theta", "phi", "lam", "gamma")
_ARGUMENTS = {
    **dict.fromkeys(_ANGLES, "Angle in radians."),
    "qubit": "A qubit; a register or a list means each of its qubits.",
    "controls": "A qubit, a register or a list, all of whose qubits are controls.",
    "matrix": "Array of shape (2^k, 2^k) for k qubits; qubit 0 is the least significant bit of an index.",
    "qubits": f"A qubit, a register or a list, at most {LARGEST_UNITARY} qubits.",
    "paulis": "One letter of IXYZ per qubit, character k for qubit k; nothing but I is a global phase.",
    "register": "A register or a list; a qubit for a single letter.",
}
_ARGUMENT = "A qubit, a register or a list; one goes with each of n, n go with n, and nothing happens where n is 0."
_REFUSED = (
    "QMPIError: A qubit of another rank, a freed or a frozen one, one qubit twice, or registers whose\n"
    "        lengths differ. Nothing has been done then."
)


class _Angle(str):
    """The name of an angle, to write down what a mapping of angles does."""

    def __neg__(self) -> "_Angle":
        return _Angle(f"-{self}")


def _inverse(row: Gate, angles: Sequence[str]) -> str:
    if row.inverse is None:
        return "its decomposition, backwards" if row.decomposition else "the same call with the adjoint"
    mapped = row.inverse_angles(*map(_Angle, angles))
    words = [angle if isinstance(angle, str) else f"{angle / pi:g}*pi" for angle in mapped]
    return f"{row.inverse}({', '.join(words)})" if words else row.inverse


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"    {line}" for line in lines)])


def published(row: Gate, call: _Call, raises: Sequence[str] = (), example: str = "") -> _Call:
    """Name and document `call`, whose arguments must agree with the compiled table.

    Raises:
        ImportError: They do not.
    """
    names = call.__code__.co_varnames[: call.__code__.co_argcount]
    angles = [name for name in names if name in _ANGLES]
    controls = [name for name in names if name.startswith("control")]
    targets = len(names) - len(angles) - len(controls)
    if len(angles) != row.parameters or row.controls not in (ANY, len(controls)) or row.targets not in (ANY, targets):
        raise ImportError(f"qmpi.gates: {row.name}({', '.join(names)}) contradicts {row}")
    if angles:
        raises = ["InvalidArgument: An angle is not finite.", *raises]
    if not example:
        example = ", ".join(["0.5"] * len(angles) + [f"q[{k}]" for k in range(len(controls) + targets)])
    call.__name__ = call.__qualname__ = row.name
    call.__module__ = "qmpi.gates"
    call.__code__ = call.__code__.replace(co_name=row.name)  # tracebacks and profiles show the gate
    several = row.targets != ANY and len(controls) + targets > 1
    order = "\nKets and products are in the order of the arguments." if several else ""
    call.__doc__ = "\n\n".join(
        [
            row.summary,
            f"{row.definition}{order}",
            f"Inverse: {_inverse(row, angles)}",
            _section("Args", [f"{name}: {_ARGUMENTS.get(name, _ARGUMENT)}" for name in names]),
            _section("Raises", [*raises, _REFUSED]),
            _section("Example", [f">>> {row.name}({example})"]),
        ]
    )
    return call


# --- one qubit ----------------------------------------------------------------------------------------------


class OneQubit(Protocol):
    """`h(qubit)`."""

    def __call__(self, qubit: "Qubits") -> None: ...


def one_qubit(row: Gate) -> OneQubit:
    """A fixed gate on one qubit."""
    code = row.code

    def call(qubit: "Qubits") -> None:
        apply_one(code, qubit)

    return published(row, call)


class Rotation(Protocol):
    """`rx(theta, qubit)`."""

    def __call__(self, theta: float, qubit: "Qubits") -> None: ...


def rotation(row: Gate) -> Rotation:
    """A gate on one qubit by one angle."""
    code = row.code

    def call(theta: float, qubit: "Qubits") -> None:
        rotate_one(code, theta, qubit)

    return published(row, call)


class General(Protocol):
    """`u(theta, phi, lam, qubit)`."""

    def __call__(self, theta: float, phi: float, lam: float, qubit: "Qubits") -> None: ...


def general(row: Gate) -> General:
    """A gate on one qubit by three angles."""
    code = row.code

    def call(theta: float, phi: float, lam: float, qubit: "Qubits") -> None:
        apply(code, (theta, phi, lam), (qubit,))

    return published(row, call)


# --- two qubits ---------------------------------------------------------------------------------------------


class Controlled(Protocol):
    """`cx(control, target)`."""

    def __call__(self, control: "Qubits", target: "Qubits") -> None: ...


def controlled(row: Gate) -> Controlled:
    """A fixed gate under one control."""
    code = row.code

    def call(control: "Qubits", target: "Qubits") -> None:
        apply_two(code, control, target)

    return published(row, call)


class ControlledRotation(Protocol):
    """`crx(theta, control, target)`."""

    def __call__(self, theta: float, control: "Qubits", target: "Qubits") -> None: ...


def controlled_rotation(row: Gate) -> ControlledRotation:
    """A gate by one angle under one control."""
    code = row.code

    def call(theta: float, control: "Qubits", target: "Qubits") -> None:
        apply(code, (theta,), (control, target))

    return published(row, call)


class ControlledGeneral(Protocol):
    """`cu(theta, phi, lam, gamma, control, target)`."""

    def __call__(self, theta: float, phi: float, lam: float, gamma: float, control: "Qubits", target: "Qubits") -> None: ...


def controlled_general(row: Gate) -> ControlledGeneral:
    """A gate by four angles under one control."""
    code = row.code

    def call(theta: float, phi: float, lam: float, gamma: float, control: "Qubits", target: "Qubits") -> None:
        apply(code, (theta, phi, lam, gamma), (control, target))

    return published(row, call)


class Pair(Protocol):
    """`swap(qubit1, qubit2)`."""

    def __call__(self, qubit1: "Qubits", qubit2: "Qubits") -> None: ...


def pair(row: Gate) -> Pair:
    """A fixed gate on two targets."""
    code = row.code

    def call(qubit1: "Qubits", qubit2: "Qubits") -> None:
        apply_two(code, qubit1, qubit2)

    return published(row, call)


class PairRotation(Protocol):
    """`rzz(theta, qubit1, qubit2)`."""

    def __call__(self, theta: float, qubit1: "Qubits", qubit2: "Qubits") -> None: ...


def pair_rotation(row: Gate) -> PairRotation:
    """A gate on two targets by one angle."""
    code = row.code

    def call(theta: float, qubit1: "Qubits", qubit2: "Qubits") -> None:
        apply(code, (theta,), (qubit1, qubit2))

    return published(row, call)


# --- three qubits -------------------------------------------------------------------------------------------


class TwiceControlled(Protocol):
    """`ccx(control1, control2, target)`."""

    def __call__(self, control1: "Qubits", control2: "Qubits", target: "Qubits") -> None: ...


def twice_controlled(row: Gate) -> TwiceControlled:
    """A fixed gate under two controls."""
    code = row.code

    def call(control1: "Qubits", control2: "Qubits", target: "Qubits") -> None:
        apply(code, (), (control1, control2, target))

    return published(row, call)


class ControlledPair(Protocol):
    """`cswap(control, target1, target2)`."""

    def __call__(self, control: "Qubits", target1: "Qubits", target2: "Qubits") -> None: ...


def controlled_pair(row: Gate) -> ControlledPair:
    """A fixed gate on two targets under one control."""
    code = row.code

    def call(control: "Qubits", target1: "Qubits", target2: "Qubits") -> None:
        apply(code, (), (control, target1, target2))

    return published(row, call)


# --- as many qubits as the call gives -----------------------------------------------------------------------


class ManyControlled(Protocol):
    """`mcx(controls, target)`."""

    def __call__(self, controls: "Qubits", target: "Qubits") -> None: ...


def many_controlled(row: Gate) -> ManyControlled:
    """A fixed gate under any number of controls."""
    code = row.code

    def call(controls: "Qubits", target: "Qubits") -> None:
        apply_controlled(code, (), controls, target)

    return published(row, call, example="q[:3], q[3]")


class ManyControlledRotation(Protocol):
    """`mcp(theta, controls, target)`."""

    def __call__(self, theta: float, controls: "Qubits", target: "Qubits") -> None: ...


def many_controlled_rotation(row: Gate) -> ManyControlledRotation:
    """A gate by one angle under any number of controls."""
    code = row.code

    def call(theta: float, controls: "Qubits", target: "Qubits") -> None:
        apply_controlled(code, (theta,), controls, target)

    return published(row, call, example="0.5, q[:3], q[3]")


class ByMatrix(Protocol):
    """`unitary(matrix, qubits)`."""

    def __call__(self, matrix: "ArrayLike", qubits: "Qubits") -> None: ...


def by_matrix(row: Gate) -> ByMatrix:
    """A gate whose matrix the caller brings."""

    def call(matrix: "ArrayLike", qubits: "Qubits") -> None:
        apply_unitary(unitary_array(matrix, len(qubits_of(qubits))), qubits)

    return published(
        row,
        call,
        raises=[
            "InvalidArgument: No qubit, too many, or not an array of the shape that the qubits ask for.",
            f"NotUnitary: An entry of U†U - 1 exceeds {TOLERANCE:g} (in single precision {SINGLE_TOLERANCE:g}) or is not finite.",
        ],
        example="numpy.eye(4), q[:2]",
    )


class PauliRotation(Protocol):
    """`pauli_rotation(theta, paulis, register)`."""

    def __call__(self, theta: float, paulis: str, register: "Qubits") -> None: ...


def by_paulis(row: Gate) -> PauliRotation:
    """A rotation about a Pauli string that the caller brings."""

    def call(theta: float, paulis: str, register: "Qubits") -> None:
        _check_paulis(paulis, len(qubits_of(register)))
        apply_pauli(theta, paulis, register)

    return published(
        row,
        call,
        raises=["InvalidArgument: A letter other than IXYZ, or not one letter for each qubit."],
        example='0.5, "XZY", q[:3]',
    )


def tolerance(given: NDArray[Any]) -> float:
    """How far numbers of this precision may be from what they should be."""
    return SINGLE_TOLERANCE if given.dtype in (np.complex64, np.float32) else TOLERANCE


def unitary_array(matrix: "ArrayLike", width: int) -> NDArray[np.complex128]:
    """The matrix as an array, if it is unitary on so many qubits; also called from the core."""
    if not 1 <= width <= LARGEST_UNITARY:
        raise InvalidArgument(f"unitary: {width} qubits; give 1 to {LARGEST_UNITARY}")
    try:
        given = np.asarray(matrix)
        array = np.ascontiguousarray(given, dtype=np.complex128)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"unitary: the matrix is no array of numbers ({error})") from error
    side = 1 << width
    if array.shape != (side, side):
        raise InvalidArgument(f"unitary: {width} qubits need shape {(side, side)}, not {array.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        excess = np.abs(array.conj().T @ array - np.eye(side)).max()
    if not excess <= (accepted := tolerance(given)):  # an entry that is not finite makes the excess infinite or NaN
        raise NotUnitary(f"unitary: U^dagger U differs from 1 by {excess:.2g}; up to {accepted:g} is accepted")
    return array


def _check_paulis(paulis: str, width: int) -> None:
    if not isinstance(paulis, str) or paulis.strip("IXYZ"):
        raise InvalidArgument(f"pauli_rotation: {paulis!r} is not a string of the letters IXYZ")
    if len(paulis) != width or not paulis:
        raise InvalidArgument(f"pauli_rotation: {paulis!r} has {len(paulis)} letters for {width} qubits")
