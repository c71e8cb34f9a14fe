"""Ranks as MPI processes of one node. The only module that imports mpi4py.

Founding is collective over the first communicator: rank 0 makes the arena and hands its descriptor to the others through an abstract
Unix socket whose random name it broadcasts; the peer's user id is checked. Everything talks on duplicates, with upper-case calls.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import threading
from functools import cache
from math import inf
from typing import Any

import numpy as np
from mpi4py import MPI

from .._core import VERSION, Arena
from ..errors import (
    CommunicatorError,
    FoundingError,
    InvalidArgument,
    OutsideUniverse,
    QMPIError,
    SecondThread,
    set_rank,
)
from . import roll_call
from .base import OUTSIDE, Membership, Universe, at_leave, create_arena
from .ending import end_together
from .settings import Settings, contradictions

_CONNECT_TIMEOUT_S = 60.0

_universe: Universe | None = None
_group: MPI.Group | None = None  # of the communicator that founded it
_thread: int | None = None  # that founded it


def comm_world() -> Any:
    """`MPI.COMM_WORLD`.

    Raises:
        FoundingError: MPI does not run.
    """
    _prepare()
    return MPI.COMM_WORLD


def founded_here() -> bool:
    """Whether the calling thread is this process's rank."""
    return _thread == threading.get_ident()


def join(comm: Any) -> tuple[Universe, Membership]:
    """Makes this rank a member of `comm`; the first call of a process founds the universe.

    **Collective** over `comm`.

    Args:
        comm: an mpi4py intracommunicator.

    Raises:
        CommunicatorError: not an intracommunicator, or COMM_NULL.
        OutsideUniverse: some of its ranks founded a universe without the others.
        FoundingError: the ranks do not share one node, or disagree on version or settings, or the arena cannot be made.
        SecondThread: another thread founded qmpi.
        PeerLeft: one of its ranks has ended.
    """
    if _thread not in (None, threading.get_ident()):
        raise SecondThread("a rank is one thread: this call comes from another thread than the one that founded qmpi")
    if comm is None or (isinstance(comm, MPI.Comm) and comm == MPI.COMM_NULL):
        raise CommunicatorError(OUTSIDE)
    if not isinstance(comm, MPI.Intracomm):
        raise CommunicatorError(f"qmpi.Comm wraps an mpi4py intracommunicator, not {comm!r}")
    own = dup(comm)
    try:
        founded = np.zeros(own.size, np.int8)
        own.Allgather(np.array([_universe is not None], np.int8), founded)
        if not founded.any():
            _found(own)
        universe, group = _universe, _group
        # In a mixed communicator nobody goes on, so that nobody waits.
        if universe is None or group is None or (not founded.all() and founded.any()):
            raise OutsideUniverse(
                "some ranks of this communicator already run qmpi without the others: wrap the largest communicator first"
            )
        members = MPI.Group.Translate_ranks(own.Get_group(), list(range(own.size)), group)
        if MPI.UNDEFINED in members:
            raise OutsideUniverse("the communicator has ranks outside the first one wrapped: wrap the largest first")
        context = np.zeros(1, np.int64)
        if own.rank == 0:
            context[0] = universe.arena.next_contexts(1)
        own.Bcast(context, root=0)
        return universe, Membership(comm, comm.rank, tuple(members), int(context[0]))
    finally:
        own.Free()


def dup(comm: Any) -> Any:
    """`comm.Dup`. **Collective** over `comm`.

    Raises:
        PeerLeft: one of its ranks has ended.
    """
    _meet(comm)
    return comm.Dup()


def split(comm: Any, color: int | None, key: int) -> Any | None:
    """`comm.Split`; None for ranks that take no part. **Collective** over `comm`.

    Raises:
        PeerLeft: one of its ranks has ended.
    """
    _meet(comm)
    part = comm.Split(MPI.UNDEFINED if color is None else color, key)
    return None if part == MPI.COMM_NULL else part


def leave() -> None:
    """This process ends: whoever waits for it where a communicator is made learns that it will not come."""
    if MPI.Is_initialized() and not MPI.Is_finalized() and MPI.COMM_WORLD.size > 1:
        roll_call.leave(MPI.COMM_WORLD.rank)


def _prepare() -> None:
    """Raises unless MPI runs; the first time, sees to it that the end of this rank reaches the others."""
    if not MPI.Is_initialized():
        raise FoundingError("MPI is not initialised (mpi4py.rc.initialize is off): call MPI.Init() before the first call of qmpi")
    if MPI.Is_finalized():
        raise FoundingError("MPI is already finalised: a communicator can no longer be made or asked")
    _connect_ends()


@cache
def _connect_ends() -> None:
    if MPI.COMM_WORLD.size > 1:
        end_together(MPI.COMM_WORLD.rank, _abort)
        # What a program's own MPI.Finalize() does first.
        MPI.COMM_SELF.Set_attr(MPI.Comm.Create_keyval(delete_fn=lambda comm, key, value: leave()), None)


