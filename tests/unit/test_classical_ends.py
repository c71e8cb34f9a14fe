"""The classical communicator of threads: every wait can be ended, and what is wrong is refused."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import qmpi
from qmpi.errors import Closed, InvalidArgument, MessageError, PeerFailed, RankOutOfRange, TagOutOfRange
from qmpi.world import wildcards
from qmpi.world.classical import Classical, Group, Hub, Request
from qmpi.world.classical.mailbox import Event
from tests.laws.programs.classical_oracle import on_threads

HANG_S = 20  # far more than anything here takes


@pytest.fixture
def pair() -> tuple[Classical, Classical]:
    """Both ranks of a world of two, driven by one thread: sends never wait."""
    hub = Hub(2)
    return hub.world(0), hub.world(1)


# --- the end of a run ---------------------------------------------------------------------------------------------------------------------

# Calls in which rank 1 of 2 waits if rank 0 does nothing.
WAITS: dict[str, Callable[[Classical], Any]] = {
    "recv": lambda comm: comm.recv(),
    "Recv": lambda comm: comm.Recv(np.zeros(1), 0),
    "irecv": lambda comm: comm.irecv().wait(),
    "Irecv": lambda comm: comm.Irecv(np.zeros(1)).Wait(),
    "waitall": lambda comm: Request.waitall([comm.isend(1, 0), comm.irecv()]),
    "ssend": lambda comm: comm.ssend(1, 0),
    "Ssend": lambda comm: comm.Ssend(np.zeros(1), 0),
    "issend": lambda comm: comm.issend(1, 0).wait(),
    "sendrecv": lambda comm: comm.sendrecv(1, 0, source=0),
    "probe": lambda comm: comm.probe(),
    "barrier": lambda comm: comm.barrier(),
    "Ibarrier": lambda comm: comm.Ibarrier().Wait(),
    "bcast": lambda comm: comm.bcast(None),
    "scatter": lambda comm: comm.scatter(None),
    "gather": lambda comm: comm.gather(1, root=1),
    "allgather": lambda comm: comm.allgather(1),
    "alltoall": lambda comm: comm.alltoall([1, 2]),
    "reduce": lambda comm: comm.reduce(1, root=1),
    "allreduce": lambda comm: comm.allreduce(1),
    "mprobe": lambda comm: comm.mprobe(),
    "Ibcast": lambda comm: comm.Ibcast(np.zeros(1)).Wait(),
    "Scatterv": lambda comm: comm.Scatterv(None, np.zeros(1)),
    "Gatherv": lambda comm: comm.Gatherv(np.zeros(1), np.zeros(2), root=1),
    "Allgatherv": lambda comm: comm.Allgatherv(np.zeros(1), np.zeros(2)),
    "Alltoallv": lambda comm: comm.Alltoallv(np.zeros(2), np.zeros(2)),
    "scan": lambda comm: comm.scan(1),
    "exscan": lambda comm: comm.exscan(1),
    "Allreduce": lambda comm: comm.Allreduce(np.zeros(1), np.zeros(1)),
    "Dup": lambda comm: comm.Dup(),
    "Split": lambda comm: comm.Split(0),
    "Create": lambda comm: comm.Create(comm.Get_group()),
    "Create_group": lambda comm: comm.Create_group(comm.Get_group()),
    "Create_cart": lambda comm: comm.Create_cart([1]),
}


class Ended(Exception):
    """What the end of a run raises here."""


def waiting(comm: Classical, wait: Callable[[Classical], Any], caught: list[Any]) -> threading.Thread:
    """A thread that sits in `wait`; it will append the type of what is raised there, and the thread it is raised in."""

    def run() -> None:
        try:
            wait(comm)
        except BaseException as error:
            caught.append((type(error), threading.get_ident()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        frame = sys._current_frames().get(thread.ident or 0)
        while frame is not None:
            if frame.f_code is Event.wait.__code__:
                return thread
            frame = frame.f_back
        time.sleep(1e-3)
    raise AssertionError("does not wait")


@pytest.mark.parametrize("name", WAITS)
def test_the_end_of_the_run_ends_every_wait(name: str) -> None:
    hub, caught, made = Hub(2), [], []
    thread = waiting(hub.world(1), WAITS[name], caught)

    def make() -> Ended:
        made.append(threading.get_ident())
        return Ended()

    hub.end(make)
    thread.join(HANG_S)
    assert caught == [(Ended, made[0])] and made == [thread.ident]
    with pytest.raises(Ended):
        WAITS[name](hub.world(1))


@pytest.mark.parametrize("name", WAITS)
def test_an_exception_thrown_into_a_thread_ends_every_wait(name: str) -> None:
    hub, caught = Hub(2), []
    thread = waiting(hub.world(1), WAITS[name], caught)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)) == 1
    thread.join(HANG_S)
    assert caught == [(KeyboardInterrupt, thread.ident)]


def test_a_receive_whose_wait_was_interrupted_takes_nothing(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    for wait in (second.recv, second.probe):
        thread = waiting(second, lambda _, wait=wait: wait(), [])
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
        thread.join(HANG_S)
    first.send("x", 1)
    assert second.recv() == "x"


def test_after_the_end_polls_and_sends_raise_too_and_the_first_end_counts(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    first.send(1, 1)
    request = second.irecv()
    first.hub.end(Ended)
    first.hub.end(ZeroDivisionError)
    for call in (lambda: first.send(1, 1), lambda: first.Isend(np.zeros(1), 1), second.iprobe, second.recv, request.Test, request.wait):
        with pytest.raises(Ended):
            call()


def test_abort_ends_the_run(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    with pytest.raises(SystemExit) as ended:
        second.Abort(3)
    assert ended.value.code == 3
    with pytest.raises(PeerFailed, match=r"rank 1 has called Abort\(3\)"):
        first.recv()


# --- refusals -----------------------------------------------------------------------------------------------------------------------------


def _received_twice(comm: Classical) -> None:
    comm.send(1, 0)
    message = comm.mprobe()
    message.recv()
    message.recv()


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda comm: comm.send(1, 1), RankOutOfRange, r"rank 1 is not one of 0 to 0 \(or PROC_NULL\)"),
        (lambda comm: comm.send(1, -77), RankOutOfRange, "rank -77 is not"),
        (lambda comm: comm.send(1, 0.0), RankOutOfRange, "rank 0.0 is not"),
        (lambda comm: comm.send(1, qmpi.ANY_SOURCE), RankOutOfRange, "rank qmpi.ANY_SOURCE is not"),
        (lambda comm: comm.bcast(1, root=1), RankOutOfRange, "rank 1 is not"),
        (lambda comm: comm.reduce(1, root=qmpi.PROC_NULL), RankOutOfRange, "PROC_NULL cannot be the root"),
        (lambda comm: comm.send(1, 0, -1), TagOutOfRange, "tag -1 is not one of 0 to 2147483647"),
        (lambda comm: comm.send(1, 0, 2**31), TagOutOfRange, "tag 2147483648 is not"),
        (lambda comm: comm.irecv(tag="x"), TagOutOfRange, "tag 'x' is not"),
        (lambda comm: comm.scatter([1, 2]), InvalidArgument, "expecting 1 items, one for each rank, got 2"),
        (lambda comm: comm.alltoall([]), InvalidArgument, "expecting 1 items, one for each rank, got 0"),
        (lambda comm: comm.Split(-5), InvalidArgument, "color -5 is not an integer from 0 on"),
        (lambda comm: comm.Create_cart([2]), InvalidArgument, r"dims \[2\] make no grid of 1 to 1 ranks"),
        (lambda comm: comm.Create_cart([1, 0]), InvalidArgument, r"dims \[1, 0\] make no grid"),
        (lambda comm: comm.Create_cart([-1, -1]), InvalidArgument, r"dims \[-1, -1\] make no grid"),
        (lambda comm: comm.Create_cart(1), InvalidArgument, "expecting a row of integers, not 1"),
        (lambda comm: comm.Create_cart([1.0]), InvalidArgument, r"expecting a row of integers, not \[1.0\]"),
        (lambda comm: comm.Create_cart("1"), InvalidArgument, "expecting a row of integers, not '1'"),
        (lambda comm: comm.Create_cart([1], [True, False]), InvalidArgument, r"expecting 1 integers, not \[True, False\]"),
        (lambda comm: comm.Create_cart([1], 1), InvalidArgument, "expecting a row of integers, not 1"),
        (lambda comm: comm.Create_cart([1]).Shift(1, 1), InvalidArgument, "direction 1 is not one of the 1 dimensions"),
        (lambda comm: comm.Create_cart([1]).Shift(-1, 1), InvalidArgument, "direction -1 is not"),
        (lambda comm: comm.Create_cart([1]).Shift(0, "x"), InvalidArgument, r"expecting a row of integers, not \['x'\]"),
        (lambda comm: comm.Create_cart([1]).Get_coords(1), RankOutOfRange, "rank 1 is not one of 0 to 0"),
        (lambda comm: comm.Create_cart([1]).Get_coords(qmpi.PROC_NULL), RankOutOfRange, "rank qmpi.PROC_NULL is not"),
        (lambda comm: comm.Create_cart([1]).Get_cart_rank([1]), RankOutOfRange, r"coordinates \[1\] lie outside of the grid \[1\]"),
        (lambda comm: comm.Create_cart([1]).Get_cart_rank([0, 0]), InvalidArgument, r"expecting 1 integers, not \[0, 0\]"),
        (lambda comm: comm.Create_cart([1]).Sub([]), InvalidArgument, r"expecting 1 integers, not \[\]"),
        (lambda comm: comm.Get_group().Incl([1]), RankOutOfRange, r"ranks \[1\] are not all of 0 to 0, which the group has"),
        (lambda comm: comm.Get_group().Excl([-1]), RankOutOfRange, r"ranks \[-1\] are not"),
        (lambda comm: comm.Get_group().Incl([0, 0]), InvalidArgument, r"ranks \[0, 0\] of a group must be different"),
        (lambda comm: comm.Get_group().Incl(0), InvalidArgument, "expecting a row of integers, not 0"),
        (lambda comm: comm.Get_group().Translate_ranks([1]), RankOutOfRange, r"ranks \[1\] are not"),
        (lambda comm: Group.Union(comm.Get_group(), [0]), InvalidArgument, r"expecting a group of the thread world .*, not \[0\]"),
        (lambda comm: comm.Create(None), InvalidArgument, "expecting a group of the thread world .*, not None"),
        (lambda comm: comm.Create_group(Group([0, 1], 0)), InvalidArgument, "the group has ranks that the communicator has not"),
        (lambda comm: comm.Create_group(comm.Get_group(), -1), TagOutOfRange, "tag -1 is not"),
        (lambda comm: comm.Send("text", 0), InvalidArgument, "take an array, not str; lower-case ones take any object"),
        (lambda comm: comm.Send(None, 0), InvalidArgument, "take an array, not NoneType"),
        (lambda comm: comm.Send(np.zeros((3, 3))[:, 1], 0), InvalidArgument, "not contiguous"),
        (lambda comm: comm.Send(np.array([None]), 0), InvalidArgument, "Python objects has no memory"),
        (lambda comm: comm.Send([np.zeros(3), 4], 0), InvalidArgument, "the buffer of 3 items has no 4 from item 0 on"),
        (lambda comm: comm.Send([np.zeros(3), 2, 2, "d"], 0), InvalidArgument, "the buffer of 3 items has no 2 from item 2 on"),
        (lambda comm: comm.Send([np.zeros(3), -1], 0), InvalidArgument, "the buffer of 3 items has no -1 from item 0 on"),
        (lambda comm: comm.Send([np.zeros(3), 1.0], 0), InvalidArgument, r"expecting a row of integers, not \[1.0\]"),
        (lambda comm: comm.Send([np.zeros(3), 1, 1, "d", 1], 0), InvalidArgument, "a buffer is described by"),
        (lambda comm: comm.Send([np.zeros(3), "no type"], 0), InvalidArgument, "'no type' is no datatype of which an array of 24 bytes"),
        (lambda comm: comm.Send([np.zeros(3, "i4"), "d"], 0), InvalidArgument, "'d' is no datatype of which an array of 12 bytes"),
        (lambda comm: comm.Gatherv(np.zeros(1), [np.zeros(1), [1, 1]]), InvalidArgument, r"expecting 1 integers, not \[1, 1\]"),
        (lambda comm: comm.Gatherv(np.zeros(1), [np.zeros(1), [1], [1], "d"]), InvalidArgument, "has no 1 from item 1 on"),
        (lambda comm: comm.Allgatherv(np.zeros(2), [np.zeros(2), [1]]), MessageError, "16 bytes have come for a buffer of 8"),
        (lambda comm: comm.Scatterv(np.zeros(1), b"read-only"), InvalidArgument, "read-only"),
        (lambda comm: comm.Ibcast("text"), InvalidArgument, "take an array, not str"),
        (lambda comm: comm.Split_type(-5), InvalidArgument, "split by no other type than mpi4py's COMM_TYPE_SHARED, not -5"),
        (lambda comm: _received_twice(comm), InvalidArgument, "each is received once"),
        (lambda comm: comm.Bcast(wildcards.IN_PLACE), InvalidArgument, "IN_PLACE stands here for no buffer"),
        (lambda comm: comm.Irecv(b"read-only"), InvalidArgument, "read-only"),
        (lambda comm: comm.Allgather(np.zeros(2), np.zeros(3)), MessageError, "16 bytes have come for a buffer of 24"),
        (lambda comm: comm.allreduce(1, op=None), InvalidArgument, "op must be a function of two arguments, not None"),
    ],
)
def test_what_is_wrong_is_refused(call: Callable[[Classical], Any], kind: type[Exception], text: str) -> None:
    comm = Hub(1).world(0)
    with pytest.raises(kind, match=text) as refused:
        call(comm)
    assert refused.type is kind and not comm.iprobe()


@pytest.mark.parametrize("op", [lambda a, b: 0, lambda a, b: (1, 2), lambda a, b: np.zeros(1)])
def test_an_operator_on_arrays_must_be_elementwise(op: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(InvalidArgument, match="is not elementwise"):
        on_threads(2, lambda comm: comm.Scan(np.zeros(2), np.zeros(2), op))


def test_a_buffer_that_cannot_be_dealt_out_evenly_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="a buffer of 3 items has no 2 equal parts"):
        on_threads(2, lambda comm: comm.Alltoall(np.zeros(3), np.zeros(3)))


def test_a_freed_communicator_is_closed_and_its_twin_is_not() -> None:
    comm = Hub(1).world(0)
    twin = comm.Dup()
    comm.Free()
    with pytest.raises(Closed, match="has been freed"):
        comm.iprobe()
    assert twin.allgather(1) == [1] and (comm.context, twin.context) == (0, 1)
