"""Latency of everything small, as the README's table: medians of interleaved rounds.

    python benchmarks/latency.py

starts the ranks it needs itself. `--part NAME` is what a rank runs.
"""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import machine

if TYPE_CHECKING:
    import qmpi

ROUNDS = 7


def median_us(measured: Callable[[], float], rounds: int = ROUNDS) -> float:
    """Median of seconds that `measured` returns, in microseconds."""
    measured()  # warm up
    return statistics.median(measured() for _ in range(rounds)) * 1e6


# --- parts: what the ranks of one mpiexec run ----------------------------------------------------------------------------------


def local() -> dict[str, float]:
    """One rank: gates, measurement, teleportation by hand."""
    import qmpi
    from qmpi import cx, h, measure, reset

    comm = qmpi.COMM_WORLD
    flush = comm._session.core.flush
    a, b, c = comm.alloc(3)
    h(a)
    cx(a, b)
    cx(b, c)

    def gate() -> float:
        count = 100_000
        start = time.perf_counter()
        for _ in range(count):
            h(b)
        flush()
        return (time.perf_counter() - start) / count

    u, v = comm.alloc(2)

    def measurement() -> float:
        spent, count = 0.0, 5_000
        for _ in range(count):
            h(u)
            cx(u, v)
            flush()
            start = time.perf_counter()
            measure(u)
            spent += time.perf_counter() - start
            reset(u)
            reset(v)
        return spent / count

    small, large = comm.alloc(3), comm.alloc(8)
    h(small[0])
    h(large[0])
    for other in large[3:]:  # entangled with what is teleported: with the two other places, 8 qubits
        cx(large[0], other)
    return {
        "gate": median_us(gate),
        "measure": median_us(measurement),
        "teleport 3": median_us(teleportation(small)),
        "teleport 8": median_us(teleportation(large)),
    }


def teleportation(register: qmpi.Register) -> Callable[[], float]:
    """Teleports the register's first qubit to and fro between its first three places, by hand."""
    from qmpi import cx, h, measure, reset
    from qmpi.gates import x, z

    places = list(register[:3])

    def run() -> float:
        count = 5_000
        start = time.perf_counter()
        for _ in range(count):
            message, near, far = places
            h(near)
            cx(near, far)
            cx(message, near)
            h(message)
            if measure(near):
                x(far)
            if measure(message):
                z(far)
            reset(message)
            reset(near)
            places[:] = far, near, message
        return (time.perf_counter() - start) / count

    return run


def travelling_qubit() -> tuple[qmpi.Comm, qmpi.Register]:
    """A place for it on every rank; on rank 0 it is half of a pair whose other half stays."""
    import qmpi

    comm = qmpi.COMM_WORLD
    q = comm.alloc(1)
    if comm.rank == 0:
        spectator = comm.alloc(1)
        qmpi.h(spectator)
        qmpi.cx(spectator, q)
    return comm, q


def there_and_back() -> dict[str, float]:
    """Two ranks: a qubit moved there and back."""
    comm, q = travelling_qubit()

    def run() -> float:
        count = 1_000
        comm.barrier()
        start = time.perf_counter()
        for _ in range(count):
            if comm.rank == 0:
                comm.send_move(q, 1)
                comm.recv_move(q, 1)
            else:
                comm.recv_move(q, 0)
                comm.send_move(q, 0)
        return (time.perf_counter() - start) / count

    return {"us": median_us(run)}


def ring() -> dict[str, float]:
    """A qubit moved round all ranks; per move."""
    comm, q = travelling_qubit()
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size

    def run() -> float:
        count = 200
        comm.barrier()
        start = time.perf_counter()
        for _ in range(count):
            if comm.rank == 0:
                comm.send_move(q, right)
                comm.recv_move(q, left)
            else:
                comm.recv_move(q, left)
                comm.send_move(q, right)
        return (time.perf_counter() - start) / count / comm.size

    return {"us": median_us(run)}


def idle() -> dict[str, float]:
    """Rank 1 waits two seconds in recv; its share of a core."""
    import qmpi

    comm = qmpi.COMM_WORLD
    q = comm.alloc(1)
    comm.barrier()
    if comm.rank == 0:
        time.sleep(2)
        comm.send_move(q, 1)
        return {"percent": comm.mpi.recv(source=1)}
    wall, cpu = time.perf_counter(), time.process_time()
    comm.recv_move(q, 0)
    percent = 100 * (time.process_time() - cpu) / (time.perf_counter() - wall)
    comm.mpi.send(percent, dest=0)
    return {}


# --- ranks as threads, and the command line --------------------------------------------------------------------------------------


