"""Our engine and its peers on the same gates, in one run, interleaved; medians.

    python -m pip install '.[peers]'
    python benchmarks/engine.py [-n 24] [--dtype complex64] [--workloads brick,fourier] [--rounds 3] [--json FILE]

Gates only: first touch and turning a list of gates into an engine's own objects (for ours: planning) are not included. Before anything is
timed, every engine's state is compared with Aer's at 16 qubits. Ratios are a peer's time over ours.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import machine
import numpy as np
import peers
from rich.console import Console
from rich.table import Table

from qmpi.cli.bench import workloads

REST_S = 0.4  # threads of the engine before, which go on looking for work for a while, are asleep after it
CIRCUITS: dict[str, Callable[[int], list[workloads.Triple]]] = {
    "brick": workloads.brick,
    "volume": workloads.volume,
    "fourier": workloads.fourier,
}
READS = ("expectation", "sample", "measure")
TARGETS = {  # peer's time over ours, against the fastest peer
    "complex128": {"brick": 8.0, "volume": 3.5, "fourier": 8.0, "expectation": 4.0, "sample": 2.0},
    "complex64": {"brick": 1.8, "volume": 1.3, "fourier": 7.0, "expectation": 4.0, "sample": 2.0},
}
Times = dict[str, list[float]]  # of each engine


def require_correct(names: Iterable[str], dtype: type, threads: int, qubits: int = 16) -> None:
    """Ends the run if an engine's state is not the one Aer has in double precision."""
    allowed = 1e-10 if dtype is np.complex128 else 1e-5
    for workload, make in CIRCUITS.items():
        gates = make(qubits)
        reference = peers.Aer(qubits, np.complex128, threads)
        reference.run(reference.prepare(gates))
        expected = reference.state()
        for name in names:
            engine = peers.ENGINES[name](qubits, dtype, threads)
            circuit = engine.prepare(gates)
            engine.reset()
            engine.run(circuit)
            overlap = abs(np.vdot(expected, engine.state().astype(np.complex128))) ** 2
            if not abs(1 - overlap) < allowed:
                sys.exit(f"{name} is wrong: fidelity with Aer after {workload} on {qubits} qubits is 1 - {1 - overlap:.1e}")


def measure(names: list[str], qubits: int, dtype: type, threads: int, rounds: int, chosen: list[str]) -> dict[str, Times]:
    """Seconds of every engine for every workload. All engines are there at once and take turns."""
    engines = {name: peers.ENGINES[name](qubits, dtype, threads) for name in names}
    found: dict[str, Times] = {}

    def take_turns(workload: str, calls: dict[str, Callable[[], float]]) -> None:
        times: Times = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in list(calls.items()):
                time.sleep(REST_S)
                try:
                    times[name].append(call())
                except NotImplementedError:
                    calls.pop(name)
        found[workload] = {name: values for name, values in times.items() if values}
        progress(
            f"{np.dtype(dtype).name} {workload}: " + ", ".join(f"{n} {statistics.median(v):.4g} s" for n, v in found[workload].items())
        )

    def circuits(gates: list[workloads.Triple]) -> dict[str, Callable[[], float]]:
        prepared = {name: engine.prepare(gates) for name, engine in engines.items()}
        return {name: lambda name=name: engines[name].run(prepared[name]) for name in engines}

    for workload, make in CIRCUITS.items():
        if workload in chosen:
            take_turns(workload, circuits(make(qubits)))
    for label, gates in workloads.single_gates(qubits).items() if "gates" in chosen else ():
        take_turns(label, circuits(gates))
    if not set(READS).isdisjoint(chosen):
        for engine in engines.values():
            circuit = engine.prepare(workloads.brick(qubits, 2))
            engine.reset()
            engine.run(circuit)
        strings, factors = workloads.pauli_sum(qubits)
        reads: dict[str, Callable[[peers.Engine], float]] = {
            "expectation": lambda engine: engine.expectation(strings, factors)[1],
            "sample": lambda engine: engine.sample(workloads.SHOTS),
            "measure": lambda engine: engine.measure(),
        }
        for workload, read in reads.items():
            if workload in chosen:
                take_turns(workload, {name: lambda e=engine, r=read: r(e) for name, engine in engines.items()})
    return found


def progress(line: str) -> None:
    """One line on standard error."""
    print(line, file=sys.stderr, flush=True)


def table(found: dict[str, Times], dtype: str) -> Table:
    """Ours, the fastest peer, the ratio, and every peer."""
    result = Table(title=f"{dtype}, seconds (medians)")
    others = [name for name in peers.ENGINES if name != peers.Ours.name and any(name in times for times in found.values())]
    for heading in ("workload", "qmpi", "fastest peer", "ratio", "at least", *others):
        result.add_column(heading, justify="left" if heading == "workload" else "right")
    for workload, times in found.items():
        medians = {name: statistics.median(values) for name, values in times.items()}
        ours = medians.pop(peers.Ours.name, None)
        fastest = min(medians, key=lambda name: medians[name], default=None)
        ratio = f"{medians[fastest] / ours:.2f}" if ours and fastest else ""
        target = TARGETS[dtype].get(workload, "" if workload in READS else 1.0)
        cells = [f"{medians[name]:.4g}" if name in medians else "" for name in others]
        result.add_row(
            workload, f"{ours:.4g}" if ours else "", f"{fastest} {medians[fastest]:.4g}" if fastest else "", ratio, str(target), *cells
        )
    return result


def listed(_: Any, __: Any, text: str) -> list[str]:
    """A list of names with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


@click.command(help=__doc__)
@click.option("-n", "--qubits", default=24, show_default=True, type=click.IntRange(workloads.LEAST_QUBITS, 34))
@click.option("--dtype", type=click.Choice(["complex128", "complex64", "both"]), default="both", show_default=True)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--workloads", "chosen", default=",".join([*CIRCUITS, "gates", *READS]), show_default=True, callback=listed)
@click.option("--engines", default=",".join(peers.ENGINES), show_default=True, callback=listed)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path))
def main(qubits: int, dtype: str, threads: int, rounds: int, chosen: list[str], engines: list[str], file: Path | None) -> None:
    """Runs it."""
    unknown = set(chosen) - {*CIRCUITS, *READS, "gates"} | set(engines) - set(peers.ENGINES)
    if unknown:
        raise click.BadParameter(f"unknown: {', '.join(sorted(unknown))}")
    there, missing = peers.available(threads)
    for name, why in missing.items():
        progress(f"{name} is missing: {why}")
    console, results = Console(width=200), {}
    console.print(machine.describe() + f", {threads} threads, {qubits} qubits")
    for kind in (np.complex128, np.complex64):
        label = np.dtype(kind).name
        names = [name for name in engines if name in there and kind in peers.ENGINES[name].dtypes]
        if dtype not in (label, "both") or not names:
            continue
        if peers.Aer.name in there:
            require_correct(names, kind, threads)
        found = measure(names, qubits, kind, threads, rounds, chosen)
        results[label] = found
        console.print(table(found, label))
        gc.collect()
    if file:
        file.write_text(json.dumps({"machine": machine.describe(), "qubits": qubits, "threads": threads, "seconds": results}, indent=1))


if __name__ == "__main__":
    main()
