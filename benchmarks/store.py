"""What one lock per component buys: two processes side by side, and small work while another rank works on a large state.

    python benchmarks/store.py

starts the ranks it needs itself. `--part NAME` is what a rank runs.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import machine

if TYPE_CHECKING:
    import qmpi


def large_component(comm: qmpi.Comm, qubits: int) -> qmpi.Register:
    """A register whose qubits are all in one component."""
    from qmpi import cx, h

    register = comm.alloc(qubits)
    h(register[0])
    for k in range(qubits - 1):
        cx(register[k], register[k + 1])
    comm._session.core.flush()
    return register


def disjoint() -> dict[str, float]:
    """Ranks 0 and 1 work on 22 qubits each, at the same time and in turn; ratios of medians of interleaved rounds.

    One-qubit gates are bound by memory, so beside them stands what the machine gives to the plainest such work, an array scaled in
    place; two-qubit unitaries compute more per byte.
    """
    import numpy as np

    import qmpi
    from qmpi import h, unitary

    comm = qmpi.COMM_WORLD
    register = large_component(comm, 22)
    array = np.ones(2**22, complex)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))

    def hadamards() -> None:
        for qubit in register:
            h(qubit)
        comm._session.core.flush()

    def unitaries() -> None:
        for k in range(0, 22, 2):
            unitary(rotation, register[k : k + 2])
        comm._session.core.flush()

    def scaling() -> None:
        for _ in range(22):
            np.multiply(array, 1.0, out=array)

    ratios = {}
    for work in (hadamards, unitaries, scaling):
        serial, parallel = [], []
        for _ in range(9):
            comm.barrier()
            start = time.perf_counter()
            for turn in (0, 1):
                if comm.rank == turn:
                    work()
                comm.barrier()
            serial.append(time.perf_counter() - start)
            start = time.perf_counter()
            work()
            comm.barrier()
            parallel.append(time.perf_counter() - start)
        ratios[work.__name__] = statistics.median(parallel) / statistics.median(serial)
    return ratios


def beside() -> dict[str, float]:
    """Rank 0 works on 24 qubits without pause; rank 1's gate and measurement on a pair of its own, median in microseconds."""
    import qmpi
    from qmpi import cx, h, measure, reset

    comm = qmpi.COMM_WORLD
    register = large_component(comm, 24 if comm.rank == 0 else 2)
    rounds = 200
    comm.barrier()
    if comm.rank == 0:
        # Until rank 1 says that it is done; its classical message is what ends this loop.
        while not comm.mpi.iprobe(source=1):
            for qubit in register[:4]:
                h(qubit)
            comm._session.core.flush()
        return {"median_us": comm.mpi.recv(source=1)}
    a, b = comm.alloc(2)
    times = []
    for _ in range(rounds):
        h(a)
        cx(a, b)
        comm._session.core.flush()
        start = time.perf_counter()
        h(b)
        measure(b)
        times.append(time.perf_counter() - start)
        reset(a)
        reset(b)
        time.sleep(0.002)
    comm.mpi.send(statistics.median(times) * 1e6, dest=0)
    return {}


PARTS = {"disjoint": disjoint, "beside": beside}


def table() -> None:
    """Runs both and prints a table."""
    ratios = machine.run_ranks(2, __file__, "--part", "disjoint")
    small = machine.run_ranks(2, __file__, "--part", "beside")
    print(f"Medians, complex128; {machine.describe()}.\n")
    print("| | measured | at most |\n|---|---|---|")
    print("| two processes on 22 qubits each, at the same time / in turn: | | |")
    print(f"| two-qubit unitaries | {ratios['unitaries']:.2f} | 0.6 |")
    print(f"| one-qubit gates | {ratios['hadamards']:.2f} | 0.6 |")
    print(f"| (the machine: arrays of that size scaled in place) | ({ratios['scaling']:.2f}) | |")
    print(f"| gate and measurement on a pair while another rank works on 24 qubits | {small['median_us']:.1f} µs | 100 µs |")


if __name__ == "__main__":
    machine.main("Measures how little ranks disturb each other in the store.", PARTS, table)
