"""State vectors in HDF5 files, with a checksum for every chunk. The only module that knows h5py."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import VERSION
from ..errors import QMPIError

if TYPE_CHECKING:
    from .shares import Shares

FORMAT = 1
_CHUNK = 2**16  # amplitudes under one checksum
_PIECE = 2**22  # amplitudes read or written at once


def save(path: str | Path, state: Shares) -> None:
    """Writes beside the file and then in its place; the nodes one after the other. Qubit k must be at bit k."""
    h5py = _h5py()
    path = Path(path)
    unfinished = path.with_name(path.name + ".part")

    def create() -> None:
        with tempfile.NamedTemporaryFile(dir=path.parent):  # can it be written there at all?
            pass
        with h5py.File(unfinished, "w") as file:
            file.attrs.update(format=FORMAT, qubits=state.num_qubits, version=VERSION)
            size = 1 << state.num_qubits
            file.create_dataset("amplitudes", (size,), state.dtype, chunks=(min(_CHUNK, size),), fletcher32=True)

    def write() -> None:
        share = state.amplitudes
        assert share is not None
        with h5py.File(unfinished, "r+") as file:
            begin = state.node << state.local_bits
            for k in range(0, len(share), _PIECE):
                piece = share[k : k + _PIECE]
                file["amplitudes"][begin + k : begin + k + len(piece)] = piece

    try:
        _node_after_node(state, create, write, f"cannot write {path}", lambda: os.replace(unfinished, path))
    finally:
        if state.comm.rank == 0:
            unfinished.unlink(missing_ok=True)


def check(path: str | Path, state: Shares) -> None:
    """Reads all of the file once, so that a damaged one is refused before anything is touched."""
    h5py = _h5py()

    def read() -> None:
        with h5py.File(path, "r") as file:
            stored = file.get("amplitudes")
            if file.attrs.get("format") != FORMAT or not isinstance(stored, h5py.Dataset) or stored.dtype.kind != "c":
                raise QMPIError(f"{path} is no state vector of this format")
            qubits = int(file.attrs["qubits"])
            if qubits != state.num_qubits or stored.shape != (1 << qubits,):
                raise QMPIError(f"{path} holds {qubits} qubits, the state has {state.num_qubits}")
            weight = 0.0
            for k in range(0, 1 << qubits, _PIECE):
                piece = stored[k : k + _PIECE]
                weight += float(np.vdot(piece, piece).real)
            if not abs(weight - 1) < 1e-3:
                raise QMPIError(f"{path} holds a state of norm {weight**0.5:g}")

    _node_after_node(state, read, None, f"cannot read {path}", None)


def load(path: str | Path, state: Shares) -> None:
    """Reads this node's share; the file has been checked."""
    h5py = _h5py()

    def read() -> None:
        share = state.amplitudes
        assert share is not None
        with h5py.File(path, "r") as file:
            begin = state.node << state.local_bits
            for k in range(0, len(share), _PIECE):
                share[k : k + _PIECE] = file["amplitudes"][begin + k : begin + min(k + _PIECE, len(share))]

    _node_after_node(state, None, read, f"cannot read {path}", None)


def _node_after_node(
    state: Shares, first: Callable[[], None] | None, each: Callable[[], None] | None, what: str, last: Callable[[], None] | None
) -> None:
    """Steps that all ranks wait for, and in whose failure all fail: `first` and `last` by rank 0, `each` by the nodes' leaders in turn."""
    steps: list[tuple[int, Callable[[], None]]] = []
    if first is not None:
        steps.append((0, first))
    if each is not None:
        steps += [(leader, each) for leader in state.nodes.leaders]
    if last is not None:
        steps.append((0, last))
    for rank, step in steps:

        def make(rank: int = rank, step: Callable[[], None] = step) -> bytes:
            if state.comm.rank == rank:
                try:
                    step()
                except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
                    raise QMPIError(f"{what}: {error}") from error
            return b""

        state.gather(make)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise QMPIError("files of state vectors need h5py: pip install 'qmpi[hdf5]'") from error
    return h5py
