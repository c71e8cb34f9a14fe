"""What one lock per component buys: two processes side by side, and small work while another rank works on a large state.

    python benchmarks/store.py

starts the ranks it needs itself. `--part NAME` is what a rank runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import machine


def large_component(comm: object, qubits: int) -> object:
    """A register whose qubits are all in one component."""
    from qmpi import cx, h

    register = comm.alloc(qubits)  # type: ignore[attr-defined]
    h(register[0])
    for k in range(qubits - 1):
        cx(register[k], register[k + 1])
    comm._session.core.flush()  # type: ignore[attr-defined]
    return register


def disjoint() -> dict[str, float]:
    """Ranks 0 and 1 work on 22 qubits each: in turn, then at the same time. Interleaved rounds; medians of seconds."""
    import qmpi
    from qmpi import h

    comm = qmpi.COMM_WORLD
    register = large_component(comm, 22)

    def work() -> None:
        for qubit in register:  # type: ignore[attr-defined]
            h(qubit)
        comm._session.core.flush()

    serial, parallel = [], []
    for _ in range(7):
        comm.barrier()
        start = time.perf_counter()
        if comm.rank == 0:
            work()
        comm.barrier()
        if comm.rank == 1:
            work()
        comm.barrier()
        serial.append(time.perf_counter() - start)
        start = time.perf_counter()
        work()
        comm.barrier()
        parallel.append(time.perf_counter() - start)
    return {"serial_s": statistics.median(serial), "parallel_s": statistics.median(parallel)}


def beside() -> dict[str, float]:
    """Rank 0 works on 24 qubits without pause; rank 1's gate and measurement on a pair of its own, median in microseconds."""
    import qmpi
    from qmpi import cx, h, measure, reset

    comm = qmpi.COMM_WORLD
    register = large_component(comm, 24) if comm.rank == 0 else None
    rounds = 200
    comm.barrier()
    if comm.rank == 0:
        # Until rank 1 says that it is done; its classical message is what ends this loop.
        while not comm.mpi.iprobe(source=1):
            for qubit in register[:4]:  # type: ignore[index]
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
    side_by_side = machine.run_ranks(2, __file__, "--part", "disjoint")
    small = machine.run_ranks(2, __file__, "--part", "beside")
    ratio = side_by_side["parallel_s"] / side_by_side["serial_s"]
    print(f"Medians, complex128; {machine.describe()}.\n")
    print("| | measured | at most |\n|---|---|---|")
    print(f"| 22 gates on 22 qubits in each of two processes, at the same time / in turn | {ratio:.2f} | 0.6 |")
    print(f"| gate and measurement on a pair while another rank works on 24 qubits | {small['median_us']:.1f} µs | 100 µs |")


def main() -> None:
    """Prints the table, or runs one part."""
    parser = argparse.ArgumentParser(description="Measures how little ranks disturb each other in the store.")
    parser.add_argument("--part", choices=PARTS, help="what a rank runs; without it the whole table is measured")
    part = parser.parse_args().part
    if part is None:
        table()
    elif result := PARTS[part]():
        import qmpi

        if qmpi.COMM_WORLD.rank == 0:
            print(json.dumps(result))


if __name__ == "__main__":
    main()
