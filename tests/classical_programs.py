"""Random programs of classical calls, and what each call must return by its definition. Knows nothing of communicators."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from math import prod
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """One collective step of a program.

    Attributes:
        name: mpi4py's name of the call, or one of the steps that `messages`, `parts` and `topologies` draw.
        data: what each rank brings.
        root: of calls that have one.
        op: name of the operator, or of a key of FUNCTIONS for objects; None for the default.
        dtype: of buffers.
        in_place: whether the ranks that may do so pass IN_PLACE.
    """

    name: str
    data: list[Any]
    root: int = 0
    op: str | None = None
    dtype: str = "int64"
    in_place: bool = False


CALLS_PER_PROGRAM = 40
FUNCTIONS: dict[str | None, Callable[[Any, Any], Any]] = {
    None: operator.add,
    "join": lambda a, b: f"({a}{b})",  # neither commutes nor associates: shows the order, up to brackets
    "max": max,
    "SUM": operator.add,
    "PROD": operator.mul,
    "MAX": max,
    "MIN": min,
    "BXOR": operator.xor,
    "LOR": lambda a, b: int(bool(a or b)),
}
OBJECT_CALLS = ["bcast", "scatter", "gather", "allgather", "alltoall", "reduce", "allreduce", "scan", "exscan"]
BUFFER_CALLS = [name.capitalize() for name in OBJECT_CALLS]
REDUCTIONS = {"reduce", "allreduce", "scan", "exscan"}
IN_PLACE_CALLS = {"Scatter", "Gather", "Allgather", "Alltoall", "Reduce", "Allreduce", "Scan", "Exscan"}

# --- random programs ----------------------------------------------------------------------------------------------------------------


def numbered_program(size: int, number: int) -> list[Call]:
    """A program for so many ranks; the same wherever it is drawn."""
    rng = np.random.default_rng([size, number])
    makers = [partial(objects, rng, size)] * 4 + [partial(buffers, rng, size)] * 4
    makers += [partial(messages, rng, size)] * 2 + [partial(vectors, rng, size)] * 2
    makers += [partial(parts, rng, size), partial(topologies, rng, size)]
    return [makers[rng.integers(len(makers))]() for _ in range(CALLS_PER_PROGRAM)]


def objects(rng: np.random.Generator, size: int) -> Call:
    name, root = str(rng.choice(OBJECT_CALLS)), int(rng.integers(size))
    op = [None, "join", "max", "text"][rng.integers(4)] if name in REDUCTIONS else None

    def item() -> Any:
        number = int(rng.integers(100))
        return str(number) if op in ("join", "text") else number

    def something() -> Any:
        if name in ("scatter", "alltoall"):
            return [{"item": item(), "list": [item()] * int(rng.integers(4))} for _ in range(size)]
        return item() if name in REDUCTIONS else [item(), "text", None, {"x": item()}]

    return Call(name, [something() for _ in range(size)], root, None if op == "text" else op)


def buffers(rng: np.random.Generator, size: int) -> Call:
    name, root = str(rng.choice(BUFFER_CALLS)), int(rng.integers(size))
    op = str(rng.choice(["SUM", "PROD", "MAX", "MIN", "BXOR", "LOR", "default"])) if name.lower() in REDUCTIONS else None
    dtype = str(rng.choice(["int64", "int32"] if op in ("BXOR", "LOR") else ["int64", "float64", "float32"]))
    length = int(rng.integers(5)) * (size if name in ("Scatter", "Alltoall") else 1)
    data = rng.integers(-3, 4, (size, length)).tolist()
    return Call(name, data, root, None if op == "default" else op, dtype, name in IN_PLACE_CALLS and bool(rng.integers(2)))


def messages(rng: np.random.Generator, size: int) -> Call:
    """Every rank brings all messages, as (source, dest, tag, value) in the order in which each source sends, and its own seed."""
    count = int(rng.integers(1, 5 * size))
    sent = [(int(rng.integers(size)), int(rng.integers(size)), int(rng.integers(3)), int(rng.integers(1000))) for _ in range(count)]
    matched = ["matched", "matched arrays"]
    name = str(rng.choice(["by source and tag", "any tag", "any source", "posted first", "arrays", "shift", "two requests", *matched]))
    return Call(name, [(sent, int(rng.integers(1 << 30))) for _ in range(size)])


def vectors(rng: np.random.Generator, size: int) -> Call:
    """Every rank brings how many items each rank has for each, how buffers are described, and a seed for where their parts lie."""
    name = str(rng.choice(["Gatherv", "Scatterv", "Allgatherv", "Alltoallv"]))
    what = rng.integers(4, size=(size, size)).tolist(), str(rng.choice(["counts", "pair", "four", "letters"])), int(rng.integers(1 << 30))
    return Call(name, [what] * size, int(rng.integers(size)), in_place=name != "Alltoallv" and bool(rng.integers(2)))


def items(table: list[list[int]], source: int, dest: int) -> list[int]:
    """What one rank has for another."""
    return [1000 * source + 100 * dest + k for k in range(table[source][dest])]


def places(counts: list[int], form: str, seed: int) -> list[int]:
    """Where so many items for each rank begin: one after the other, or in any order and with gaps."""
    if form == "counts":
        return [sum(counts[:rank]) for rank in range(len(counts))]
    rng, begins, end = np.random.default_rng(seed), [0] * len(counts), 0
    for rank in rng.permutation(len(counts)):
        begins[rank] = end + int(rng.integers(2))
        end = begins[rank] + counts[rank]
    return begins


def arranged(rows: list[list[int]], form: str, seed: int) -> list[int]:
    """The rows in one buffer, with -77 around them."""
    counts = [len(row) for row in rows]
    begins = places(counts, form, seed)
    buffer = [-77] * (1 + max(begin + count for begin, count in zip(begins, counts, strict=True)))
    for row, begin in zip(rows, begins, strict=True):
        buffer[begin : begin + len(row)] = row
    return buffer


def parts(rng: np.random.Generator, size: int) -> Call:
    """Every rank brings a color (None for UNDEFINED) and a key."""
    name = str(rng.choice(["split", "split by type", "dup", "barriers", "broadcasts"]))
    return Call(name, [([None, 0, 3][rng.integers(3)], int(rng.integers(-3, 3))) for _ in range(size)])


def topologies(rng: np.random.Generator, size: int) -> Call:
    """Every rank brings the same grid (dims, periods, dimensions to keep, steps of a shift), or the same two lists of ranks."""
    if rng.integers(2):
        return Call("groups", [tuple(rng.permutation(size)[: rng.integers(size + 1)].tolist() for _ in range(2))] * size)
    dims: list[int] = []
    for _ in range(rng.integers(4)):
        dims.append(int(rng.integers(1, size // prod(dims) + 1)))
    periods, keep = rng.integers(2, size=(2, len(dims))).tolist()
    return Call("grid", [(dims, periods, keep, int(rng.integers(-2, 3)))] * size)


# --- what the calls must return, for each rank ----------------------------------------------------------------------------------------


def expected(call: Call) -> list[Any]:
    size, data, root = len(call.data), call.data, call.root
    name = call.name.lower()
    if name not in OBJECT_CALLS:
        return [STEPS_EXPECTED[call.name](call, rank) for rank in range(size)]
    buffered = call.name != name

    def parts(row: list[Any]) -> list[Any]:
        """A row's part for each rank: an object of its own, or so many items."""
        width = len(row) // size
        return [row[rank * width : (rank + 1) * width] if buffered else row[rank] for rank in range(size)]

    def gathered() -> list[Any]:
        return [item for row in data for item in row] if buffered else data

    def fold(rows: list[Any]) -> Any:
        function = FUNCTIONS[call.op]
        if not buffered:
            return flattened(call, reduce(function, rows)) if rows else None
        return [reduce(function, column) for column in zip(*rows, strict=True)] if rows else None

    def at_root(result: Any) -> list[Any]:
        return [result if rank == root else None for rank in range(size)]

    if name == "bcast":
        return [data[root]] * size
    if name == "scatter":
        return [None if call.in_place and rank == root else parts(data[root])[rank] for rank in range(size)]
    if name == "gather":
        return at_root(gathered())
    if name == "allgather":
        return [gathered()] * size
    if name == "alltoall":
        rows = [[parts(data[source])[rank] for source in range(size)] for rank in range(size)]
        return [[item for part in row for item in part] for row in rows] if buffered else rows
    if name == "reduce":
        return at_root(fold(data))
    if name == "allreduce":
        return [fold(data)] * size
    if name == "scan":
        return [fold(data[: rank + 1]) for rank in range(size)]
    return [fold(data[:rank]) for rank in range(size)]