def _abort(status: int) -> None:
    if not MPI.Is_finalized():
        MPI.COMM_WORLD.Abort(status)
        os._exit(status)  # MPICH's Abort may return before the launcher has ended this process


def _meet(comm: MPI.Intracomm) -> None:
    """Returns once all ranks of `comm` have come here, so that what they do next waits for nobody."""
    _prepare()
    if _universe is None:
        set_rank(comm.rank)
    patience_s = inf if _universe else roll_call.PATIENCE_S
    roll_call.meet(MPI.COMM_WORLD.rank, _world_ranks(comm), comm.Ibarrier().Test, patience_s)


def _world_ranks(comm: MPI.Intracomm) -> list[int]:
    return list(MPI.Group.Translate_ranks(comm.Get_group(), list(range(comm.size)), MPI.COMM_WORLD.Get_group()))


def _found(own: MPI.Intracomm) -> None:
    global _universe, _group, _thread
    _refuse_lonely_start(own)
    settings: Settings | None = None
    problem = ""
    try:
        settings = Settings.from_environment()
    except InvalidArgument as error:
        problem = error.what
    _agree(own, problem)
    assert settings is not None
    _compare(own, settings)
    arena = _share(own, settings)
    _universe = Universe(arena, own.rank, own.size, settings, at_leave)
    _thread = threading.get_ident()
    _group = own.Get_group()


def _refuse_lonely_start(own: MPI.Intracomm) -> None:
    """Under `srun` without PMIx every task believes to be alone (open-mpi/ompi#13523)."""
    tasks = os.environ.get("SLURM_NTASKS", "1")
    step = "SLURM_STEP_ID" in os.environ and "SLURM_PROCID" in os.environ
    if step and MPI.COMM_WORLD.size == 1 and tasks.isdigit() and int(tasks) > 1 and own.size == 1:
        raise FoundingError(f"Slurm started {tasks} tasks, but MPI sees one: start with `srun --mpi=pmix` (or pmi2), or with mpiexec")


def _agree(own: MPI.Intracomm, problem: str) -> None:
    """All raise FoundingError if one has a problem; each sees the text of the lowest such rank."""
    for rank, text in enumerate(_everybodys(own, problem)):
        if text:
            raise FoundingError(f"rank {rank}: {text}")


def _everybodys(own: MPI.Intracomm, text: str) -> list[str]:
    """Each rank's text, on every rank."""
    mine = text.encode(errors="surrogateescape")  # paths of any bytes
    lengths = np.zeros(own.size, np.int64)
    own.Allgather(np.array([len(mine)]), lengths)
    rows = np.zeros((own.size, lengths.max()), np.uint8)
    own.Allgather(np.frombuffer(mine.ljust(rows.shape[1], b"\0"), np.uint8), rows)
    return [bytes(row[:length]).decode(errors="surrogateescape") for row, length in zip(rows, lengths, strict=True)]


def _compare(own: MPI.Intracomm, settings: Settings) -> None:
    node = own.Split_type(MPI.COMM_TYPE_SHARED)
    alone = node.size < own.size
    node.Free()
    if alone:
        raise FoundingError("the communicator spans more than one node; qmpi does not span nodes yet")
    mine = [f"qmpi {VERSION}", *settings.shared()]
    first, *_ = _everybodys(own, "\0".join(mine))
    _agree(own, contradictions(mine, first.split("\0")))


def _share(own: MPI.Intracomm, settings: Settings) -> Arena:
    """Rank 0 creates the arena and gives its descriptor to the others."""
    arena: Arena | None = None
    problem = ""
    name = np.zeros(32, np.uint8)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(_CONNECT_TIMEOUT_S)
    with listener:
        if own.rank == 0:
            try:
                arena = create_arena(settings, own.size)
                name[:] = np.frombuffer(b"qmpi-" + secrets.token_hex(16).encode()[:27], np.uint8)
                listener.bind(b"\0" + bytes(name))
                listener.listen(own.size)
            except (QMPIError, OSError) as error:
                problem = _told(error)
        _agree(own, problem)
        own.Bcast(name, root=0)
        try:
            if arena is not None:
                for _ in range(own.size - 1):
                    _hand_over(listener, arena.descriptor)
            else:
                arena = Arena.attach(_take_over(bytes(name)))
        except (QMPIError, OSError) as error:
            problem = f"cannot share the arena: {_told(error)}"
    _agree(own, problem)
    assert arena is not None
    return arena


def _told(error: Exception) -> str:
    """Without the place in the program, to which each rank's own is added."""
    return error.what if isinstance(error, QMPIError) else str(error)


def _hand_over(listener: socket.socket, descriptor: int) -> None:
    """Serves the next of our user's processes; others are turned away."""
    while True:
        connection, _ = listener.accept()
        with connection:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            if struct.unpack("3i", credentials)[1] != os.getuid():
                continue
            socket.send_fds(connection, [b"q"], [descriptor])
            return


def _take_over(name: bytes) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        connection.connect(b"\0" + name)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not descriptors:
        raise OSError("rank 0 sent no descriptor")
    return descriptors[0]
