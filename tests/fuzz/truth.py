"""What the oracle says of a program, given the outcomes that its ranks reported.

Some outcomes nobody learns: those of `reset`, and the bits of an inverse. The oracle keeps such a measured qubit as a *hidden* one, which
nothing touches any more but the Z that depends on it; a look at the real state then tells which value it had. A state that fits no value
is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import product
from typing import Any

import numpy as np

from tests.fuzz.steps import Effect, Slot, Task
from tests.fuzz.tally import Tally
from tests.oracle import FIXED, Oracle, random_unitary

IMPOSSIBLE = 1e-9  # a probability that only rounding can produce
SAME = 1e-11  # length of what is left of two states that differ by rounding only
LOOSE = {False: 1e-9, True: 3e-4}  # tolerance of an amplitude, by single precision
ZERO = {False: 1e-11, True: 1e-5}  # P(1) up to which a qubit counts as being in |0>, with room for rounding


class Truth:
    """The oracle's state of a program."""

    def __init__(self, tally: Tally, single_precision: bool) -> None:
        self.oracle = Oracle()
        self.tally = tally
        self.tolerance, self.zero = LOOSE[single_precision], ZERO[single_precision]
        self.hidden: list[Hashable] = []
        self.known: dict[Hashable, int] = {}  # values of hidden qubits that have been found out
        self.awaited: set[Hashable] = set()  # those on which a Z will depend
        self.count = 0

    def replay(self, tasks: Sequence[Task], log: dict[tuple[int, object], Any]) -> None:
        """Raises AssertionError where a report contradicts the oracle."""
        self.awaited = {effect[1] for task in tasks for effect in task.effects if effect[0] == "fix"}
        for at, task in enumerate(tasks):
            try:
                self.take(task.effects, lambda slot, at=at: log[at, slot.name])
            except AssertionError as error:
                raise AssertionError(f"step {at}, {task.step}: {error}") from None

    def take(self, effects: Sequence[Effect], value: Callable[[Slot], Any]) -> None:
        for name, *arguments in effects:
            getattr(self, name)(*(value(argument) if isinstance(argument, Slot) else argument for argument in arguments))

    # --- what happens ----------------------------------------------------------------------------------------------------------------

    def alloc(self, label: int) -> None:
        self.oracle.add(label)

    def free(self, label: int) -> None:
        one = self.oracle.weight(label, 1)
        assert min(one, 1 - one) < self.tolerance, f"qubit {label} was freed with P(1) = {one}"
        self.drop(label, round(one))

    def drop(self, label: Hashable, value: int) -> None:
        self.oracle.reset(label, value)
        self.oracle.remove(label)

    def gate(self, name: str, labels: tuple[int, ...], angle: float, seed: int) -> None:
        if name == "unitary":
            self.oracle.apply(random_unitary(np.random.default_rng(seed), len(labels)), labels)
        elif name == "mcx":
            side = 2 ** len(labels)
            matrix = np.eye(side)
            matrix[[side // 2 - 1, side - 1]] = matrix[[side - 1, side // 2 - 1]]  # all controls 1, whatever the target
            self.oracle.apply(matrix, labels)
        elif name.isupper():
            matrix = np.ones((1, 1))
            for letter in name:
                matrix = np.kron(FIXED["id" if letter == "I" else letter.lower()], matrix)
            self.oracle.apply(np.cos(angle / 2) * np.eye(len(matrix)) - 1j * np.sin(angle / 2) * matrix, labels)
        else:
            self.oracle.gate(name, *labels, angles=(angle,) if angle else ())

    def first(self, effects: Sequence[Effect], kept: int) -> None:
        """Only so many of them happened."""
        self.take(effects[:kept], lambda slot: slot)

    def measure(self, label: int, outcome: int) -> None:
        one = self.oracle.weight(label, 1)
        probability = one if outcome else 1 - one
        assert probability > IMPOSSIBLE, f"qubit {label} was measured as {outcome}, whose probability is {probability}"
        self.tally.enter(one, outcome)
        self.oracle.measure(label, outcome)

    def hide(self, label: int) -> None:
        """A reset: its outcome stays unknown."""
        self.count += 1
        self.conceal(label, ("reset", self.count))

    def bits(self, label: int, bit: Hashable) -> None:
        """The holder of a copy applies H and measures."""
        self.oracle.gate("h", label)
        self.conceal(label, bit)

    def conceal(self, label: int, name: Hashable) -> None:
        self.oracle.rename(label, name)
        self.oracle.add(label)
        self.hidden.append(name)
        self.settle(name)

    def fix(self, bit: Hashable, original: int) -> None:
        """Z where the bit is 1."""
        self.awaited.discard(bit)
        if bit in self.hidden:
            self.oracle.gate("cz", bit, original)
            self.settle(bit)
        elif self.known[bit]:
            self.oracle.gate("z", original)

    def settle(self, name: Hashable) -> None:
        """Forgets a hidden qubit on which nothing depends."""
        if name in self.awaited:
            return
        less, more = sorted((self.oracle.tensor[self.oracle.where(name, value)] for value in (0, 1)), key=np.linalg.norm)
        rest = less - more * (np.vdot(more, less) / np.vdot(more, more))
        if np.linalg.norm(rest) < SAME:  # the same state, whatever its value
            self.reveal(name, int(self.oracle.weight(name, 1) > 0.5))

    def reveal(self, name: Hashable, value: int) -> None:
        self.hidden.remove(name)
        self.known[name] = value
        self.drop(name, value)

    def fan_out(self, original: int, copy: Hashable) -> None:
        self.oracle.add(copy)
        self.oracle.gate("cx", original, copy)

    def fly(self, source: int, state: Hashable) -> None:
        """The state leaves its place, which stays behind in |0>."""
        self.oracle.rename(source, state)
        self.oracle.add(source)

    def land(self, state: Hashable, label: int) -> None:
        """It comes into a place that is in |0>, or into a new one."""
        if label in self.oracle.labels:
            self.oracle.remove(label)
        self.oracle.rename(state, label)

    def pair(self, a: int, b: int) -> None:
        self.oracle.epr(a, b)

    # --- what is seen ----------------------------------------------------------------------------------------------------------------

    def state(self, labels: list[int], seen: np.ndarray) -> None:
        def distance(oracle: Oracle) -> float:
            expected = oracle.vector(labels)
            return float(np.abs(seen * np.exp(-1j * np.angle(np.vdot(expected, seen))) - expected).max())

        self.compare(distance, "the state of all qubits")

    def density(self, labels: list[int], seen: np.ndarray) -> None:
        self.compare(lambda oracle: float(np.abs(oracle.density(labels) - seen).max()), f"the state of qubits {labels}")

    def look(self, kind: str, labels: tuple[int, ...], seen: float) -> None:
        if kind == "target":  # told only whether it was accepted as |0>
            self.compare(lambda oracle: float((oracle.weight(labels[0], 1) > self.zero) != seen), f"whether qubit {labels[0]} is in |0>")
        elif kind == "probability":
            self.compare(lambda oracle: abs(oracle.weight(labels[0], 1) - seen), f"P(1) of qubit {labels[0]}")
        else:
            self.compare(lambda oracle: abs(self.expectation(oracle, kind, labels) - seen), f"<{kind}> of qubits {labels}")

    @staticmethod
    def expectation(oracle: Oracle, paulis: str, labels: tuple[int, ...]) -> float:
        twin = oracle.copy()
        for letter, label in zip(paulis, labels, strict=True):
            if letter != "I":
                twin.gate(letter.lower(), label)
        return float(np.vdot(oracle.tensor, twin.tensor).real)

    def compare(self, distance: Callable[[Oracle], float], what: str) -> None:
        """What was seen is what the oracle says for some values of the hidden qubits; if for one only, these are their values."""
        nearest, fitting = np.inf, []
        for values in product((0, 1), repeat=len(self.hidden)):
            oracle = self.given(values)
            if oracle is None:
                continue
            far = distance(oracle)
            nearest = min(nearest, far)
            if far < self.tolerance:
                fitting.append(values)
        assert fitting, f"{what} differs from the oracle by {nearest:.3g}"
        if len(fitting) == 1:
            for name, value in zip(list(self.hidden), fitting[0], strict=True):
                self.tally.enter(self.oracle.weight(name, 1), value)
                self.reveal(name, value)
        else:
            self.exclude(fitting)

    def exclude(self, fitting: list[tuple[int, ...]]) -> None:
        """The hidden qubits have none but these values."""
        tensor = np.zeros_like(self.oracle.tensor)
        for values in fitting:
            tensor[self.where(values)] = self.oracle.tensor[self.where(values)]
        self.oracle.tensor = tensor / np.linalg.norm(tensor)
        for name in list(self.hidden):
            self.settle(name)

    def where(self, values: tuple[int, ...]) -> tuple[int | slice, ...]:
        """The part of the tensor in which the hidden qubits have these values."""
        of = dict(zip(self.hidden, values, strict=True))
        return tuple(of.get(label, slice(None)) for label in self.oracle.labels)

    def given(self, values: tuple[int, ...]) -> Oracle | None:
        """The state of the others when the hidden qubits have these values; None if they cannot."""
        oracle = Oracle()
        oracle.labels = [label for label in self.oracle.labels if label not in self.hidden]
        part = self.oracle.tensor[self.where(values)]
        weight = float(np.vdot(part, part).real)
        oracle.tensor = part / np.sqrt(max(weight, IMPOSSIBLE))
        return oracle if weight > IMPOSSIBLE else None