def thread_move() -> dict[str, float]:
    """Two threads: a qubit moved there and back; per move. In a process of its own."""
    import qmpi

    return {"us": qmpi.run(there_and_back, 2)[0]["us"] / 2}


def thousand() -> dict[str, float]:
    """A thousand threads with four entangled qubits each; every rank sends one to its right neighbour. Seconds and MiB of the process."""
    import qmpi

    def program() -> None:
        comm = qmpi.COMM_WORLD
        q = comm.alloc(4)
        qmpi.h(q[0])
        for k in range(3):
            qmpi.cx(q[k], q[k + 1])
        arriving = comm.irecv_move(source=(comm.rank - 1) % comm.size)
        comm.send_move(q[0], (comm.rank + 1) % comm.size)
        arriving.wait()

    start = time.perf_counter()
    qmpi.run(program, 1000)
    return {"s": time.perf_counter() - start, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


PARTS = {
    "local": local,
    "there_and_back": there_and_back,
    "ring": ring,
    "idle": idle,
    "thread_move": thread_move,
    "thousand": thousand,
}


def alone(part: str) -> dict[str, float]:
    """Runs a part in a process without a launcher."""
    done = subprocess.run([sys.executable, __file__, "--part", part], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def first_pair_s() -> float:
    """Seconds of `qmpi run -n 4` with the first pair example, median."""

    def once() -> float:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "qmpi", "run", "-n", "4", str(machine.ROOT / "examples/first_pair.py")], capture_output=True, check=True
        )
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(5))


# --- the table -----------------------------------------------------------------------------------------------------------------


def import_time_s() -> float:
    """Seconds of `import qmpi` beyond NumPy, by -X importtime, median; refuses if it imports mpi4py."""

    def once() -> float:
        program = [sys.executable, "-X", "importtime", "-c", "import numpy, qmpi, sys; assert 'mpi4py' not in sys.modules"]
        log = subprocess.run(program, capture_output=True, text=True, check=True).stderr
        cumulative = {name: int(spent) for spent, name in re.findall(r"\| +(\d+) \| +(\S+)", log)}
        return cumulative["qmpi"] / 1e6

    return statistics.median(once() for _ in range(5))


def table() -> None:
    """Runs everything and prints the README's table."""
    rows = machine.run_ranks(1, __file__, "--part", "local")
    # The same minutes for what is compared: two and eight ranks, fast and faithful, interleaved.
    moves: dict[str, list[float]] = {"fast": [], "faithful": [], "ring": []}
    for _ in range(5):
        moves["fast"].append(machine.run_ranks(2, __file__, "--part", "there_and_back", QMPI_MODE="fast")["us"])
        moves["faithful"].append(machine.run_ranks(2, __file__, "--part", "there_and_back", QMPI_MODE="faithful")["us"])
        moves["ring"].append(machine.run_ranks(8, __file__, "--part", "ring", QMPI_MODE="fast")["us"])
    fast, faithful, ring_us = (statistics.median(moves[key]) for key in ("fast", "faithful", "ring"))
    idle_percent = machine.run_ranks(2, __file__, "--part", "idle")["percent"]
    thread_us = statistics.median(alone("thread_move")["us"] for _ in range(5))
    many = alone("thousand")
    lines = [
        ("one-qubit gate on a 3-qubit component, amortised over 10^5", f"{rows['gate']:.2f} µs", "0.7 µs"),
        ("measure one qubit of an entangled pair", f"{rows['measure']:.2f} µs", "2 µs"),
        ("teleportation by hand in one rank, 3 qubits", f"{rows['teleport 3']:.1f} µs", "10 µs"),
        ("the same, 8 qubits", f"{rows['teleport 8']:.1f} µs", "10 µs"),
        ("a qubit moved there and back, 2 processes, fast mode", f"{fast:.0f} µs", "40 µs"),
        ("the same, faithful mode", f"{faithful:.0f} µs", "150 µs"),
        ("8 processes in a ring of moves, per move", f"{ring_us:.0f} µs", f"{3 * fast:.0f} µs (3 × 2 processes)"),
        ("CPU of a rank that waits", f"{idle_percent:.2f} %", "2 %"),
        ("a qubit moved between two threads, per move", f"{thread_us:.0f} µs", "30 µs"),
        ("1,000 threads, four qubits each, one of them moved", f"{many['s']:.1f} s, {many['mib']:.0f} MiB", "5 s, 300 MB"),
        ("`qmpi run -n 4 examples/first_pair.py`", f"{first_pair_s():.2f} s", "1.5 s"),
        ("`import qmpi` beyond NumPy, without mpi4py", f"{import_time_s():.3f} s", "0.1 s"),
    ]
    machine.print_table(lines)


if __name__ == "__main__":
    machine.main("Measures the latencies of the README's table.", PARTS, table)
