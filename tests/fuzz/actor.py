"""One rank of a program: its handles, communicators and requests, and what it reports for the oracle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import qmpi
from qmpi import testing
from tests.fuzz.model import NULL

if TYPE_CHECKING:
    from tests.fuzz.messages import Completion
    from tests.fuzz.steps import Task


class Actor:
    """A rank, while it acts.

    Attributes:
        rank: its number in the world.
        comms, members: its communicators by their numbers in the program, and whose they are.
        handles, requests, operations: what the program's numbers stand for here.
        log: what was reported, by (step, name).
        calls: how many public calls of qmpi it has made.
        spares: two qubits in |0> of its own, no part of the program.
        freed: a handle that has been freed.
        stranger: a qubit of a session that is no rank's; `neighbour`: one of another rank, where ranks are threads.
        too_large: how often a state did not fit.
    """

    def __init__(self, comm: qmpi.Comm, stranger: qmpi.Register, qubits: dict[int, qmpi.Register] | None) -> None:
        """`qubits`, where ranks are threads, is shared by all of them."""
        self.rank = comm.rank
        self.comms = {0: comm}
        self.members = {0: tuple(range(comm.size))}
        self.handles: dict[int, qmpi.Qubit] = {}
        self.requests: dict[int, tuple[Any, qmpi.Status | None]] = {}
        self.operations: dict[tuple[int, str], Any] = {}
        self.log: dict[tuple[int, object], Any] = {}
        self.calls = self.too_large = self.at = 0
        self.restore: Callable[[], None] | None = None
        gone = comm.alloc(1)
        self.freed = gone[0]
        comm.free(gone)
        self.spares = comm.alloc(2)
        self.spare, self.other_spare = self.spares
        self.stranger = stranger
        if qubits is not None:
            qubits[self.rank] = self.spares
        comm.barrier()
        self.neighbour = None if qubits is None or comm.size == 1 else qubits[(self.rank + 1) % comm.size][:1]
        self.before = self.bill_of(comm.ledger.total())

    @staticmethod
    def bill_of(total: Any) -> tuple[int, int, int, int]:
        return total.epr_pairs, total.classical_bits, total.measurements, total.gates

    def forget(self, labels: Sequence[int]) -> None:
        """They have been freed."""
        for label in labels:
            assert self.handles.pop(label).freed, f"qubit {label} is still there"

    def perform(self, tasks: Sequence[Task], rng: np.random.Generator) -> None:
        """This rank's part; `rng` shakes the timing."""
        for self.at, task in enumerate(tasks):
            if self.rank not in task.ranks:
                continue
            if rng.random() < 0.15:
                time.sleep(rng.choice((0, 0, 3e-4)) * rng.random())
            task.step.act(self, task.expect)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        return function(*arguments, **named)

    def poll(self, request: Any) -> Any:
        """wait(), after test() has become true; counts as one call."""
        self.calls += 1
        while not request.test():
            time.sleep(0)
        return request.wait()

    def report(self, name: object, value: Any) -> None:
        self.log[self.at, name] = value

    # --- names -----------------------------------------------------------------------------------------------------------------------

    def register(self, labels: Sequence[int]) -> qmpi.Register:
        return qmpi.Register([self.handles[label] for label in labels])

    def operand(self, labels: Sequence[int]) -> qmpi.Register | qmpi.Qubit:
        """A Register; now and then a Qubit where there is one."""
        register = self.register(labels)
        return register[0] if len(labels) == 1 and labels[0] % 2 else register

    def bind(self, labels: Sequence[int], register: qmpi.Register) -> None:
        assert len(labels) == len(register), f"{len(register)} qubits came, not {len(labels)}"
        for label, qubit in zip(labels, register, strict=True):
            assert self.handles.setdefault(label, qubit) == qubit, f"qubit {label} came in another handle than its target"

    def there(self, comm: int, rank: int) -> Any:
        """A rank of the world in a communicator."""
        return qmpi.PROC_NULL if rank == NULL else self.members[comm].index(rank)

    # --- how calls end ---------------------------------------------------------------------------------------------------------------

    def refuse(self, error: str, call: Callable[[], Any]) -> str:
        """The call raises exactly this error; returns its text."""
        try:
            result = call()
        except Exception as raised:
            if type(raised).__name__ != error:
                raise
            assert error == "TypeError" or f"[rank {self.rank}, " in str(raised) or error == "SecondThread", f"who was it? {raised}"
            return str(raised)
        raise AssertionError(f"{error} was not raised; the call returned {result!r}")

    def complete(self, expect: Completion, call: Callable[[], Any], status: qmpi.Status | None) -> None:
        """A request or a blocking call ends as it must."""
        if expect.error:
            self.refuse(expect.error, call)
            return
        result = call()
        if expect.arrived is not None:
            assert status is not None
            self.bind(expect.arrived, result)
            where = qmpi.PROC_NULL if expect.source == NULL else self.there(expect.comm, expect.source)
            came = status.source, status.tag, status.count
            wanted = where, qmpi.ANY_TAG if expect.source == NULL else expect.tag, 0 if expect.source == NULL else len(expect.arrived)
            assert came == wanted, f"the status shows {came}, not {wanted}"
        if expect.message is not None:
            self.operations[expect.message, expect.side] = result

    def leave(self) -> None:
        """Gives back what the program did not know of; nothing may be left."""
        assert not self.requests and not self.handles, f"requests {list(self.requests)} and qubits {list(self.handles)} are left"
        self.comms[0].free(self.spares)
        held = testing.qubits_held(self.comms[0])
        assert held == 0, f"rank {self.rank} still holds {held} qubits"
        assert testing.pending_gates(self.comms[0]) == 0
        for comm in self.comms.values():
            assert testing.outstanding(comm) == []
            comm.close()
