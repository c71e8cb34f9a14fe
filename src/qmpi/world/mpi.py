"""Ranks as MPI processes of one node. The only module that imports mpi4py.

Founding is collective over the first communicator: rank 0 makes the arena and hands its descriptor to the others through an abstract
Unix socket whose random name it broadcasts; the peer's user id is checked. Everything talks on duplicates, with upper-case calls.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import sys
import threading
import time
from contextlib import nullcontext
from types import TracebackType
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
    announce,
    line_of,
    set_rank,
)
from .base import INTERRUPTED, OUTSIDE, Membership, Universe, at_leave, create_arena
from .roll_call import present
from .settings import Settings, contradictions

_MESSAGE_BYTES = 512
_CONNECT_TIMEOUT_S = 60.0
_FORWARDING_S = 0.2  # MPICH's launcher drops output that it has not forwarded when Abort comes

_universe: Universe | None = None
_group: MPI.Group | None = None  # of the communicator that founded it
_thread: int | None = None  # that founded it
_given_up: list[MPI.Intracomm] = []  # to be freed


def comm_world() -> Any:
    """`MPI.COMM_WORLD`. Initialises MPI if the program has not."""
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
    """
    if _thread not in (None, threading.get_ident()):
        raise SecondThread("a rank is one thread: this call comes from another thread than the one that founded qmpi")
    if comm is None or (isinstance(comm, MPI.Comm) and comm == MPI.COMM_NULL):
        raise CommunicatorError(OUTSIDE)
    if not isinstance(comm, MPI.Intracomm):
        raise CommunicatorError(f"qmpi.Comm wraps an mpi4py intracommunicator, not {comm!r}")
    _free()
    with nullcontext() if _universe else present(MPI.COMM_WORLD.rank, _world_ranks(comm)):
        own = comm.Dup()
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
    """`comm.Dup`. **Collective** over `comm`."""
    _free()
    return comm.Dup()


def split(comm: Any, color: int | None, key: int) -> Any | None:
    """`comm.Split`; None for ranks that take no part. **Collective** over `comm`."""
    _free()
    part = comm.Split(MPI.UNDEFINED if color is None else color, key)
    return None if part == MPI.COMM_NULL else part


def give_up(comm: MPI.Intracomm) -> None:
    """`comm` is not needed any more; waits for nobody. It is freed when this rank next makes a communicator."""
    _given_up.append(comm)


def _free() -> None:
    """What has been given up, unless the program has freed it. MPI-4.1, 7.4.3: collective, but expected to be local."""
    while _given_up:
        comm = _given_up.pop()
        if comm != MPI.COMM_NULL:
            comm.Free()


def _world_ranks(comm: MPI.Intracomm) -> list[int]:
    return list(MPI.Group.Translate_ranks(comm.Get_group(), list(range(comm.size)), MPI.COMM_WORLD.Get_group()))


def _found(own: MPI.Intracomm) -> None:
    global _universe, _group, _thread
    _refuse_lonely_start(own)
    set_rank(own.rank)
    settings: Settings | None = None
    problem = ""
    try:
        settings = Settings.from_environment()
    except InvalidArgument as error:
        problem = error.args[0]
    _agree(own, problem)
    assert settings is not None
    _compare(own, settings)
    arena = _share(own, settings)
    _universe = Universe(arena, own.rank, own.size, settings, at_leave)
    _thread = threading.get_ident()
    if own.size > 1:
        _fail_together()
    _group = own.Get_group()


def _fail_together() -> None:
    """An uncaught exception in one rank ends the job: left alone, MPI would wait for that rank, and it for the others."""
    previous, founder = sys.excepthook, os.getpid()

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if os.getpid() != founder:  # a fork, which is no rank
            previous(kind, error, trace)
            sys.stderr.flush()
            os._exit(1)  # without MPI's farewell, which is the parent's
        if issubclass(kind, KeyboardInterrupt):  # of every rank: a line instead of a traceback
            announce(f"qmpi: rank {MPI.COMM_WORLD.rank} interrupted at {line_of(trace)}")
        else:
            previous(kind, error, trace)
        sys.stderr.flush()
        if not hasattr(sys, "ps1"):  # an interactive session goes on
            time.sleep(_FORWARDING_S)
            MPI.COMM_WORLD.Abort(INTERRUPTED if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook


def _refuse_lonely_start(own: MPI.Intracomm) -> None:
    """Under `srun` without PMIx every task believes to be alone (open-mpi/ompi#13523)."""
    tasks = os.environ.get("SLURM_NTASKS", "1")
    step = "SLURM_STEP_ID" in os.environ and "SLURM_PROCID" in os.environ
    if step and MPI.COMM_WORLD.size == 1 and tasks.isdigit() and int(tasks) > 1 and own.size == 1:
        raise FoundingError(f"Slurm started {tasks} tasks, but MPI sees one: start with `srun --mpi=pmix` (or pmi2), or with mpiexec")


def _agree(own: MPI.Intracomm, problem: str) -> None:
    """All raise FoundingError if one has a problem; each sees the text of the lowest such rank."""
    texts = np.zeros((own.size, _MESSAGE_BYTES), np.uint8)
    text = problem.encode()[:_MESSAGE_BYTES]
    mine = np.zeros(_MESSAGE_BYTES, np.uint8)
    mine[: len(text)] = np.frombuffer(text, np.uint8)
    own.Allgather(mine, texts)
    for rank, line in enumerate(texts):
        if line[0]:
            raise FoundingError(f"rank {rank}: {bytes(line).rstrip(bytes(1)).decode(errors='replace')}")


def _compare(own: MPI.Intracomm, settings: Settings) -> None:
    node = own.Split_type(MPI.COMM_TYPE_SHARED)
    alone = node.size < own.size
    node.Free()
    if alone:
        raise FoundingError("the communicator spans more than one node; qmpi does not span nodes yet")
    mine = [f"qmpi {VERSION}", *settings.shared()]
    text = "\n".join(mine).encode()
    first = np.zeros(_MESSAGE_BYTES, np.uint8)
    first[: len(text)] = np.frombuffer(text, np.uint8)
    own.Bcast(first, root=0)
    _agree(own, contradictions(mine, bytes(first).rstrip(bytes(1)).decode().split("\n")))


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
                problem = str(error)
        _agree(own, problem)
        own.Bcast(name, root=0)
        try:
            if arena is not None:
                for _ in range(own.size - 1):
                    _hand_over(listener, arena.descriptor)
            else:
                arena = Arena.attach(_take_over(bytes(name)))
        except (QMPIError, OSError) as error:
            problem = f"cannot share the arena: {error}"
    _agree(own, problem)
    assert arena is not None
    return arena


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
