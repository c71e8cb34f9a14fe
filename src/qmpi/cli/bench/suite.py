"""What every rank of `qmpi bench` runs: the suite on one register. Rank 0 prints JSON, an object per line: what holds, then each result.

Takes memory, checks the gates and plans before the clock starts; times are rank 0's, and every timed call ends on all ranks together.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import qmpi
from qmpi.cli.bench import workloads
from qmpi.engine.nodes import Nodes
from qmpi.world.settings import threads_per_rank

Result = dict[str, Any]

_CIRCUITS: dict[str, Callable[[int], list[workloads.Triple]]] = {
    "brick": workloads.brick,
    "qv": workloads.volume,
    "qft": workloads.fourier,
}
_LAYERS_BEFORE_READING = 2


class Suite:
    """A register and how its workloads are timed.

    Attributes:
        state: the register.
        rounds: how often each workload is timed.
    """

    def __init__(self, state: qmpi.StateVector, rounds: int) -> None:
        """Times `rounds` rounds, after one that is not counted."""
        self.state = state
        self.rounds = rounds
        self._layers = state.compile(workloads.brick(state.num_qubits, _LAYERS_BEFORE_READING))

    def measure(self, workload: str) -> Result:
        """The result of one workload, by name."""
        if workload in _CIRCUITS:
            return self._circuit(_CIRCUITS[workload](self.state.num_qubits), self.state.reset, workload == "qft")
        if workload == "gates":
            return self._single_gates()
        strings, factors = workloads.pauli_sum(self.state.num_qubits)
        reads: dict[str, Callable[[], object]] = {
            "expectation": lambda: self.state.expectation(strings, factors),
            "sample": lambda: self.state.sample(workloads.SHOTS),
            "measure": lambda: self.state.measure(self.state.num_qubits // 2),
        }
        return self._timed(self._scramble, reads[workload])

    def _scramble(self) -> None:
        self.state.reset()
        self.state.apply(self._layers)
        self.state.flush()

    def _circuit(self, gates: list[workloads.Triple], prepare: Callable[[], object], restore_order: bool) -> Result:
        begin = time.perf_counter()
        compiled = self.state.compile(gates, restore_order)
        compile_s = time.perf_counter() - begin

        def run() -> None:
            self.state.apply(compiled)
            self.state.flush()

        return self._timed(prepare, run) | {"gates": len(gates), "compile_s": compile_s}

    def _single_gates(self) -> Result:
        """Each with its physical effect: an exchange of two qubits moves amplitudes, and does not only rename them."""
        self._scramble()
        every = workloads.single_gates(self.state.num_qubits)
        medians = {name: self._circuit(gates, self.state.flush, True)["median_s"] for name, gates in every.items()}
        return {"median_s": statistics.median(medians.values()), "each_s": medians}

    def _timed(self, prepare: Callable[[], object], act: Callable[[], object]) -> Result:
        times, sent = [], 0
        for _ in range(1 + self.rounds):
            prepare()
            before, begin = self.state.traffic.sent_bytes, time.perf_counter()
            act()
            times.append(time.perf_counter() - begin)
            sent = self.state.traffic.sent_bytes - before
        first, *rounds = times
        return {"median_s": statistics.median(rounds), "rounds_s": rounds, "first_s": first, "sent_bytes": sent}


def main(qubits: int, dtype: str, names: list[str], rounds: int) -> None:
    """Runs the named workloads on a register of all ranks."""
    comm = qmpi.COMM_WORLD

    def tell(result: Result) -> None:
        if comm.rank == 0:
            print(json.dumps(result), flush=True)

    comm.barrier()
    begin = time.perf_counter()
    state = qmpi.StateVector(comm, qubits, dtype)
    touched_s = time.perf_counter() - begin
    nodes, threads = Nodes.of(comm.size).count, threads_per_rank(comm.size)
    tell({"ranks": comm.size, "first_touch_s": touched_s, "nodes": nodes, "threads_per_rank": threads})
    suite = Suite(state, rounds)
    for name in names:
        tell({"workload": name} | suite.measure(name))
    state.close()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
