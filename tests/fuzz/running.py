"""Runs programs one after the other on all ranks of a world, each compared with the oracle before the next begins."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import qmpi
from qmpi import testing
from qmpi._core import Arena, Session
from tests.fuzz.actor import Actor
from tests.fuzz.programs import complete, draw
from tests.fuzz.steps import Step, Task
from tests.fuzz.tally import Tally
from tests.fuzz.truth import Truth

PER_UNIVERSE = 50  # programs
TIMEOUT_S = 60.0  # of a single wait: a bound against hanging, never reached
LEAK_MB, LEAK_BYTES_PER_CALL = 160, 100  # by which the process may grow: heaps of many threads and the oracle's arrays
LEAK_FILES = 4  # likewise, open ones
GROWTH_KB = 2048  # of a universe's shared memory after its first programs, which need some hundred

Make = Callable[[], list[Step]]


@dataclass(frozen=True, slots=True)
class Settings:
    """Those of a universe; `tight`: with 1 MiB of memory."""

    mode: str
    dtype: str
    tight: bool
    seed: int

    def environment(self) -> dict[str, str]:
        variables = {"MODE": self.mode, "DTYPE": self.dtype, "SEED": str(self.seed), "STRICT": "1", "TIMEOUT_S": str(TIMEOUT_S)}
        if self.tight:
            variables["MEMORY"] = "1M"
        return {f"QMPI_{name}": value for name, value in variables.items()}


def settings_of(seed: int, number: int) -> Settings:
    """Those under which a program runs; modes, and memory that is scarce, take turns."""
    universe = number // PER_UNIVERSE
    rng = np.random.default_rng([seed, 2, universe])
    dtype = "complex64" if rng.random() < 0.25 else "complex128"
    return Settings(("fast", "faithful")[universe % 2], dtype, universe % 3 != 2, int(rng.integers(2**60)))


def program_of(seed: int, number: int, ranks: int, tight: bool) -> list[Step]:
    return draw(np.random.default_rng([seed, 1, number]), ranks, tight)


@dataclass(slots=True)
class Progress:
    """What has been done. Rank 0's counts, where ranks are processes.

    Attributes:
        programs, calls: how many; a call is one of a public function of qmpi by a rank.
        steps: how many of each kind.
        too_large: how often a state did not fit into memory.
        tally: what was measured.
        number, current: the program that is being run, or that failed.
    """

    programs: int = 0
    calls: int = 0
    too_large: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    number: int = 0
    current: list[Step] = field(default_factory=list)

    def enter(self, tasks: Sequence[Task], reports: Sequence[tuple[object, int, int]]) -> None:
        """One more program, by what each rank reports of it."""
        self.programs += 1
        self.calls += sum(calls for _, calls, _ in reports)
        self.too_large += sum(too_large for _, _, too_large in reports)
        self.steps.update(type(task.step).__name__ for task in tasks)


def play(programs: Sequence[tuple[int, Make]], single_precision: bool, progress: Progress, shared: dict[int, qmpi.Register] | None) -> None:
    """Every rank of the world calls it.

    Args:
        programs: their numbers, and how they are made; rank 0 makes them.
        single_precision: whether amplitudes are complex64.
        progress: rank 0's counts.
        shared: one dictionary for all ranks that are threads, None where they are processes.
    """
    world = qmpi.COMM_WORLD
    stranger = qmpi.Register(Session(Arena.create(1, 1, False, False, 1 << 20), 0).alloc(1))
    world.barrier()
    touched = [0]
    for number, make in programs:
        tasks: list[Task] = []
        if world.rank == 0:
            progress.number, progress.current = number, make()
            tasks = complete(progress.current, world.size, number)
        tasks = world.mpi.bcast(tasks)
        actor = Actor(world.dup(), stranger, shared)
        actor.perform(tasks, np.random.default_rng([number, world.rank]))
        world.mpi.Barrier()
        actor.leave()
        reports = world.mpi.gather((actor.log, actor.calls, actor.too_large))
        if world.rank == 0:
            log = {key: value for report in reports for key, value in report[0].items()}
            Truth(progress.tally, single_precision).replay(tasks, log)
            progress.enter(tasks, reports)
            touched.append(shared_kilobytes())
        report = world.store_report()
        left = report.qubits, report.components, report.entangled_qubits, report.bytes
        assert left == (0, 0, 0, 0), f"(qubits, components, entangled qubits, bytes) that are left: {left}"
        world.mpi.Barrier()
        listed = testing.postings(world)
        assert listed == 0, f"{listed} messages or receives are left in mailboxes"
        world.mpi.Barrier()
    depart(world, len(programs))
    growth = touched[-1] - touched[len(touched) // 2]
    assert growth < GROWTH_KB, f"the second half of {len(programs)} programs took {growth} KiB of shared memory and did not give it back"


def depart(world: qmpi.Comm, number: int) -> None:
    """One rank leaves; who waits for it is told."""
    leaver = 1 + number % max(1, world.size - 1)
    world.mpi.Barrier()
    if world.rank == leaver or world.size == 1:
        return
    try:
        world.recv(source=leaver)
    except qmpi.errors.PeerLeft:
        return
    raise AssertionError(f"rank {leaver} has left without a word to rank {world.rank}, which waits for it")


def shared_kilobytes() -> int:
    """Pages of the arena that this process has touched."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssShmem"))
    return int(line.split()[1])


def run_as_threads(
    programs: Sequence[tuple[int, Make]], ranks: int, settings: Settings, progress: Progress, timeout_s: float = TIMEOUT_S
) -> None:
    """In a universe of threads of this process."""
    qmpi.run(
        play,
        ranks,
        programs,
        settings.dtype == "complex64",
        progress,
        {},
        seed=settings.seed,
        mode=settings.mode,
        dtype=settings.dtype,
        memory="1M" if settings.tight else None,
        strict=True,
        timeout_s=timeout_s,
    )


@dataclass(slots=True)
class Ticker:
    """A line every two seconds, where somebody watches."""

    begin: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now > self.last + 2 and sys.stderr.isatty():
            self.last = now
            print(
                f"{progress.calls} calls in {progress.programs} programs, {progress.calls / (now - self.begin):.0f} per second",
                file=sys.stderr,
            )


@dataclass(slots=True)
class Growth:
    """Whether the process grows from universe to universe: what it holds after the first and after the last."""

    first: tuple[int, float, int] | None = None
    last: tuple[int, float, int] = (0, 0.0, 0)

    def look(self, calls: int) -> None:
        gc.collect()
        megabytes = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
        self.last = calls, megabytes, len(os.listdir("/proc/self/fd"))
        self.first = self.first or self.last

    def check(self) -> None:
        if self.first is None:
            return
        calls, megabytes, files = (now - before for now, before in zip(self.last, self.first, strict=True))
        allowed = LEAK_MB + LEAK_BYTES_PER_CALL * calls / 2**20
        assert megabytes < allowed and files <= LEAK_FILES, (
            f"in {calls:.0f} calls the process grew by {megabytes:.0f} MiB and {files} open files"
        )
