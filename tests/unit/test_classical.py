"""The classical communicator of threads: what its calls return is what the definitions say and what mpi4py
returns; messages match as MPI has it."""

from __future__ import annotations

import ast
import inspect
import json
import operator
import subprocess
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import qmpi
from qmpi.errors import MessageError
from qmpi.world import wildcards
from qmpi.world.classical import Cartesian, Classical, Group, Hub, Matched, Request, Status
from qmpi.world.classical.mailbox import ANY, Event, Mailbox, Message
from tests.classical_programs import Call, expected, numbered_program
from tests.laws.programs.classical_oracle import THREADS, on_threads, perform
from tests.worlds.launch import launch

HANG_S = 20  # far more than anything here takes
PROGRAMS_WITH_MPI4PY = 20
MANY = 1000


@pytest.fixture
def pair() -> tuple[Classical, Classical]:
    """Both ranks of a world of two, driven by one thread: sends never wait."""
    hub = Hub(2)
    return hub.world(0), hub.world(1)


# --- what the calls return -------------------------------------------------------------------------------------------------------------


def compare(calls: list[Call], results: list[list[Any]], who: str) -> None:
    for number, call in enumerate(calls):
        assert [result[number] for result in results] == expected(call), f"{who}, call {number}: {call}"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("seed", range(8))
def test_every_call_returns_what_its_definition_says(size: int, seed: int) -> None:
    calls = numbered_program(size, seed)
    compare(calls, on_threads(size, perform, THREADS, calls), "threads")


@pytest.fixture(scope="module")
def oracle() -> list[dict[str, Any]]:
    """What mpi4py says: its signatures, then what each program returned."""
    run = launch(3, ["-m", "tests.laws.programs.classical_oracle", str(PROGRAMS_WITH_MPI4PY)])
    assert run.code == 0, run.tail()
    rows = [json.loads(line) for line in run.output.splitlines()]
    assert len(rows) == 1 + PROGRAMS_WITH_MPI4PY, run.tail()
    return rows


def test_mpi4py_returns_the_same_and_its_constants_and_operators_work_on_threads(oracle: list[dict[str, Any]]) -> None:
    for row in oracle[1:]:
        calls = numbered_program(3, row["seed"])
        compare(calls, row["mpi4py"], "mpi4py")
        compare(calls, row["threads"], "threads with mpi4py's constants")


def test_names_arguments_and_defaults_are_mpi4py_s(oracle: list[dict[str, Any]]) -> None:
    spelled = {qmpi.ANY_SOURCE: "ANY_SOURCE", qmpi.ANY_TAG: "ANY_TAG", operator.add: "SUM"}

    def ours(method: Callable[..., Any]) -> dict[str, str | None]:
        parameters = [each for each in inspect.signature(method).parameters.values() if each.name not in ("self", "cls")]
        return {each.name: None if each.default is each.empty else spelled.get(each.default, repr(each.default)) for each in parameters}

    def theirs(line: str) -> dict[str, str | None]:
        definition = ast.parse(f"def {line}: ...").body[0]
        assert isinstance(definition, ast.FunctionDef)
        arguments = definition.args
        written = [ast.unparse(each).replace("INFO_NULL", "None") for each in arguments.defaults]
        defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + written
        return {each.arg: default for each, default in zip(arguments.args, defaults, strict=True) if each.arg not in ("self", "cls")}

    checked = 0
    models = ((Classical, "Intracomm"), (Cartesian, "Cartcomm"), (Group, "Group"), (Request, "Request"), (Matched, "Message"))
    for owner, model in models:
        for name, method in inspect.getmembers(owner, callable):
            if not name.startswith("_") and name not in ("block", "poll"):
                assert ours(method) == theirs(oracle[0][model][name].splitlines()[0]), name
                checked += 1
    assert {name for name in vars(Cartesian) if not name.startswith("_")} <= oracle[0]["Cartcomm"].keys()
    assert checked > 50


