"""Latency of the collectives, in the manner of the OSU micro-benchmarks: time against ranks and qubits per item, per algorithm.

    python benchmarks/collectives.py [--ranks 2 4 8] [--qubits 1 4] [--mode faithful] [--plot collectives.png]

starts the ranks it needs itself. A time is that of the slowest rank, the median over rounds that begin with a barrier; the operation is
undone after each, which is timed for itself. Messages are counted by the store. `--part NAME` is what a rank runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import machine

ROUNDS = 60
CAT_RANKS = 20


def operations(comm: Any, count: int) -> dict[str, Callable[[], Any]]:
    """By name, a call that returns a context manager which undoes it; `count` qubits per item.

    What is broadcast is entangled with all its copies; all else is in basis states, so that the calls are measured and not the engine.
    """
    import qmpi
    from qmpi import h
    from qmpi.gates import x

    q, all_, target = comm.alloc(count), comm.alloc(count * comm.size), comm.alloc(count)
    x(q)
    if comm.rank == 0:
        h(target[0])
    return {
        "bcast, tree": partial(comm.bcast, target),
        "bcast, cat": partial(comm.bcast, target, algorithm="cat"),
        "gather": partial(comm.gather, q),
        "scatter": partial(comm.scatter, all_),
        "scatter_move": partial(comm.scatter_move, all_),
        "allgather": partial(comm.allgather, q),
        "alltoall": partial(comm.alltoall, all_),
        "alltoall_move": partial(comm.alltoall_move, all_),
        "reduce, PARITY": partial(comm.reduce, q),
        "reduce, PARITY, star": partial(comm.reduce, q, algorithm="star"),
        "reduce, SUM": partial(comm.reduce, q, op=qmpi.SUM),
        "allreduce, SUM": partial(comm.allreduce, q, op=qmpi.SUM),
        "reduce_scatter_block, PARITY": partial(comm.reduce_scatter_block, all_),
        "scan, SUM": partial(comm.scan, q, op=qmpi.SUM),
        "exscan, SUM": partial(comm.exscan, q, op=qmpi.SUM),
    }


def namesake(name: str, ranks: int) -> int:
    """Messages of the MPI operation: a tree or a chain for one root, rings or pairs for all; a reduction and a broadcast for allreduce."""
    operation = name.partition(",")[0].removesuffix("_move")
    if operation in ("allgather", "alltoall", "reduce_scatter_block"):
        return ranks * (ranks - 1)
    return (2 if operation == "allreduce" else 1) * (ranks - 1)


def all_operations() -> dict[str, float]:
    """Medians in µs, and messages, by `qubits per item/operation`; what every rank runs."""
    import qmpi

    comm = qmpi.COMM_WORLD
    result: dict[str, float] = {}
    for count in map(int, os.environ["COLLECTIVES_QUBITS"].split()):
        for name, call in operations(comm, count).items():
            before = comm.store_report().messages
            with call():
                sent = comm.store_report().messages - before
            forward_s, inverse_s = [], []
            for _ in range(ROUNDS):
                comm.barrier()
                begin = time.perf_counter()
                undo = call()
                middle = time.perf_counter()
                undo.__exit__(None, None, None)
                forward_s.append(middle - begin)
                inverse_s.append(time.perf_counter() - middle)
            medians = comm.mpi.gather([statistics.median(times) * 1e6 for times in (forward_s, inverse_s)], root=0)
            if medians:
                forward, inverse = (max(times) for times in zip(*medians, strict=True))
                result |= {f"{count}/{name}/forward": forward, f"{count}/{name}/inverse": inverse, f"{count}/{name}/messages": sent}
    return result


def cat_state() -> dict[str, float]:
    """A cat-state broadcast over threads, every EPR pair simulated: seconds until all have their copy, and the largest component."""
    import qmpi
    from qmpi import h

    def program() -> tuple[float, int]:
        comm = qmpi.COMM_WORLD
        q = comm.alloc(1)
        if comm.rank == 0:
            h(q)
        comm.barrier()
        begin = time.perf_counter()
        with comm.bcast(q, algorithm="cat"):
            comm.barrier()
            return time.perf_counter() - begin, comm.store_report().peak_component

    results = qmpi.run(program, ranks=CAT_RANKS)
    return {"s": max(seconds for seconds, _ in results), "qubits": max(qubits for _, qubits in results)}


def alone(part: str, **settings: str) -> dict[str, float]:
    """A part that starts its ranks as threads of one process."""
    done = subprocess.run([sys.executable, __file__, "--part", part], capture_output=True, text=True, check=True, env=os.environ | settings)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def table(ranks: list[int], qubits: list[int], mode: str, plot: str | None) -> None:
    """Runs everything and prints tables: what was promised, then all times."""
    chosen = {"QMPI_MODE": mode, "COLLECTIVES_QUBITS": " ".join(map(str, qubits))}
    measured = {count: machine.run_ranks(count, __file__, "--part", "all", timeout_s=600, **chosen) for count in ranks}
    eight = machine.run_ranks(8, __file__, "--part", "all", timeout_s=600, QMPI_MODE="fast", COLLECTIVES_QUBITS="1")
    cat = alone("cat", QMPI_MODE="faithful")
    names = list(dict.fromkeys(key.split("/")[1] for key in eight))
    most = max(measured)
    worst = max(measured[most][f"{qubits[0]}/{name}/messages"] / namesake(name, most) for name in names)
    machine.print_table(
        [
            ("one qubit to 8 processes, fast mode, tree", f"{eight['1/bcast, tree/forward']:.0f} µs", "1000 µs"),
            ("the same over a cat state", f"{eight['1/bcast, cat/forward']:.0f} µs", ""),
            (f"over a cat state to {CAT_RANKS} threads, faithful mode", f"{cat['s'] * 1e3:.1f} ms", "2000 ms"),
            ("its largest entangled component", f"{cat['qubits']:.0f} qubits", "21 qubits"),
            (f"messages against MPI's, {most} ranks, at worst", f"{worst:.2f}", ""),
        ]
    )
    print(
        f"\nMicroseconds of the slowest rank (of its inverse), {mode} mode; the last column: messages on {most} ranks (MPI's namesake).\n"
    )
    columns = [(count, size) for size in qubits for count in ranks]
    print("| | " + " | ".join(f"{count} ranks × {size}" for count, size in columns) + " | messages |")
    print("|---" * (len(columns) + 2) + "|")
    for name in names:
        cells = [f"{measured[c][f'{s}/{name}/forward']:.0f} ({measured[c][f'{s}/{name}/inverse']:.0f})" for c, s in columns]
        sent = f"{measured[most][f'{qubits[0]}/{name}/messages']:.0f} ({namesake(name, most)})"
        print(f"| {name} | " + " | ".join([*cells, sent]) + " |")
    if plot:
        draw(measured, names, qubits, mode, plot)


def draw(measured: dict[int, dict[str, float]], names: list[str], qubits: list[int], mode: str, file: str) -> None:
    """Time against ranks, a line per operation, a panel per number of qubits."""
    from qmpi.cli.bench.plots import matplotlib

    figure = matplotlib().figure.Figure(figsize=(1 + 5 * len(qubits), 6), layout="constrained")
    panels = figure.subplots(1, len(qubits), squeeze=False).flat
    for panel, size in zip(panels, qubits, strict=True):
        for name in names:
            panel.plot(list(measured), [run[f"{size}/{name}/forward"] for run in measured.values()], "o-", label=name)
        panel.set(title=f"{size} qubit(s) per item", xlabel="ranks", ylabel="µs", xscale="log", yscale="log", xticks=list(measured))
        panel.set_xticklabels(map(str, measured))
        panel.minorticks_off()
    panels[0].legend(fontsize="small")
    figure.suptitle(f"{machine.describe()}, {mode} mode", fontsize="small")
    figure.savefig(file, dpi=150)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures the collectives over ranks and qubits per item.")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8], help="default 2 4 8")
    parser.add_argument("--qubits", type=int, nargs="+", default=[1, 4], help="per item; default 1 4")
    parser.add_argument("--mode", choices=("fast", "faithful"), default="fast")
    parser.add_argument("--plot", metavar="FILE", help="also draws time against ranks (needs matplotlib)")
    parser.add_argument("--part", choices=("all", "cat"), help="what a rank runs; without it everything is measured")
    arguments = parser.parse_args()
    if arguments.part == "cat":
        print(json.dumps(cat_state()))
    elif arguments.part == "all":
        result = all_operations()
        if result:
            print(json.dumps(result))
    else:
        table(arguments.ranks, arguments.qubits, arguments.mode, arguments.plot)


if __name__ == "__main__":
    main()
