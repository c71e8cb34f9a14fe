"""A program on all ranks and, beside it, the same program in the oracle.

Every rank runs the same lines. `lab.gate("h", "a")` acts on the qubit called "a" on the rank that owns it, and on the oracle's on every
rank; `lab.check()` compares the amplitudes of everything. Messages are sent by the tests themselves; `lab.bring` enters what arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import qmpi
from qmpi import testing
from tests.oracle import Oracle, fidelity, random_unitary


class Lab:
    """Named qubits on the ranks of a communicator, and their oracle.

    Attributes:
        comm: the communicator.
        oracle: what the state must be.
        owner: rank of each name.
        handle: the qubits of this rank, by name.
    """

    def __init__(self, comm: qmpi.Comm, rng: np.random.Generator) -> None:
        self.comm = comm
        self.rng = rng
        self.oracle = Oracle()
        self.owner: dict[str, int] = {}
        self.handle: dict[str, qmpi.Qubit] = {}

    @property
    def tolerance(self) -> float:
        """Of an amplitude."""
        return 2e-5 if testing.settings(self.comm).single_precision else 1e-12

    # --- qubits ----------------------------------------------------------------------------------------------------------------------

    def alloc(self, rank: int, *names: str) -> None:
        """New qubits in |0⟩ on a rank."""
        for name in names:
            self.oracle.add(name)
        self.bring(rank, names, self.comm.alloc(len(names)) if self.comm.rank == rank else None)

    def bring(self, rank: int, names: Sequence[str], register: qmpi.Register | None) -> None:
        """Enters qubits that are there already; the oracle must know the names."""
        for k, name in enumerate(names):
            self.owner[name] = rank
            if self.comm.rank == rank:
                assert register is not None
                self.handle[name] = register[k]

    def bring_copy(self, originals: Sequence[str], copies: Sequence[str], rank: int, register: qmpi.Register | None) -> None:
        """Enters a copy that `rank` has received, in the oracle too."""
        for original, copy in zip(originals, copies, strict=True):
            self.oracle.fan_out(original, copy, 0)
        self.bring(rank, copies, register)

    def bring_moved(self, sources: Sequence[str], targets: Sequence[str], rank: int, register: qmpi.Register | None) -> None:
        """Enters a state that `rank` has received, in the oracle too; the sources are left in |0⟩."""
        for source, target in zip(sources, targets, strict=True):
            self.oracle.teleport(source, target, 0, 0)
        self.bring(rank, targets, register)

    def back_to(self, before: Oracle, *gone: str) -> None:
        """What has been done since was undone: these qubits are in |0⟩ again, and are freed. Collective."""
        for name in gone:
            if self.owner.pop(name) == self.comm.rank:
                self.comm.free(self.handle.pop(name))
        self.oracle = before
        self.check()

    def register(self, *names: str) -> qmpi.Register:
        """This rank's qubits of these names, which it must own."""
        return qmpi.Register([self.handle[name] for name in names])

    def forget(self, *names: str) -> None:
        """Frees qubits that are in |0⟩."""
        rank = self.owner[names[0]]
        if self.comm.rank == rank:
            self.comm.free(self.register(*names))
        for name in names:
            assert self.owner.pop(name) == rank
            self.handle.pop(name, None)
            self.oracle.remove(name)

    def give_up(self) -> None:
        """Measures away and frees everything: for tests that end in a state of no interest. Collective."""
        self.comm.mpi.Barrier()
        mine = qmpi.Register(list(self.handle.values()))
        qmpi.reset(mine)
        self.comm.free(mine)
        self.handle.clear()
        self.owner.clear()
        self.comm.mpi.Barrier()

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def gate(self, name: str, *names: str, angles: Sequence[float] = ()) -> None:
        """A gate on qubits of one rank."""
        (rank,) = {self.owner[label] for label in names}
        if self.comm.rank == rank:
            getattr(qmpi.gates, name)(*angles, *(self.handle[label] for label in names))
        self.oracle.gate(name, *names, angles=angles)

    def scramble(self, *names: str) -> None:
        """A random unitary on qubits of one rank."""
        (rank,) = {self.owner[label] for label in names}
        matrix = random_unitary(self.rng, len(names))
        if self.comm.rank == rank:
            qmpi.gates.unitary(matrix, self.register(*names))
        self.oracle.apply(matrix, names)

    def entangle(self, a: str, b: str) -> None:
        """An EPR pair between two ranks (or within one), from qubits in |0⟩."""
        here = self.comm.rank
        if self.owner[a] == self.owner[b]:
            if here == self.owner[a]:
                qmpi.gates.h(self.handle[a])
                qmpi.gates.cx(self.handle[a], self.handle[b])
        elif here == self.owner[a]:
            self.comm.prepare_epr(self.handle[a], self.owner[b])
        elif here == self.owner[b]:
            self.comm.prepare_epr(self.handle[b], self.owner[a])
        self.oracle.epr(a, b)

    def payload(self, rank: int, names: Sequence[str], spectator_rank: int) -> None:
        """Qubits on `rank` in a random state, entangled with `spectator` qubits on another rank: whatever is done to them shows.

        Each payload qubit shares a pair with a spectator of its own, so that the joint state has full Schmidt rank; random
        unitaries on both sides leave no symmetry.
        """
        spectators = [f"{name}, far" for name in names]
        self.alloc(rank, *names)
        self.alloc(spectator_rank, *spectators)
        for name, spectator in zip(names, spectators, strict=True):
            self.entangle(name, spectator)
        tilt = float(self.rng.uniform(0.4, 1.2))
        for name in names:
            self.gate("ry", name, angles=(tilt,))
        # A non-maximal Schmidt spectrum: with maximally entangled pairs, errors on one side could hide as ones on the other.
        self.alloc(rank, "tilt")
        self.scramble("tilt", *names)
        bit = self.measure("tilt")
        if bit:
            self.gate("x", "tilt")
        self.forget("tilt")
        self.scramble(*names)
        self.scramble(*spectators)

    def measure(self, name: str) -> int:
        """Measures a qubit; its rank tells all others the outcome."""
        rank = self.owner[name]
        bit = self.comm.mpi.bcast(qmpi.measure(self.handle[name]) if self.comm.rank == rank else None, root=rank)
        self.oracle.measure(name, bit)
        return int(bit)

    # --- what must hold --------------------------------------------------------------------------------------------------------------

    def order(self) -> list[str]:
        """All names, in the order of `statevector`."""
        return [name for rank in range(self.comm.size) for name, owner in self.owner.items() if owner == rank]

    def amplitudes(self) -> np.ndarray:
        """The joint state of everything. Collective."""
        mine = [name for name, owner in self.owner.items() if owner == self.comm.rank]
        return self.comm.statevector(self.register(*mine))

    def check(self, global_phase: bool = False) -> None:
        """Everything is in the oracle's state, amplitude by amplitude; on request its (unphysical) global phase too. Collective."""
        here, there = self.amplitudes(), self.oracle.vector(self.order())
        if not global_phase:
            assert fidelity(here, there) > 1 - self.tolerance, f"the fidelity is {fidelity(here, there)}"
            here = here * np.exp(-1j * np.angle(np.vdot(there, here)))
        difference = float(np.abs(here - there).max())
        assert difference < self.tolerance, f"an amplitude differs by {difference:.3g}"

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Neither the state nor any ledger changes in the block. Collective."""
        before, spent = self.amplitudes(), self.comm.ledger.total()
        self.comm.mpi.Barrier()
        yield
        self.comm.mpi.Barrier()
        assert np.abs(self.amplitudes() - before).max() < self.tolerance
        after = self.comm.ledger.total()
        assert (after.epr_pairs, after.classical_bits, after.measurements) == (
            spent.epr_pairs,
            spent.classical_bits,
            spent.measurements,
        )

    def on(self, rank: int, call: Callable[[], Any]) -> Any:
        """Calls it on one rank only."""
        return call() if self.comm.rank == rank else None
