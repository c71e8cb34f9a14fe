"""The state vector beside its speed: over ranks and nodes, what is sent, what it takes of memory, what planning and small circuits cost.

    python benchmarks/scaling.py

starts the ranks it needs itself. `--part NAME` is what a rank runs.
"""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import machine

QUBITS, ROUNDS = 24, 3


def brick() -> dict[str, float]:
    """Seconds of brick-work on all ranks, and what the first node sends, MiB."""
    return _circuit("brick")


def fourier() -> dict[str, float]:
    """The same of the Fourier transform, whose exchanges only change labels."""
    return _circuit("fourier")


def _circuit(name: str) -> dict[str, float]:
    import qmpi
    from qmpi.cli.bench import workloads

    state = qmpi.StateVector(qmpi.COMM_WORLD, QUBITS)
    gates = state.compile(getattr(workloads, name)(QUBITS))
    times, sent = [], 0
    for _ in range(1 + ROUNDS):
        state.reset()
        before, start = state.traffic.sent_bytes, time.perf_counter()
        state.apply(gates)
        state.flush()
        times.append(time.perf_counter() - start)
        sent = state.traffic.sent_bytes - before
    return {"s": statistics.median(times[1:]), "mib": sent / 2**20}


def planning() -> dict[str, float]:
    """How much of the time of 20 qubits is checking and planning, in percent."""
    import qmpi
    from qmpi.cli.bench import workloads

    found = {}
    for name in ("brick", "volume", "fourier"):
        state, gates = qmpi.StateVector(qmpi.COMM_WORLD, 20), getattr(workloads, name)(20)
        planned, again = [], []
        for _ in range(15):
            compiled = state.compile(gates)
            for times in (planned, again):  # the second has a plan
                state.reset()
                start = time.perf_counter()
                state.apply(compiled)
                times.append(time.perf_counter() - start)
        found[name] = 100 * (statistics.median(planned) / statistics.median(again) - 1)
        state.close()
    return found


def small() -> dict[str, float]:
    """Microseconds of 200 gates on 8 qubits, planned before."""
    import numpy as np

    import qmpi

    rng, state = np.random.default_rng(5), qmpi.StateVector(qmpi.COMM_WORLD, 8)
    kinds = {"h": (1, 0), "rx": (1, 1), "rz": (1, 1), "cx": (2, 0), "cz": (2, 0), "cp": (2, 1), "u": (1, 3)}
    gates = []
    for name in rng.choice(list(kinds), 200):
        width, angles = kinds[name]
        gates.append((str(name), tuple(rng.permutation(8)[:width].tolist()), tuple(rng.normal(size=angles).tolist())))
    compiled, times = state.compile(gates), []
    for _ in range(2000):
        start = time.perf_counter()
        state.apply(compiled)
        times.append(time.perf_counter() - start)
    return {"us": statistics.median(times) * 1e6}


def memory() -> dict[str, float]:
    """The process's peak in amplitudes' bytes, above what it had before: gates, samples, means, marginals and a measurement."""
    import numpy as np

    import qmpi
    from qmpi.cli.bench import workloads

    def kilobytes(field: str) -> int:
        match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert match
        return int(match[1])

    warm = qmpi.StateVector(qmpi.COMM_WORLD, 16)
    warm.apply(workloads.brick(16))
    warm.sample(1)
    warm.close()
    gates = workloads.brick(QUBITS)
    before = kilobytes("VmRSS")
    state = qmpi.StateVector(qmpi.COMM_WORLD, QUBITS)
    state.apply(gates)
    state.sample(100_000)
    state.expectation(*workloads.pauli_sum(QUBITS))
    state.probabilities(range(8))
    state.amplitudes(np.arange(1000))
    state.measure(0)
    return {"times": (kilobytes("VmHWM") - before) / ((16 << QUBITS) / 1024)}


PARTS = {"brick": brick, "fourier": fourier, "planning": planning, "small": small, "memory": memory}
ONE_RANK = {"QMPI_NUM_THREADS": "2"}
ONE_NODE, NODES = {"QMPI_NUM_THREADS": "1"}, {"QMPI_NUM_THREADS": "1", "QMPI_RANKS_PER_NODE": "1"}


def table() -> None:
    """Runs all parts and prints a table."""
    times: dict[str, list[float]] = {"one rank": [], "one node": [], "two nodes": []}
    for _ in range(3):  # interleaved
        for name, ranks, settings in (("one rank", 1, ONE_RANK), ("one node", 2, ONE_NODE), ("two nodes", 2, NODES)):
            times[name].append(machine.run_ranks(ranks, __file__, "--part", "brick", **settings)["s"])
    alone, node, nodes = (statistics.median(values) for values in times.values())
    sent = {
        (name, count): machine.run_ranks(count, __file__, "--part", name, **NODES)["mib"]
        for name in PARTS
        if name in ("brick", "fourier")
        for count in (2, 4)
    }
    share = machine.run_ranks(1, __file__, "--part", "planning", **ONE_RANK)
    small_us = machine.run_ranks(1, __file__, "--part", "small", **ONE_RANK)["us"]
    peak = machine.run_ranks(1, __file__, "--part", "memory", **ONE_RANK)["times"]
    lines = [
        (f"brick-work of depth 20 on {QUBITS} qubits, 1 rank × 2 threads", f"{alone:.3f} s", ""),
        ("2 ranks × 1 thread on one node, against that", f"{node / alone:.2f}", "1.1"),
        ("on two pretended nodes, against that", f"{nodes / alone:.2f}", "1.6"),
        *(
            (f"sent by each of {count} nodes, {what}", f"{sent[name, count]:.0f} MiB", f"{most} MiB")
            for count, most in ((2, 64), (4, 96))
            for name, what in (("brick", "brick-work"), ("fourier", "Fourier transform"))
        ),
        ("planning, of the time of brick-work on 20 qubits", f"{share['brick']:.1f} %", "2 %"),
        ("of quantum volume", f"{share['volume']:.1f} %", "2 %"),
        ("of the Fourier transform", f"{share['fourier']:.1f} %", "2 %"),
        ("200 gates on 8 qubits, planned before", f"{small_us:.0f} µs", "100 µs"),
        (f"peak memory of {QUBITS} qubits, in amplitudes", f"{peak:.2f}", "1.1"),
    ]
    machine.print_table(lines)


if __name__ == "__main__":
    machine.main("Measures the state vector over ranks and nodes, and what it takes beside time.", PARTS, table)
