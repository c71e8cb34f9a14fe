"""State-vector engines behind one protocol, each with the settings its own documentation recommends for speed.

What is timed is gates only: memory is taken and touched, and a circuit is turned into the engine's own objects, before the clock starts.
Where a peer cannot separate these (Aer's and qsim's simulators make a new state each time), its own report of the time is used: for
qsim the C++ "simu time", for Aer the time of the experiment less that of an empty circuit.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from qmpi.cli.bench.workloads import Triple

LETTERS = {"X": "PauliX", "Y": "PauliY", "Z": "PauliZ", "I": "Identity"}


def seconds(act: Callable[[], Any]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


class Engine(ABC):
    """One engine, one precision, one number of qubits. Unsupported calls raise NotImplementedError."""

    name: str
    dtypes: tuple[type, ...] = (np.complex128, np.complex64)

    @abstractmethod
    def __init__(self, qubits: int, dtype: type, threads: int) -> None: ...

    @abstractmethod
    def prepare(self, gates: list[Triple]) -> Any:
        """The engine's own form of a circuit."""

    @abstractmethod
    def run(self, circuit: Any) -> float:
        """Runs it on |0…0⟩, or on whatever is there; seconds, gates only."""

    @abstractmethod
    def state(self) -> np.ndarray:
        """The amplitudes after `run`; qubit 0 least significant."""

    def reset(self) -> None:
        """Back to |0…0⟩; nothing where every run starts there."""
        return

    def expectation(self, strings: list[str], factors: list[float]) -> tuple[float, float]:
        """Value and seconds."""
        raise NotImplementedError

    def sample(self, shots: int) -> float:
        """Seconds."""
        raise NotImplementedError

    def measure(self) -> float:
        """Probability and collapse of the middle qubit, in seconds."""
        raise NotImplementedError


