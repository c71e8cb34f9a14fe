"""How little ranks disturb each other, and how much they help: two processes side by side, small work while another rank works on a large
state, and a rank that waits while another has much to do.

    python benchmarks/store.py

starts the ranks it needs itself. `--part NAME` is what a rank runs.
"""

from __future__ import annotations

import os
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
    place; two-qubit unitaries compute more per byte. Ranks wait outside qmpi, where they do not help.
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
            comm.mpi.Barrier()
            start = time.perf_counter()
            for turn in (0, 1):
                if comm.rank == turn:
                    work()
                comm.mpi.Barrier()
            serial.append(time.perf_counter() - start)
            start = time.perf_counter()
            work()
            comm.mpi.Barrier()
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


def helping() -> dict[str, float]:
    """Rank 0, bound to one core, works on 26 qubits; rank 1, on another, sleeps meanwhile or waits inside qmpi. Seconds, medians."""
    import numpy as np

    import qmpi
    from qmpi import cz, u

    comm, rng = qmpi.COMM_WORLD, np.random.default_rng(1)
    cores = sorted(os.sched_getaffinity(0))
    comm.barrier()  # which starts nothing that could run elsewhere
    os.sched_setaffinity(0, {cores[comm.rank % len(cores)]})
    register = large_component(comm, 26) if comm.rank == 0 else comm.alloc()

    def work() -> None:
        for layer in range(4):
            for qubit in register:
                u(*rng.normal(size=3), qubit)
            for k in range(layer % 2, 25, 2):
                cz(register[k], register[k + 1])
        comm._session.core.flush()

    times: dict[str, list[float]] = {"asleep": [], "waiting": []}
    for turn in range(8):
        where = "asleep" if turn % 2 else "waiting"
        comm.barrier()
        if comm.rank == 0:
            start = time.perf_counter()
            work()
            times[where].append(time.perf_counter() - start)
            if where == "waiting":
                comm.send_move(comm.alloc(), 1)
            else:
                comm.mpi.send(None, dest=1)
        elif where == "waiting":
            comm.recv_move(source=0)
        else:
            while not comm.mpi.iprobe(source=0):
                time.sleep(0.01)
            comm.mpi.recv(source=0)
    if comm.rank:
        return {}
    return {where: statistics.median(seconds[1:]) for where, seconds in times.items()}


PARTS = {"disjoint": disjoint, "beside": beside, "helping": helping}


def table() -> None:
    """Runs both and prints a table."""
    ratios = machine.run_ranks(2, __file__, "--part", "disjoint", QMPI_NUM_THREADS="1")
    small = machine.run_ranks(2, __file__, "--part", "beside")
    helped = machine.run_ranks(2, __file__, "--part", "helping", QMPI_NUM_THREADS="1")
    print(f"Medians, complex128; {machine.describe()}.\n")
    print("| | measured | wanted |\n|---|---|---|")
    print("| two processes on 22 qubits each, at the same time / in turn: | | |")
    print(f"| two-qubit unitaries | {ratios['unitaries']:.2f} | at most 0.6 |")
    print(f"| one-qubit gates | {ratios['hadamards']:.2f} | at most 0.6 |")
    print(f"| (the machine: arrays of that size scaled in place) | ({ratios['scaling']:.2f}) | |")
    print(f"| gate and measurement on a pair while another rank works on 24 qubits | {small['median_us']:.1f} µs | at most 100 µs |")
    gain = helped["asleep"] / helped["waiting"]
    print("| 26 qubits on one core, another rank waits inside qmpi on another core: | | |")
    print(f"| how many times as fast ({helped['waiting']:.2f} s, not {helped['asleep']:.2f} s) | {gain:.2f} | at least 1.6 |")


if __name__ == "__main__":
    machine.main("Measures how little ranks disturb each other in the store.", PARTS, table)