def flattened(call: Call, result: Any) -> Any:
    """Without brackets: in which order the ranks are joined is the law, how they are grouped is free."""
    return result.replace("(", "").replace(")", "") if call.op == "join" and result is not None else result


def inbox(call: Call, rank: int) -> list[tuple[int, int, int]]:
    """(source, tag, value) of all messages to this rank, in the order in which each source sends."""
    return [(source, tag, value) for source, dest, tag, value in call.data[rank][0] if dest == rank]


def by_source(call: Call, rank: int) -> list[list[int]]:
    return [[*message] for message in sorted(inbox(call, rank), key=lambda message: message[0])]


def shifted(call: Call, rank: int) -> list[int | None]:
    size = len(call.data)
    return [rank - 1 if rank > 0 else None, (rank - 1) % size]


def split(call: Call, rank: int) -> list[Any] | None:
    colors, keys = zip(*call.data, strict=True)
    if colors[rank] is None:
        return None
    members = sorted((keys[other], other) for other in range(len(colors)) if colors[other] == colors[rank])
    ranks = [other for _, other in members]
    return [ranks.index(rank), len(ranks), ranks]


def split_by_type(call: Call, rank: int) -> list[Any] | None:
    """All ranks of these tests share one machine."""
    return split(Call("split", [(None if color is None else 0, key) for color, key in call.data]), rank)


