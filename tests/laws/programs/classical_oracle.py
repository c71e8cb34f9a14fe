"""How any communicator with mpi4py's interface performs the programs of tests/classical_programs.py.

tests/unit/test_classical.py has threads perform them. Started under mpiexec as `classical_oracle.py PROGRAMS`, mpi4py performs them, and
then threads of rank 0 that use mpi4py's constants and operators; rank 0 prints, as JSON, mpi4py's signatures, and what each rank got.
"""

from __future__ import annotations

import json
import operator
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from qmpi.world import classical, wildcards
from tests.classical_programs import (
    BUFFER_CALLS,
    FUNCTIONS,
    Call,
    arranged,
    flattened,
    inbox,
    items,
    numbered_program,
    places,
)

JOIN_S = 100

# What programs of the thread world use where others use mpi4py.MPI.
THREADS = SimpleNamespace(
    **{name: getattr(wildcards, name) for name in ("ANY_SOURCE", "ANY_TAG", "IN_PLACE", "PROC_NULL", "UNDEFINED")},
    Status=classical.Status,
    **{"SUM": operator.add, "PROD": np.multiply, "MAX": np.maximum, "MIN": np.minimum, "BXOR": np.bitwise_xor, "LOR": np.logical_or},
)


def on_threads(size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function(comm, *arguments)` returns on each of so many threads. If one raises, the others' waits end, and it is raised here."""
    hub = classical.Hub(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = function(hub.world(rank), *arguments)
        except BaseException as error:
            errors.append(error)
            hub.end(lambda: RuntimeError(f"rank {rank} has failed"))

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "ranks hang"
    return results


def perform(comm: Any, library: Any, calls: list[Call]) -> list[Any]:
    """What each call returns on this rank, as JSON has it. `library` has mpi4py.MPI's constants and operators."""
    return [perform_one(comm, library, call) for call in calls]


def perform_one(comm: Any, library: Any, call: Call) -> Any:
    if call.name in STEPS:
        return STEPS[call.name](comm, library, call)
    if call.name in BUFFER_CALLS:
        return perform_on_buffers(comm, library, call)
    arguments: list[Any] = [call.data[comm.rank]]
    if call.name == "scatter" and comm.rank != call.root:
        arguments = [None]
    if call.op is not None:
        arguments.append(FUNCTIONS[call.op])
    settings = {"root": call.root} if call.name in ("bcast", "scatter", "gather", "reduce") else {}
    return flattened(call, getattr(comm, call.name)(*arguments, **settings))


def perform_on_buffers(comm: Any, library: Any, call: Call) -> Any:
    name, size, rank, at_root = call.name, comm.size, comm.rank, comm.rank == call.root
    own = np.array(call.data[rank], call.dtype)
    length = {"Scatter": len(own) // size, "Gather": len(own) * size, "Allgather": len(own) * size}.get(name, len(own))
    result: Any = np.full(length, -77, call.dtype)
    sent: Any = own
    rooted = name in ("Bcast", "Scatter", "Gather", "Reduce")
    settings = {"root": call.root} if rooted else {}
    if call.op is not None:
        settings["op"] = getattr(library, call.op)
    if name == "Bcast":
        comm.Bcast(own, **settings)
        return own.tolist()
    if rooted and not at_root:
        sent, result = (None, result) if name == "Scatter" else (own, None)
    elif call.in_place and name == "Scatter":
        result = library.IN_PLACE
    elif call.in_place:
        sent = library.IN_PLACE
        result[: len(own)] = own
        if name in ("Gather", "Allgather"):
            result[:] = -77
            result[rank * len(own) : (rank + 1) * len(own)] = own
    getattr(comm, name)(sent, result, **settings)
    nothing = not isinstance(result, np.ndarray) or (name == "Exscan" and rank == 0)
    return None if nothing else result.tolist()


def send_all(comm: Any, call: Call) -> list[Any]:
    return [comm.isend(value, dest, tag) for source, dest, tag, value in call.data[comm.rank][0] if source == comm.rank]


def receive_by_source_and_tag(comm: Any, library: Any, call: Call) -> list[list[int]]:
    """In a random order of (source, tag); put together as they were sent."""
    requests = send_all(comm, call)
    wanted = [(source, tag) for source, tag, _ in inbox(call, comm.rank)]
    order = np.random.default_rng(call.data[comm.rank][1]).permutation(len(wanted))
    got: dict[tuple[int, int], list[int]] = {}
    for source, tag in (wanted[index] for index in order):
        got.setdefault((source, tag), []).append(comm.recv(source=source, tag=tag))
    for request in requests:
        request.wait()
    received = {key: iter(values) for key, values in got.items()}
    return sorted(([source, tag, next(received[source, tag])] for source, tag in wanted), key=lambda row: row[0])


def receive_any_tag(comm: Any, library: Any, call: Call) -> list[list[int]]:
    requests, rows = send_all(comm, call), []
    for source in sorted(source for source, _, _ in inbox(call, comm.rank)):
        status = library.Status()
        value = comm.recv(source=source, tag=library.ANY_TAG, status=status)
        rows.append([status.Get_source(), status.Get_tag(), value])
    for request in requests:
        request.wait()
    return rows


def receive_any_source(comm: Any, library: Any, call: Call) -> list[list[int]]:
    requests, rows = send_all(comm, call), []
    for _ in inbox(call, comm.rank):
        status = library.Status()
        comm.probe(status=status)
        source, tag = status.source, status.tag
        assert comm.iprobe(source=source, tag=tag)
        rows.append([source, tag, comm.recv(source=source, tag=tag)])
    for request in requests:
        request.wait()
    comm.barrier()  # the next step's messages must not come into this one's wildcards
    return sorted(rows)


def receive_posted_first(comm: Any, library: Any, call: Call) -> list[list[int]]:
    wanted = sorted(((source, tag) for source, tag, _ in inbox(call, comm.rank)), key=lambda pair: pair[0])
    posted = [comm.irecv(source=source, tag=tag) for source, tag in wanted]
    comm.barrier()
    requests = send_all(comm, call)
    values = [request.wait() for request in posted]
    for request in requests:
        request.wait()
    return [[source, tag, value] for (source, tag), value in zip(wanted, values, strict=True)]


def receive_arrays(comm: Any, library: Any, call: Call) -> list[list[int]]:
    """Each value as so many items of itself."""
    sent = [message for message in call.data[comm.rank][0] if message[0] == comm.rank]
    arrays = [np.full(value % 7, value, "int64") for _, _, _, value in sent]
    requests = [comm.Isend(array, dest, tag) for array, (_, dest, tag, _) in zip(arrays, sent, strict=True)]
    rows = []
    for source, tag, value in sorted(inbox(call, comm.rank), key=lambda message: message[0]):
        status, target = library.Status(), np.full(7, -77, "int64")
        comm.Recv(target, source, tag, status)
        length = status.Get_count() // 8
        assert target.tolist() == [value] * length + [-77] * (7 - length), (target, value)
        rows.append([status.Get_source(), status.Get_tag(), value])
        assert length == value % 7
    for request in requests:
        request.Wait()
    return rows


def receive_matched(comm: Any, library: Any, call: Call) -> list[list[int]]:
    """What a matched probe has taken, no other receive or probe sees; they are received in any order."""
    requests, taken = send_all(comm, call), []
    for k, _ in enumerate(inbox(call, comm.rank)):
        status, message = library.Status(), None
        if k % 2:
            message = comm.mprobe(status=status)
        while message is None:
            message = comm.improbe(status=status)
        assert message
        taken.append([status.Get_source(), status.Get_tag(), message])
    comm.barrier()
    rows = []
    for source, tag, message in reversed(taken):
        status = library.Status()
        rows.append([source, tag, message.recv(status) if source % 2 else message.irecv().wait(status)])
        assert (status.Get_source(), status.Get_tag()) == (source, tag) and not message
    for request in requests:
        request.wait()
    comm.barrier()
    return sorted(rows)


def receive_matched_arrays(comm: Any, library: Any, call: Call) -> list[list[int]]:
    """Each value as so many items of itself, and itself."""
    sent = [message for message in call.data[comm.rank][0] if message[0] == comm.rank]
    arrays = [np.full(1 + value % 7, value, "int64") for _, _, _, value in sent]
    requests = [comm.Issend(array, dest, tag) for array, (_, dest, tag, _) in zip(arrays, sent, strict=True)]
    rows = []
    for k, _ in enumerate(inbox(call, comm.rank)):
        status, target = library.Status(), np.full(9, -77, "int64")
        message = comm.Mprobe(status=status)
        length = status.Get_count() // 8
        spec = [target, length, 1, "l"]
        if k % 2:
            message.Recv(spec, status)
        else:
            message.Irecv(spec).Wait(status)
        assert target.tolist() == [-77] + [target[1]] * length + [-77] * (8 - length) and length == 1 + target[1] % 7
        rows.append([status.Get_source(), status.Get_tag(), int(target[1])])
    for request in requests:
        request.Wait()
    comm.barrier()
    return sorted(rows)


def perform_vectors(comm: Any, library: Any, call: Call) -> list[int] | None:
    table, form, seed = call.data[comm.rank]
    ranks, rank, root = range(comm.size), comm.rank, call.root
    in_place = call.in_place and (rank == root or call.name == "Allgatherv")

    def described(rows: list[list[int]]) -> tuple[Any, Any]:
        """A buffer with these rows, and one of the ways to say where they are."""
        counts, buffer = [len(row) for row in rows], np.array(arranged(rows, form, seed), "int64")
        begins = places(counts, form, seed)
        how = {"counts": [counts], "pair": [(counts, begins)], "four": [counts, begins, "l"], "letters": [np.array(counts), begins, "q"]}
        return buffer, [buffer, *how[form]]

    def simple(row: list[int]) -> tuple[Any, Any]:
        buffer = np.array([-77, *row, -77], "int64")
        return buffer, {"counts": buffer[1:-1], "pair": [buffer, (len(row), 1)]}.get(form, [buffer, len(row), 1, "l"])

    if call.name == "Scatterv":
        _, sent = described([items(table, root, dest) for dest in ranks]) if rank == root else (None, None)
        got, target = simple([-77] * table[root][rank])
        comm.Scatterv(sent, library.IN_PLACE if in_place else target, root=root)
        return None if in_place else got.tolist()  # type: ignore[no-any-return]
    if call.name == "Alltoallv":
        _, sent = described([items(table, rank, dest) for dest in ranks])
        got, target = described([[-77] * table[source][rank] for source in ranks])
        comm.Alltoallv(sent, target)
        return got.tolist()  # type: ignore[no-any-return]
    dest = root if call.name == "Gatherv" else 0
    rows = [items(table, source, dest) if in_place and source == rank else [-77] * table[source][dest] for source in ranks]
    got, target = described(rows)
    _, sent = simple(items(table, rank, dest))
    if call.name == "Allgatherv":
        comm.Allgatherv(library.IN_PLACE if in_place else sent, target)
        return got.tolist()  # type: ignore[no-any-return]
    comm.Gatherv(library.IN_PLACE if in_place else sent, target if rank == root else None, root=root)
    return got.tolist() if rank == root else None


def perform_broadcasts(comm: Any, library: Any, call: Call) -> list[Any]:
    """All at once, waited for in the other order, with another collective in between."""
    buffers = [np.full(3, 10 * root if comm.rank == root else -77) for root in range(comm.size)]
    requests = [comm.Ibcast(buffer, root=root) for root, buffer in enumerate(buffers)]
    between = comm.allgather(comm.rank)
    for request in reversed(requests):
        request.Wait()
    return [[buffer.tolist() for buffer in buffers], between]


def perform_split_by_type(comm: Any, library: Any, call: Call) -> list[Any] | None:
    from mpi4py import MPI

    color, key = call.data[comm.rank]
    part = comm.Split_type(library.UNDEFINED if color is None else MPI.COMM_TYPE_SHARED, key)
    if not part:
        return None
    result = [part.rank, part.size, part.allgather(comm.rank)]
    part.Free()
    return result


def shift(comm: Any, library: Any, call: Call) -> list[int | None]:
    """Along the open chain, whose ends talk to nobody, and along the ring."""
    up = comm.rank + 1 if comm.rank + 1 < comm.size else library.PROC_NULL
    down = comm.rank - 1 if comm.rank > 0 else library.PROC_NULL
    status = library.Status()
    chain = comm.sendrecv(comm.rank, up, source=down, status=status)
    assert (status.Get_source(), status.Get_count() > 0) == (down, chain is not None)
    ring = np.array([-77])
    comm.Sendrecv(np.array([comm.rank]), (comm.rank + 1) % comm.size, 5, ring, (comm.rank - 1) % comm.size, 5)
    return [chain, int(ring[0])]


def two_requests(comm: Any, library: Any, call: Call) -> list[int]:
    """To oneself: a synchronous send is over when it is received, and what is over gives nothing more."""
    first = comm.issend(comm.rank, comm.rank, 1)
    second = comm.irecv(source=comm.rank, tag=2)
    assert first.test() == (False, None) and second.test() == (False, None)
    comm.isend(comm.rank + 100, comm.rank, 2)
    values = [comm.recv(source=comm.rank, tag=1), type(second).waitall([first, second])[1]]
    assert second.wait() is None and second.test() == (True, None) and second.Wait() and first.Test()
    never = comm.irecv(source=comm.rank, tag=2)
    never.Cancel()
    status = library.Status()
    assert never.wait(status) is None and status.Is_cancelled()
    return values


def perform_split(comm: Any, library: Any, call: Call) -> list[Any] | None:
    color, key = call.data[comm.rank]
    part = comm.Split(library.UNDEFINED if color is None else color, key)
    if not part:
        return None
    result = [part.Get_rank(), part.Get_size(), part.allgather(comm.rank)]
    part.Free()
    return result


def perform_dup(comm: Any, library: Any, call: Call) -> list[str]:
    """Messages of the two never meet, though all else is equal."""
    twin = comm.Dup()
    up, down = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    requests = [comm.isend("first", up), twin.isend("twin", up)]
    result = [twin.recv(source=down), comm.recv(source=down)]
    for request in requests:
        request.wait()
    twin.Free()
    return result


def perform_barriers(comm: Any, library: Any, call: Call) -> bool:
    request = comm.Ibarrier()
    comm.Ibarrier().Wait()
    comm.barrier()
    return bool(request.Wait())


def perform_grid(comm: Any, library: Any, call: Call) -> list[Any] | None:
    """Every rank's number goes along each dimension; a part of the grid is a grid, and a twin, too."""
    dims, periods, keep, steps = call.data[comm.rank]
    grid = comm.Create_cart(dims, periods=periods, reorder=False)
    if not grid:
        return None
    twin, part = grid.Dup(), grid.Sub(keep)
    ranks = range(twin.size)
    assert [twin.Get_cart_rank(twin.Get_coords(rank)) for rank in ranks] == list(ranks)
    assert grid.Get_topo() == twin.topo == (dims, periods, grid.coords) and grid.ndim == grid.dim == grid.Get_dim() == len(dims)
    shifts = [twin.Shift(k, steps) for k in range(grid.ndim)]
    got = [twin.sendrecv(grid.rank, dest, source=source) for source, dest in shifts]
    result = [
        grid.Get_coords(grid.rank),
        [[-1 if wildcards.means(rank, wildcards.PROC_NULL) else rank for rank in shift] for shift in shifts],
        [-1 if rank is None else rank for rank in got],
        list(part.Get_topo()),
        part.rank,
        part.allgather(grid.rank),
    ]
    for each in (part, twin, grid):
        each.Free()
    return result


def perform_groups(comm: Any, library: Any, call: Call) -> list[Any]:
    def known(rank: Any) -> Any:
        return None if wildcards.means(rank, wildcards.UNDEFINED) else rank

    def seen(part: Any) -> list[Any]:
        result = [part.rank, part.allgather(comm.rank)]
        part.Free()
        return result

    world = comm.Get_group()
    first, second = (world.Incl(ranks) for ranks in call.data[comm.rank])
    made = [make(first, second) for make in (world.Union, world.Intersection, world.Difference)] + [world.Excl(call.data[comm.rank][0])]
    assert all(group.Get_size() == group.size and group.Get_rank() == group.rank for group in made)
    assert world.Translate_ranks([library.PROC_NULL], world) == [library.PROC_NULL]
    part = comm.Create_group(first, tag=3)
    return [
        [group.Translate_ranks(group=world) for group in made],
        [known(group.Get_rank()) for group in (first, second, *made)],
        [known(rank) for rank in first.Translate_ranks(list(range(first.size)), second)],
        seen(part) if part else None,
        seen(comm.Create(first if comm.rank in call.data[comm.rank][0] else made[-1])),
    ]


STEPS: dict[str, Callable[[Any, Any, Call], Any]] = {
    "by source and tag": receive_by_source_and_tag,
    "any tag": receive_any_tag,
    "any source": receive_any_source,
    "posted first": receive_posted_first,
    "arrays": receive_arrays,
    "matched": receive_matched,
    "matched arrays": receive_matched_arrays,
    "Gatherv": perform_vectors,
    "Scatterv": perform_vectors,
    "Allgatherv": perform_vectors,
    "Alltoallv": perform_vectors,
    "shift": shift,
    "two requests": two_requests,
    "split": perform_split,
    "split by type": perform_split_by_type,
    "broadcasts": perform_broadcasts,
    "dup": perform_dup,
    "barriers": perform_barriers,
    "grid": perform_grid,
    "groups": perform_groups,
}


if __name__ == "__main__":
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if world.rank == 0:
        owners = (MPI.Intracomm, MPI.Cartcomm, MPI.Group, MPI.Request, MPI.Message)
        print(
            json.dumps({owner.__name__: {name: getattr(owner, name).__doc__ for name in dir(owner) if name[0] != "_"} for owner in owners})
        )
    for seed in range(int(sys.argv[1])):
        calls = numbered_program(world.size, seed)
        by_mpi4py = world.gather(perform(world, MPI, calls))
        if world.rank == 0:
            print(json.dumps({"seed": seed, "mpi4py": by_mpi4py, "threads": on_threads(world.size, perform, MPI, calls)}))
