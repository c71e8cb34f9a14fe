"""
The state-vector kernels, in place on writable contiguous arrays of 2^n complex128 or complex64 amplitudes.

Arguments as in csrc/kernels/kernels.h without n and m, which follow from the lengths; `isa` is 'plain', 'avx2' or 'avx512', by
default the best one. For join and join_parity psi is the whole destination, whose first 2^n entries are the state;
project and project_parity leave their result in the first half. The twins in NumPy: qmpi.engine.kernels_reference.
"""

from collections.abc import Sequence
from typing import Annotated, overload

import numpy
from numpy.typing import NDArray


def available() -> list[str]: ...

@overload
def single(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], target: int, controls: int, u: Annotated[NDArray[numpy.complex128], dict(order='C', device='cpu', writable=False)], *, isa: str | None = None) -> None: ...

@overload
def single(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], target: int, controls: int, u: Annotated[NDArray[numpy.complex128], dict(order='C', device='cpu', writable=False)], *, isa: str | None = None) -> None: ...

@overload
def swap(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], a: int, b: int, controls: int, *, isa: str | None = None) -> None: ...

@overload
def swap(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], a: int, b: int, controls: int, *, isa: str | None = None) -> None: ...

@overload
def block(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], targets: Sequence[int], controls: int, u: Annotated[NDArray[numpy.complex128], dict(order='C', device='cpu', writable=False)], *, isa: str | None = None) -> None: ...

@overload
def block(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], targets: Sequence[int], controls: int, u: Annotated[NDArray[numpy.complex128], dict(order='C', device='cpu', writable=False)], *, isa: str | None = None) -> None: ...

@overload
def pauli(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], x: int, z: int, theta: float, *, isa: str | None = None) -> None: ...

@overload
def pauli(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], x: int, z: int, theta: float, *, isa: str | None = None) -> None: ...

@overload
def weights(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu', writable=False)], mask: int, *, isa: str | None = None) -> tuple[float, float]: ...

@overload
def weights(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu', writable=False)], mask: int, *, isa: str | None = None) -> tuple[float, float]: ...

@overload
def expectation(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu', writable=False)], x: int, z: int, *, isa: str | None = None) -> float: ...

@overload
def expectation(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu', writable=False)], x: int, z: int, *, isa: str | None = None) -> float: ...

@overload
def gather(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu', writable=False)], bits: Sequence[int], factor: complex, out: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], *, isa: str | None = None) -> None: ...

@overload
def gather(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu', writable=False)], bits: Sequence[int], factor: complex, out: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], *, isa: str | None = None) -> None: ...

@overload
def join(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], other: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu', writable=False)], *, isa: str | None = None) -> None: ...

@overload
def join(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], other: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu', writable=False)], *, isa: str | None = None) -> None: ...

@overload
def project(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], bit: int, value: int, scale: float, *, isa: str | None = None) -> None: ...

@overload
def project(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], bit: int, value: int, scale: float, *, isa: str | None = None) -> None: ...

@overload
def project_parity(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], a: int, b: int, value: int, scale: float, *, isa: str | None = None) -> None: ...

@overload
def project_parity(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], a: int, b: int, value: int, scale: float, *, isa: str | None = None) -> None: ...

@overload
def join_parity(psi: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu')], a: int, other: Annotated[NDArray[numpy.complex128], dict(shape=(None,), order='C', device='cpu', writable=False)], b: int, value: int, scale: float, *, isa: str | None = None) -> None: ...

@overload
def join_parity(psi: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu')], a: int, other: Annotated[NDArray[numpy.complex64], dict(shape=(None,), order='C', device='cpu', writable=False)], b: int, value: int, scale: float, *, isa: str | None = None) -> None: ...