def test_mpi4py_is_not_needed() -> None:
    program = "import sys; sys.modules['mpi4py'] = None; from qmpi.world.classical import Hub; print(Hub(1).world(0).allreduce(3))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_S)
    assert (done.stdout, done.stderr) == ("3\n", "")


@pytest.mark.timeout(120)
def test_a_thousand_ranks_get_through_every_kind_of_call() -> None:
    def work(comm: Classical) -> list[Any]:
        up, down = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
        comm.barrier()
        part, grid = comm.Split(comm.rank % 3, -comm.rank), comm.Create_cart([MANY // 8, 8], [False, True])
        even = comm.Create_group(comm.Get_group().Incl(range(0, MANY, 2)))
        assert part is not None and grid is not None
        return [
            comm.sendrecv(comm.rank, up, source=down),
            comm.allreduce(comm.rank),
            comm.bcast(comm.rank, root=7),
            comm.scan(1),
            len(comm.allgather(None)),
            sum(comm.gather(comm.rank) or []),
            comm.scatter(range(comm.size) if comm.rank == 0 else None),
            part.rank,
            grid.sendrecv(comm.rank, grid.Shift(0, 1)[1], source=grid.Shift(0, 1)[0]),
            even and even.allreduce(1),
        ]

    total = sum(range(MANY))
    for rank, result in enumerate(on_threads(MANY, work)):
        in_part = len(range(rank % 3, MANY, 3)) - 1 - rank // 3
        more = [rank - 8 if rank >= 8 else None, MANY // 2 if rank % 2 == 0 else None]
        assert result == [(rank - 1) % MANY, total, 7, rank + 1, MANY, total if rank == 0 else 0, rank, in_part, *more]


# --- matching --------------------------------------------------------------------------------------------------------------------------


def test_messages_of_one_source_and_tag_are_received_in_the_order_sent(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    for number in range(20):
        first.send(number, dest=1, tag=number % 2)
    assert [second.recv(tag=1) for _ in range(10)] == list(range(1, 20, 2))
    assert [second.recv() for _ in range(10)] == list(range(0, 20, 2))


def test_receives_are_served_in_the_order_posted(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    requests = [second.irecv(tag=7), second.irecv(), second.irecv(source=0, tag=7)]
    for number, tag in enumerate((7, 7, 3, 7)):
        first.send(number, 1, tag)
    assert Request.waitall(requests) == [0, 1, 3]
    assert second.recv() == 2


def test_a_probe_shows_what_a_receive_would_take_and_leaves_it(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    status = Status()
    assert not second.iprobe()
    posted = second.Irecv(np.zeros(1))
    first.Send(np.zeros(1), 1, tag=1)
    assert not second.iprobe(), "the posted receive has it"
    first.Send(np.zeros(3), 1, tag=2)
    for _ in range(2):
        assert second.probe(tag=2, status=status) and second.iprobe(0, 2)
        assert (status.Get_source(), status.Get_tag(), status.Get_count()) == (0, 2, 24)
    second.Recv(np.zeros(3))
    assert not second.iprobe() and posted.Test()


def test_a_probe_waits_for_a_message_that_no_earlier_receive_takes() -> None:
    def work(comm: Classical) -> Any:
        if comm.rank == 0:
            comm.recv(source=1)
            return [comm.send(number, 1) for number in range(2)]
        taken = comm.irecv(source=0)
        comm.send(None, 0)
        comm.probe(source=0)
        return [taken.wait(), comm.recv()]

    assert on_threads(2, work)[1] == [0, 1]


def test_a_probe_that_waits_takes_nothing_either() -> None:
    mailbox, received = Mailbox(), Event()
    probe = mailbox.probe(ANY, 3)
    mailbox.deliver(Message(0, 3, b"", received))
    assert probe.arrival.happened and not received.happened
    assert mailbox.receive(0, ANY).message is probe.message and received.happened


def test_what_a_matched_probe_has_taken_nobody_else_receives(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    assert second.improbe() is None and second.Improbe(source=0, tag=3) is None
    for number in range(3):
        first.send(number, 1, tag=number)
    taken = [second.mprobe(tag=1), Matched.probe(second), Matched.iprobe(second, 0, qmpi.ANY_TAG)]
    assert not second.iprobe() and second.improbe() is None and all(taken)
    assert [message.recv() for message in taken if message is not None] == [1, 0, 2] and not any(taken)
    first.send("later", 1)
    assert second.recv() == "later", "a probe that found nothing leaves nothing behind"


def test_a_synchronous_send_is_over_when_what_a_matched_probe_took_is_received(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    request = first.issend("x", 1)
    message = second.mprobe()
    assert not request.Test()
    assert message.recv() == "x" and request.Test()


def test_a_matched_probe_of_proc_null_takes_a_message_of_nothing(pair: tuple[Classical, Classical]) -> None:
    first, _ = pair
    for message in (first.mprobe(qmpi.PROC_NULL), first.improbe(MPI.PROC_NULL)):
        assert message is not None
        status = Status()
        assert message.recv(status) is None and message.irecv().wait() is None and message
        assert wildcards.means(status.source, qmpi.PROC_NULL) and status.count == 0
        message.Recv(np.zeros(1))


def test_a_synchronous_send_is_over_when_a_receive_has_taken_it(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    for request in (first.issend("x", 1), first.Issend(np.zeros(1), 1)):
        assert not request.Test()
        assert second.iprobe() and not request.Test(), "a probe takes nothing"
        second.Recv(np.zeros(100))
        assert request.Test()
    posted = second.irecv()
    first.ssend("x", 1)
    assert posted.wait() == "x"


def test_a_cancelled_receive_takes_nothing_and_a_matched_one_cannot_be_cancelled(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    cancelled, matched = second.irecv(), second.irecv()
    cancelled.Cancel()
    first.send("x", 1)
    matched.Cancel()
    statuses: list[Any] = []
    assert Request.waitall([cancelled, matched], statuses) == [None, "x"]
    assert [status.Is_cancelled() for status in statuses] == [True, False]


def test_collectives_and_other_communicators_never_meet_a_wildcard() -> None:
    def work(comm: Classical) -> Any:
        wildcard = comm.irecv()
        twin = comm.Dup()
        part = comm.Split(0)
        assert part is not None
        contexts = {comm.context, twin.context, part.context}
        everything = [comm.allgather(comm.rank), comm.alltoall("ab"), comm.allreduce(1), comm.scan(1), comm.bcast(2)]
        part.send("part", 1 - comm.rank)
        twin.send("twin", 1 - comm.rank)
        comm.barrier()
        assert not wildcard.Test() and everything[0] == [0, 1]
        comm.barrier()
        comm.send("comm", 1 - comm.rank)
        return len(contexts), wildcard.wait(), twin.recv(), part.recv()

    assert on_threads(2, work) == [(3, "comm", "twin", "part")] * 2


def test_no_rank_leaves_a_barrier_before_all_have_come() -> None:
    came = [0] * 5

    def work(comm: Classical) -> None:
        for turn in range(1, 200):
            came[comm.rank] = turn
            comm.barrier()
            assert min(came) >= turn

    on_threads(5, work)


# --- what travels -----------------------------------------------------------------------------------------------------------------------


def test_ranks_never_share_what_they_send() -> None:
    def work(comm: Classical) -> None:
        mine: list[Any] = [comm.rank]
        everywhere = [comm.sendrecv(mine, comm.rank), comm.bcast(mine), comm.allgather(mine)[comm.rank], comm.allreduce(mine)]
        everywhere += [comm.scan(mine), comm.scatter([mine] * comm.size), comm.alltoall([mine] * comm.size)[comm.rank]]
        assert all(other is not mine for other in everywhere)
        array = np.array([1.0])
        request = comm.Isend(array, comm.rank)
        array[:] = 2
        request.Wait()
        target = np.zeros(1)
        comm.Recv(target, comm.rank)
        assert target[0] == 1

        def swallow(a: list[Any], b: list[Any]) -> list[Any]:
            a += b
            return a

        assert comm.allreduce(mine, swallow) == list(range(comm.size)) and mine == [comm.rank]

    on_threads(3, work)


@pytest.mark.parametrize(
    "sent",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3) * 1j,
        np.array(5),
        np.float32(2),
        np.zeros(2, [("a", "i4"), ("b", "f8")]),
        [np.arange(3)],
        (np.arange(3), "l"),
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        np.zeros(0),
    ],
    ids=lambda sent: type(sent).__name__,
)
def test_the_memory_of_every_kind_of_buffer_travels(pair: tuple[Classical, Classical], sent: Any) -> None:
    first, second = pair
    array = np.asarray(sent[0] if isinstance(sent, list | tuple) else memoryview(sent))
    got, target = np.full(array.nbytes, 77, np.uint8), np.empty_like(array)
    for buffer in (got, target):
        first.Send(sent, 1)
        second.Recv(buffer)
    assert got.tobytes() == array.tobytes(order="A") and np.array_equal(target, array)


PART = np.arange(6.0)[2:4].tobytes()


@pytest.mark.parametrize(
    "spec",
    [
        lambda array: [array, (2, 2)],
        lambda array: (array, 2, 2, "d"),
        lambda array: [array, (2, 2), "d"],
        lambda array: [array, 2, 2, MPI.DOUBLE],
        lambda array: [array, (2, 2), MPI.DOUBLE],
        lambda array: [array, 16, 16, MPI.BYTE],
        lambda array: [array, np.int64(4), np.int32(4), "i"],
        lambda array: [array[2:4], MPI.DOUBLE],
        lambda array: [array[2:], 2],
        lambda array: [array[2:], 2, "d"],
    ],
)
def test_a_part_of_a_buffer_is_described_as_for_mpi4py(pair: tuple[Classical, Classical], spec: Callable[[Any], Any]) -> None:
    first, second = pair
    got, target = np.zeros(2), np.zeros(6)
    for buffer in (got, spec(target)):
        first.Send(spec(np.arange(6.0)), 1)
        second.Recv(buffer)
    assert got.tobytes() == PART and target.tolist() == [0, 0, 2, 3, 0, 0]


def test_the_count_of_a_collective_buffer_is_that_of_each_rank() -> None:
    def work(comm: Classical) -> Any:
        own, all_, some = np.arange(4) + 10 * comm.rank, np.full(7, -77), np.full(3, -77)
        comm.Allgather([own, 2], [all_, 2, 3, "l"])
        comm.Scatter([all_, 1, 4, "l"], [some, 1], root=1)
        comm.Allreduce([own, (2, 1)], [some, (2, 1)])
        uneven = np.full(3 if comm.rank == 0 else 2, -77)
        comm.Scatterv(np.arange(5), uneven)  # dealt out as evenly as can be
        return all_.tolist(), some.tolist(), uneven.tolist()

    expected = [-77, -77, -77, 0, 1, 10, 11]
    assert on_threads(2, work) == [(expected, [1, 12, 14], [0, 1, 2]), (expected, [10, 12, 14], [3, 4])]


def test_a_message_may_be_shorter_than_the_buffer_but_not_longer(pair: tuple[Classical, Classical]) -> None:
    first, second = pair
    target = np.array([1, 2, 3])
    first.Send(np.array([9]), 1)
    second.Recv(target)
    assert target.tolist() == [9, 2, 3]
    first.Send(np.arange(4), 1)
    with pytest.raises(MessageError, match="32 bytes have come for a buffer of 24"):
        second.Recv(target)


def test_special_ranks_and_tags_are_known_by_whatever_library(pair: tuple[Classical, Classical]) -> None:
    class Tag(IntEnum):
        WORK = 3

    first, second = pair
    for null in (qmpi.PROC_NULL, MPI.PROC_NULL, np.int64(MPI.PROC_NULL)):
        status = Status()
        assert first.send(1, null) is None and first.recv(source=null, status=status) is None
        assert first.probe(null) and first.iprobe(null) and first.irecv(source=null).test() == (True, None)
        assert (status.source, status.count) == (null, 0)
        first.ssend(1, null)
    assert first.recv(source=qmpi.PROC_NULL, status=status) is None and status.tag is qmpi.ANY_TAG
    first.send("x", np.int64(1), Tag.WORK)
    first.send("y", 1)
    assert [second.recv(None, qmpi.ANY_SOURCE, Tag.WORK), second.recv(None, MPI.ANY_SOURCE, qmpi.ANY_TAG)] == ["x", "y"]


def test_split_gives_world_ranks_of_members_and_a_context_per_part() -> None:
    def work(comm: Classical) -> Any:
        part = comm.Split(None if comm.rank == 2 else comm.rank % 2, key=-comm.rank)
        if part is None:
            return None
        half = part.Split(0, key=-part.rank)
        assert half is not None and half.hub is comm.hub
        return part.members, half.members, half.rank, part.context, half.context

    zeroth, first, second, third, fourth = on_threads(5, work)
    assert zeroth[:3] == ((4, 0), (0, 4), 0) and fourth[:3] == ((4, 0), (0, 4), 1)
    assert first[:3] == ((3, 1), (1, 3), 0) and third[:3] == ((3, 1), (1, 3), 1) and second is None
    assert zeroth[3:] == fourth[3:] and first[3:] == third[3:]
    assert {*zeroth[3:], *first[3:]} == {1, 2, 3, 4}


# --- groups and grids -----------------------------------------------------------------------------------------------------------------


def test_what_a_grid_tells_is_the_program_s_to_write() -> None:
    grid = Hub(1).world(0).Create_cart([1, 1], [True, False])
    assert grid is not None
    for row in (grid.coords, grid.dims, grid.periods, *grid.topo, grid.Get_coords(0)):
        row[:] = [7, 7]
    assert grid.topo == ([1, 1], [1, 0], [0, 0]) and grid.Shift(0, 1) == (0, 0)


def test_one_truth_value_stands_for_all_periods() -> None:
    world = Hub(1).world(0)
    for periods, told in ((None, [0, 0]), (False, [0, 0]), (True, [1, 1]), ((2, 0), [1, 0])):
        grid = world.Create_cart((1, np.int64(1)), periods)
        assert grid is not None and grid.periods == told


def test_groups_of_communicators_translate_through_the_world() -> None:
    def work(comm: Classical) -> Any:
        part = comm.Split(comm.rank % 2, -comm.rank)
        assert part is not None
        group = part.Get_group()
        ranks = group.Translate_ranks(group=comm.Get_group())
        assert group.Translate_ranks() == ranks == [part.members[rank] for rank in range(part.size)]
        assert comm.Get_group().Translate_ranks([comm.rank, comm.rank, MPI.PROC_NULL], group) == [part.rank, part.rank, MPI.PROC_NULL]
        return repr(group)

    assert on_threads(5, work)[:2] == ["<group of world ranks 4, 2, 0>", "<group of world ranks 3, 1>"]


def test_communicators_that_are_created_at_once_are_told_apart_by_their_tags() -> None:
    def work(comm: Classical) -> Any:
        both = comm.Get_group()
        first = comm.irecv(source=1 - comm.rank)
        parts = {tag: comm.Create_group(both, tag) for tag in ((1, 2) if comm.rank == 0 else (2, 1))}
        comm.send("comm", 1 - comm.rank)
        for tag, part in parts.items():
            part.send(tag, 1 - comm.rank)
        return [parts[1].recv(), parts[2].recv(), first.wait()]

    assert on_threads(2, work) == [[1, 2, "comm"]] * 2