class Ours(Engine):
    """qmpi.StateVector on one rank."""

    name = "qmpi"

    def __init__(self, qubits: int, dtype: type, threads: int) -> None:
        os.environ["QMPI_NUM_THREADS"] = str(threads)
        import qmpi

        self.vector = qmpi.StateVector(qmpi.COMM_WORLD, qubits, dtype)
        self.qubits = qubits
        self.index = np.arange(2**qubits) if qubits <= 20 else None

    def prepare(self, gates: list[Triple]) -> Any:
        compiled = self.vector.compile(gates, restore_order=True)
        self.vector.apply(compiled)  # plans
        self.vector.flush()
        return compiled

    def run(self, circuit: Any) -> float:
        return seconds(lambda: self.vector.apply(circuit))

    def state(self) -> np.ndarray:
        return self.vector.amplitudes(self.index)

    def reset(self) -> None:
        self.vector.reset()

    def expectation(self, strings: list[str], factors: list[float]) -> tuple[float, float]:
        begin = time.perf_counter()
        value = self.vector.expectation(strings, factors)
        return value, time.perf_counter() - begin

    def sample(self, shots: int) -> float:
        return seconds(lambda: self.vector.sample(shots))

    def measure(self) -> float:
        return seconds(lambda: self.vector.measure(self.qubits // 2))


class Qulacs(Engine):
    """With its optimizer, blocks of two qubits."""

    name = "qulacs"
    dtypes = (np.complex128,)

    def __init__(self, qubits: int, dtype: type, threads: int) -> None:
        import qulacs

        self.q, self.qubits = qulacs, qubits
        self.vector = qulacs.QuantumState(qubits)

    def prepare(self, gates: list[Triple]) -> Any:
        from qulacs.circuit import QuantumCircuitOptimizer

        circuit = self.q.QuantumCircuit(self.qubits)
        for gate in gates:
            circuit.add_gate(self._gate(*gate))
        QuantumCircuitOptimizer().optimize(circuit, 2)
        return circuit

    def _gate(self, name: str, qubits: tuple[int, ...], parameters: tuple[Any, ...]) -> Any:
        g = self.q.gate
        make: dict[str, Callable[[], Any]] = {
            "h": lambda: g.H(*qubits),
            "x": lambda: g.X(*qubits),
            "rx": lambda: g.RotX(*qubits, *parameters),
            "rz": lambda: g.RotZ(*qubits, *parameters),
            "p": lambda: g.U1(*qubits, *parameters),
            "cx": lambda: g.CNOT(*qubits),
            "cz": lambda: g.CZ(*qubits),
            "cp": lambda: g.DiagonalMatrix(list(qubits), [1, 1, 1, np.exp(1j * parameters[0])]),
            "swap": lambda: g.SWAP(*qubits),
            "rxx": lambda: g.PauliRotation(list(qubits), [1, 1], -parameters[0]),
            "ccx": lambda: g.TOFFOLI(*qubits),
            "unitary": lambda: g.DenseMatrix(list(qubits), parameters[0]),
        }
        return make[name]()

    def run(self, circuit: Any) -> float:
        return seconds(lambda: circuit.update_quantum_state(self.vector))

    def state(self) -> np.ndarray:
        return np.asarray(self.vector.get_vector())

    def reset(self) -> None:
        self.vector.set_zero_state()

    def expectation(self, strings: list[str], factors: list[float]) -> tuple[float, float]:
        observable = self.q.Observable(self.qubits)
        for string, factor in zip(strings, factors, strict=True):
            observable.add_operator(factor, " ".join(f"{letter} {k}" for k, letter in enumerate(string) if letter != "I"))
        begin = time.perf_counter()
        value = observable.get_expectation_value(self.vector)
        return float(value.real), time.perf_counter() - begin

    def sample(self, shots: int) -> float:
        return seconds(lambda: self.vector.sampling(shots))

    def measure(self) -> float:
        def act() -> None:
            self.vector.get_zero_probability(self.qubits // 2)
            self.q.gate.P0(self.qubits // 2).update_quantum_state(self.vector)
            self.vector.normalize(self.vector.get_squared_norm())

        return seconds(act)


class Lightning(Engine):
    """PennyLane's C++ object, called gate by gate; its wires count from the most significant bit."""

    name = "Lightning"
    module = "lightning_qubit_ops"

    def __init__(self, qubits: int, dtype: type, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import importlib

        self.ops = importlib.import_module(f"pennylane_lightning.{self.module}")
        self.qubits, self.dtype = qubits, dtype
        self.suffix = "C128" if dtype is np.complex128 else "C64"
        self.vector = self._of(self.ops, "StateVector")(qubits)
        self.reset()

    def _of(self, place: Any, name: str) -> Any:
        return getattr(place, name + self.suffix)

    def _wires(self, qubits: Any) -> list[int]:
        return [self.qubits - 1 - qubit for qubit in qubits]

    def prepare(self, gates: list[Triple]) -> Any:
        names = {
            "h": "Hadamard",
            "x": "PauliX",
            "rx": "RX",
            "rz": "RZ",
            "p": "PhaseShift",
            "cx": "CNOT",
            "cz": "CZ",
            "cp": "ControlledPhaseShift",
            "swap": "SWAP",
            "rxx": "IsingXX",
            "ccx": "Toffoli",
        }
        calls: list[tuple[Any, tuple[Any, ...]]] = []
        for name, qubits, parameters in gates:
            if name == "unitary":
                matrix = np.ascontiguousarray(parameters[0], self.dtype)
                calls.append((self.vector.applyMatrix, (matrix, self._wires(reversed(qubits)), False)))
            else:
                calls.append((getattr(self.vector, names[name]), (self._wires(qubits), False, list(parameters))))
        return calls

    def run(self, circuit: Any) -> float:
        def act() -> None:
            for call, arguments in circuit:
                call(*arguments)

        return seconds(act)

    def state(self) -> np.ndarray:
        amplitudes = np.zeros(2**self.qubits, self.dtype)
        self.vector.getState(amplitudes)
        return amplitudes

    def reset(self) -> None:
        self.vector.resetStateVector()

    def expectation(self, strings: list[str], factors: list[float]) -> tuple[float, float]:
        named, product = (self._of(self.ops.observables, name) for name in ("NamedObs", "TensorProdObs"))
        terms = []
        for string in strings:
            letters = [(LETTERS[letter], k) for k, letter in enumerate(string) if letter != "I"]
            terms.append(product([named(letter, self._wires([k])) for letter, k in letters]))
        real = np.float64 if self.dtype is np.complex128 else np.float32
        hamiltonian = self._of(self.ops.observables, "Hamiltonian")(np.array(factors, real), terms)
        measurements = self._of(self.ops, "Measurements")(self.vector)
        begin = time.perf_counter()
        value = measurements.expval(hamiltonian)
        return float(value), time.perf_counter() - begin

    def sample(self, shots: int) -> float:
        measurements = self._of(self.ops, "Measurements")(self.vector)
        return seconds(lambda: measurements.generate_samples(self.qubits, shots))

    def measure(self) -> float:
        measurements, wire = self._of(self.ops, "Measurements")(self.vector), self._wires([self.qubits // 2])[0]

        def act() -> None:
            measurements.probs([wire])
            self.vector.collapse(wire, False)

        return seconds(act)


class Kokkos(Lightning):
    """The same over Kokkos with OpenMP."""

    name = "Lightning-Kokkos"
    module = "lightning_kokkos_ops"

    def state(self) -> np.ndarray:
        amplitudes = np.zeros(2**self.qubits, self.dtype)
        self.vector.DeviceToHost(amplitudes)
        return amplitudes


class Aer(Engine):
    """Qiskit Aer's state-vector method, with its gate fusion."""

    name = "Aer"

    def __init__(self, qubits: int, dtype: type, threads: int) -> None:
        from qiskit_aer import AerSimulator

        precision = "double" if dtype is np.complex128 else "single"
        self.simulator = AerSimulator(method="statevector", precision=precision, max_parallel_threads=threads, fusion_enable=True)
        self.qubits = qubits
        self.empty = min(self._experiment(self._circuit([])) for _ in range(3))
        self.last: Any = None

    def _circuit(self, gates: list[Triple]) -> Any:
        from qiskit import QuantumCircuit

        circuit = QuantumCircuit(self.qubits)
        for name, qubits, parameters in gates:
            getattr(circuit, name)(*parameters, *(qubits if name != "unitary" else [list(qubits)]))
        circuit.save_amplitudes([0])
        return circuit

    def _experiment(self, circuit: Any) -> float:
        result = self.simulator.run(circuit).result()
        if not result.success:
            raise RuntimeError(result.status)
        return float(result.results[0].time_taken)

    def prepare(self, gates: list[Triple]) -> Any:
        return self._circuit(gates)

    def run(self, circuit: Any) -> float:
        self.last = circuit
        return self._experiment(circuit) - self.empty

    def state(self) -> np.ndarray:
        circuit = self.last.copy()
        circuit.save_statevector()
        return np.asarray(self.simulator.run(circuit).result().get_statevector())


class Qsim(Engine):
    """Google's qsim with up to three qubits fused; single precision only."""

    name = "qsim"
    dtypes = (np.complex64,)

    def __init__(self, qubits: int, dtype: type, threads: int) -> None:
        import qsimcirq

        options = qsimcirq.QSimOptions(max_fused_gate_size=3, cpu_threads=threads, verbosity=1)
        self.simulator = qsimcirq.QSimSimulator(options)
        self.qubits, self.amplitudes = qubits, np.zeros(0, np.complex64)

    def prepare(self, gates: list[Triple]) -> Any:
        import cirq

        wires = [cirq.LineQubit(self.qubits - 1 - k) for k in range(self.qubits)]
        make: dict[str, Callable[..., Any]] = {
            "h": lambda: cirq.H,
            "x": lambda: cirq.X,
            "rx": cirq.rx,
            "rz": cirq.rz,
            "p": lambda angle: cirq.ZPowGate(exponent=angle / np.pi),
            "cx": lambda: cirq.CX,
            "cz": lambda: cirq.CZ,
            "cp": lambda angle: cirq.CZPowGate(exponent=angle / np.pi),
            "swap": lambda: cirq.SWAP,
            "rxx": lambda angle: cirq.XXPowGate(exponent=angle / np.pi, global_shift=-0.5),
            "ccx": lambda: cirq.CCX,
            "unitary": cirq.MatrixGate,
        }
        circuit = cirq.Circuit()
        for name, qubits, parameters in gates:
            on = [wires[qubit] for qubit in (reversed(qubits) if name == "unitary" else qubits)]
            circuit.append(make[name](*parameters).on(*on))
        idle = set(wires) - circuit.all_qubits()
        circuit.append(cirq.I.on_each(*idle))
        return circuit

    def run(self, circuit: Any) -> float:
        with tempfile.TemporaryFile() as file:
            sys.stdout.flush()
            kept = os.dup(1)
            os.dup2(file.fileno(), 1)
            try:
                result = self.simulator.simulate(circuit)
            finally:
                ctypes.CDLL(None).fflush(None)
                os.dup2(kept, 1)
                os.close(kept)
            file.seek(0)
            times = re.findall(rb"simu time is ([0-9.e+-]+) seconds", file.read())
        self.amplitudes = result.final_state_vector
        return float(times[-1])

    def state(self) -> np.ndarray:
        return np.asarray(self.amplitudes)


ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Ours, Qulacs, Lightning, Kokkos, Aer, Qsim)}


def available(threads: int) -> tuple[list[str], dict[str, str]]:
    """Names of the engines that can be imported here, and why the others cannot."""
    there, missing = [], {}
    for name, engine in ENGINES.items():
        try:
            engine(4, engine.dtypes[0], threads)
            there.append(name)
        except ImportError as error:
            missing[name] = str(error)
    return there, missing