def vectored(call: Call, rank: int) -> list[int] | None:
    table, form, seed = call.data[rank]
    here = rank == call.root
    if call.name == "Scatterv":
        return None if call.in_place and here else [-77, *items(table, call.root, rank), -77]
    if call.name == "Gatherv" and not here:
        return None
    dest = {"Gatherv": call.root, "Allgatherv": 0, "Alltoallv": rank}[call.name]
    return arranged([items(table, source, dest) for source in range(len(table))], form, seed)


def grid(call: Call, rank: int) -> list[Any] | None:
    dims, periods, keep, steps = call.data[rank]
    cells = list(np.ndindex(*dims))
    if rank >= len(cells):
        return None
    here = cells[rank]

    def at(k: int, place: int) -> int:
        inside = periods[k] or 0 <= place < dims[k]
        return cells.index((*here[:k], place % dims[k], *here[k + 1 :])) if inside else -1

    def kept(row: Any) -> list[int]:
        return [value for value, keeps in zip(row, keep, strict=True) if keeps]

    shifts = [[at(k, place - steps), at(k, place + steps)] for k, place in enumerate(here)]
    mates = [other for other, cell in enumerate(cells) if all(keep[k] or cell[k] == place for k, place in enumerate(here))]
    return [list(here), shifts, [source for source, _ in shifts], [kept(dims), kept(periods), kept(here)], mates.index(rank), mates]


def groups(call: Call, rank: int) -> list[Any]:
    first, second = call.data[rank]
    union = [*first, *(other for other in second if other not in first)]
    both, less = [other for other in first if other in second], [other for other in first if other not in second]
    rest = [other for other in range(len(call.data)) if other not in first]
    places = [group.index(rank) if rank in group else None for group in (first, second, union, both, less, rest)]
    translated = [second.index(other) if other in second else None for other in first]
    created = [first.index(rank), list(first)] if rank in first else None
    side = first if rank in first else rest
    return [[union, both, less, rest], places, translated, created, [side.index(rank), list(side)]]


STEPS_EXPECTED: dict[str, Callable[[Call, int], Any]] = {
    "by source and tag": by_source,
    "any tag": by_source,
    "any source": lambda call, rank: [[*message] for message in sorted(inbox(call, rank))],
    "posted first": by_source,
    "arrays": by_source,
    "shift": shifted,
    "two requests": lambda call, rank: [rank, rank + 100],
    "matched": lambda call, rank: [[*message] for message in sorted(inbox(call, rank))],
    "matched arrays": lambda call, rank: [[*message] for message in sorted(inbox(call, rank))],
    "Gatherv": vectored,
    "Scatterv": vectored,
    "Allgatherv": vectored,
    "Alltoallv": vectored,
    "split": split,
    "split by type": split_by_type,
    "broadcasts": lambda call, rank: [[[10 * root] * 3 for root in range(len(call.data))], list(range(len(call.data)))],
    "dup": lambda call, rank: ["twin", "first"],
    "barriers": lambda call, rank: True,
    "grid": grid,
    "groups": groups,
}
