"""State vectors in HDF5 files, with a checksum for every chunk. The only module that knows h5py."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Event
from typing import TYPE_CHECKING, Any

from .._core import VERSION
from ..errors import QMPIError
from .exchange import overlap

if TYPE_CHECKING:
    from .shares import Shares

FORMAT = 1
_CHUNK = 2**16  # amplitudes under one checksum
_PIECE = 2**22  # amplitudes read or written at once
_CAUSES = (OSError, KeyError, ValueError, TypeError, RuntimeError)  # what h5py and the system raise


def save(path: str | Path, state: Shares) -> None:
    """Writes beside the file and then in its place; the nodes one after the other. Qubit k must be at bit k."""
    h5py = _h5py()
    unfinished = target = ""  # on the first rank

    def skeleton(file: Any) -> Iterator[None]:
        file.attrs.update(format=FORMAT, qubits=state.num_qubits, version=VERSION)
        size = 1 << state.num_qubits
        file.create_dataset("amplitudes", (size,), state.dtype, chunks=(min(_CHUNK, size),), fletcher32=True)
        yield

    def share(file: Any) -> Iterator[None]:
        amplitudes = state.amplitudes
        assert amplitudes is not None
        begin = state.node << state.local_bits
        for k in range(0, len(amplitudes), _PIECE):
            piece = amplitudes[k : k + _PIECE]
            file["amplitudes"][begin + k : begin + k + len(piece)] = piece
            yield

    def create() -> bytes:
        nonlocal unfinished, target
        target = os.path.realpath(path)
        _refuse_irregular(target)
        name = f"{target}.{token_hex(4)}.part"
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        unfinished = name
        _write(h5py, unfinished, "w", skeleton)
        return os.fsencode(unfinished)

    def replace() -> bytes:
        os.replace(unfinished, target)
        return b""

    def on(rank: int, step: Callable[[], bytes]) -> bytes:
        return _on(rank, state, step, f"cannot write {path}")

    try:
        name = os.fsdecode(on(0, create))
        for leader in state.nodes.leaders:
            on(leader, lambda: _write(h5py, name, "r+", share))
        on(0, replace)
    except BaseException:
        if unfinished:
            with suppress(OSError):  # the disk may be in trouble: what is being raised says so
                os.unlink(unfinished)
        raise


def check(path: str | Path, state: Shares) -> None:
    """Reads all of the file once, so that a damaged one is refused before anything is touched."""
    h5py = _h5py()

    def read() -> bytes:
        _refuse_irregular(path)
        with h5py.File(path, "r") as file:
            stored = file.get("amplitudes")
            if file.attrs.get("format") != FORMAT or not isinstance(stored, h5py.Dataset) or stored.dtype.kind != "c":
                raise ValueError("it is no state vector of this format")
            qubits = int(file.attrs["qubits"])
            if qubits != state.num_qubits or stored.shape != (1 << qubits,):
                raise ValueError(f"it holds {qubits} qubits, the state has {state.num_qubits}")
            weight = 0.0
            for k in range(0, 1 << qubits, _PIECE):
                piece = stored[k : k + _PIECE]
                weight += overlap(piece, piece).real
            if not abs(weight - 1) < 1e-3:
                raise ValueError(f"it holds a state of norm {weight**0.5:g}")
        return b""

    _on(0, state, read, f"cannot read {path}")


def load(path: str | Path, state: Shares) -> None:
    """Reads this node's share; the file has been checked."""
    h5py = _h5py()

    def read() -> bytes:
        share = state.amplitudes
        assert share is not None
        with h5py.File(path, "r") as file:
            begin = state.node << state.local_bits
            for k in range(0, len(share), _PIECE):
                share[k : k + _PIECE] = file["amplitudes"][begin + k : begin + min(k + _PIECE, len(share))]
        return b""

    for leader in state.nodes.leaders:
        _on(leader, state, read, f"cannot read {path}")


def _on(rank: int, state: Shares, step: Callable[[], bytes], what: str) -> bytes:
    """What a step of one rank's returns, for which all wait; in its failure all fail."""
    return state.gather_or_refuse(lambda: step() if state.rank == rank else b"", what, QMPIError, _CAUSES)[rank]


def _refuse_irregular(path: str | Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("it is no regular file")


class _Forgiving(io.FileIO):
    """A file that keeps its first failure to itself. HDF5 cannot recover from a write that failed: it holds on to what it could not write,
    and the process crashes later, in another file.

    Attributes:
        failure: the first.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """All of it, or nothing that HDF5 would notice."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """The same for the end of the file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


def _write(h5py: Any, path: str, mode: str, fill: Callable[[Any], Iterator[None]]) -> bytes:
    """Lets `fill` write into an HDF5 file, step by step, and sees to it that it has arrived.

    In a thread of its own: Ctrl-C, which Python raises in a rank's thread, would be one more failure inside of HDF5.
    """
    from concurrent.futures import ThreadPoolExecutor  # as slow to import as a tenth of qmpi

    given_up = Event()

    def work() -> None:
        with _Forgiving(path, "r+") as raw:
            with h5py.File(raw, mode) as file:
                for _ in fill(file):
                    if raw.failure is not None or given_up.is_set():
                        break
            if raw.failure is not None:
                raise raw.failure
            os.fsync(raw.fileno())

    with ThreadPoolExecutor(1) as writer:
        try:
            writer.submit(work).result()
        except BaseException:
            given_up.set()
            raise
    return b""


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise QMPIError("files of state vectors need h5py: pip install 'qmpi[hdf5]'") from error
    return h5py
