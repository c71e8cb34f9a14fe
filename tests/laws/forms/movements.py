"""Calls that bring states to ranks: bcast, gather, scatter, allgather, alltoall and what MPI makes of these names with v, w and _move."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

import qmpi

from .case import Arguments, Bits, Case, Cost, Rows, Side, copies, moves

Chunk = tuple[int, int]  # where it begins, how long it is


def part(chunk: Chunk) -> slice:
    return slice(chunk[0], chunk[0] + chunk[1])


def bcast(style: str, rng: np.random.Generator, size: int, most: int, algorithm: str) -> Case:
    root, count = int(rng.integers(size)), int(rng.integers(most == 1, most + 1))
    sides = tuple(
        Side(send=count) if rank == root else Side(recv=count, written=frozenset(range(count)), allocates=style == "none")
        for rank in range(size)
    )

    def arguments(rank: int, send: Any, recv: Any) -> Arguments:
        return {"q": send if rank == root else recv, "root": root, "algorithm": algorithm}

    def effect(rows: Rows) -> Rows:
        return [row if rank == root else row | {"recv": rows[root]["send"]} for rank, row in enumerate(rows)]

    def by_mpi(mpi: Any, rank: int, send: Bits, recv: Bits) -> dict[int, int]:
        buffer = send if rank == root else recv
        mpi.Bcast(buffer, root=root)
        return dict(enumerate(recv))

    def returns(rank: int, send: qmpi.Register, recv: qmpi.Register) -> qmpi.Register:
        return send if rank == root else recv

    text, cost = f"{algorithm}, {style}, root {root}", copies((size - 1) * count)
    return Case("bcast", sides, arguments, effect, by_mpi, returns, cost, text, over_pairs=algorithm == "cat")


def cat(rng: np.random.Generator, size: int, most: int) -> Case:
    """No namesake: its effect on zeros is a superposition."""
    count = int(rng.integers(most == 1, most + 1))
    side = Side(recv=count, written=frozenset(range(count)))

    def nothing(*_: Any) -> Any:
        raise AssertionError("MPI has no cat")

    cost = Cost((size - 1) * count, max(size - 2, 0) * count, 0, (size - 1) * count)
    return Case("cat", (side,) * size, lambda _, __, q: {"q": q}, nothing, nothing, lambda _, __, q: q, cost, "", over_pairs=True)


# --- chunks --------------------------------------------------------------------------------------------------------------------------


def lay_out(rng: np.random.Generator, counts: Sequence[int], how: str) -> list[Chunk]:
    """One after the other, in a random order with gaps, or anywhere."""
    if how == "in a row":
        return [(sum(counts[:k]), count) for k, count in enumerate(counts)]
    if how == "anywhere":
        length = max(counts) + 1
        return [(int(rng.integers(length - count + 1)), count) for count in counts]
    begins, end = {}, 0
    for k in rng.permutation(len(counts)):
        begins[k] = end + int(rng.integers(2))
        end = begins[k] + counts[k]
    return [(begins[k], count) for k, count in enumerate(counts)]


def extent(chunks: Sequence[Chunk]) -> int:
    return max((begin + count for begin, count in chunks if count), default=0)


def movement(call: str, style: str, rng: np.random.Generator, size: int, most: int) -> Case:
    """A random call: root, counts and displacements. style: of the receive buffer, "given", "none" or "in place"."""
    name = call.removesuffix("_move")
    kind = name.rstrip("vw") if name != "alltoall" else name
    varied, in_place, verb_moves = name != kind, style == "in place", name != call
    root, ranks = int(rng.integers(size)), range(size)
    exchanges = in_place and kind == "alltoall"  # moves, whatever the name

    if varied:
        drawn = rng.integers(0, most + 1, (size, size))
        if kind in ("gather", "allgather"):
            drawn = np.repeat(drawn[:, :1], size, 1)
        elif exchanges:
            drawn = np.maximum(drawn, drawn.T)
    else:
        drawn = np.full((size, size), int(rng.integers(most == 1, most + 1)))
    reached = {"gather": lambda s, d: d == root, "scatter": lambda s, d: s == root}.get(kind, lambda s, d: True)
    counts = [[int(drawn[s, d]) if reached(s, d) else 0 for d in ranks] for s in ranks]

    def receives(rank: int) -> bool:
        return kind != "gather" or rank == root

    def sends(rank: int) -> bool:
        return kind != "scatter" or rank == root

    def at_home(rank: int) -> bool:
        return in_place and (rank == root or kind not in ("gather", "scatter"))

    # Where the chunk for each rank stands in what a rank sends, and the one from each rank in what it receives.
    spread = varied and kind in ("scatter", "alltoall")
    how = str(rng.choice(["in a row", "apart"] if verb_moves else ["in a row", "apart", "anywhere"])) if spread else "in a row"
    if kind in ("gather", "allgather"):
        out = [[(0, counts[s][s if kind == "allgather" else root])] * size for s in ranks]
    else:
        out = [lay_out(rng, counts[s], how) for s in ranks]
    into_how = str(rng.choice(["in a row", "apart"])) if varied and kind != "scatter" else "in a row"
    into = [lay_out(rng, [counts[s][d] for s in ranks], into_how) for d in ranks]
    routes = [(s, d) for s in ranks for d in ranks if reached(s, d) and counts[s][d] and not (s == d and at_home(s))]

    def side(rank: int) -> Side:
        more = int(rng.integers(2)) if varied and style == "given" and kind != "scatter" else 0
        written = frozenset(k for s, d in routes if d == rank for k in range(*part(into[d][s]).indices(10**6)))
        has_send = sends(rank) and not (at_home(rank) and kind != "scatter")
        has_recv = receives(rank) and not (at_home(rank) and kind == "scatter")
        return Side(
            extent(out[rank]) if has_send else None,
            extent(into[rank]) + more if has_recv else None,
            frozenset() if exchanges else written,
            style == "none",
        )

    sides = tuple(side(rank) for rank in ranks)
    wanted = inspect.signature(getattr(qmpi.Comm, call)).parameters

    def arguments(rank: int, send: Any, recv: Any) -> Arguments:
        if at_home(rank):
            send, recv = (send, qmpi.IN_PLACE) if kind == "scatter" else (qmpi.IN_PLACE, recv)

        def numbers(chunks: list[Chunk], index: int, needed: bool) -> list[int] | None:
            return [chunk[index] for chunk in chunks] if needed else None

        out_needed, in_needed = sends(rank) and not exchanges, receives(rank)
        sdispls = numbers(out[rank], 0, out_needed and how != "in a row")
        rdispls = numbers(into[rank], 0, in_needed and into_how != "in a row")
        everything = {
            "sendq": send,
            "recvq": recv,
            "root": root,
            "sendcounts": numbers(out[rank], 1, out_needed),
            "recvcounts": numbers(into[rank], 1, in_needed),
            "sdispls": sdispls,
            "rdispls": rdispls,
            "displs": sdispls if kind == "scatter" else rdispls,
            "sendqs": send if at_home(rank) or name != "alltoallw" else [send[part(chunk)] for chunk in out[rank]],
            "recvqs": recv if name != "alltoallw" else [recv[part(chunk)] for chunk in into[rank]],
        }
        return {name: everything[name] for name in wanted if name in everything}

    def effect(rows: Rows) -> Rows:
        after = [{buffer: bits.copy() for buffer, bits in row.items()} for row in rows]

        def origin(s: int, d: int) -> tuple[str, slice]:
            if at_home(s) and kind != "scatter":
                return "recv", part(into[s][d if exchanges else s])
            return "send", part(out[s][d])

        for s, d in routes:
            buffer, where = origin(s, d)
            if verb_moves:
                after[s][buffer][where] = 0
        for s, d in routes:
            buffer, where = origin(s, d)
            after[d]["recv"][part(into[d][s])] = rows[s][buffer][where]
        return after

    def by_mpi(mpi: Any, rank: int, send: Bits, recv: Bits) -> dict[int, int]:
        from mpi4py import MPI

        def spec(buffer: Any, chunks: list[Chunk], needed: bool) -> Any:
            if buffer is MPI.IN_PLACE or not needed:
                return buffer if buffer is MPI.IN_PLACE else None
            return [buffer, [count for _, count in chunks], [begin for begin, _ in chunks], MPI.BYTE] if varied else buffer

        def types(buffer: Any) -> Any:
            return buffer if buffer is MPI.IN_PLACE else [*buffer[:3], [MPI.BYTE] * size]

        source: Any = MPI.IN_PLACE if at_home(rank) and kind != "scatter" else send
        target: Any = MPI.IN_PLACE if at_home(rank) and kind == "scatter" else recv
        function = getattr(mpi, name.capitalize())
        if kind == "gather":
            function(source, spec(target, into[rank], rank == root), root=root)
        elif kind == "scatter":
            function(spec(source, out[rank], rank == root), target, root=root)
        elif kind == "allgather":
            function(source, spec(target, into[rank], True))
        else:
            buffers = spec(source, out[rank], True), spec(target, into[rank], True)
            function(*(map(types, buffers) if name.endswith("w") else buffers))
        return dict(enumerate(recv))

    def returns(rank: int, send: qmpi.Register, recv: qmpi.Register) -> qmpi.Register:
        if call.startswith("alltoallw"):
            return qmpi.Register([qubit for chunk in into[rank] for qubit in recv[part(chunk)]])
        return send[part(out[rank][rank])] if at_home(rank) and kind == "scatter" else recv

    crossing = sum(counts[s][d] for s, d in routes if s != d)
    cost = moves(crossing) if verb_moves or exchanges else copies(crossing)
    text = f"{style}, root {root}, send {out}, {how}; receive {into}, {into_how}"
    return Case(call, sides, arguments, effect, by_mpi, returns, cost, text)
