"""The settings of a universe, read from the environment. Rank 0's count; the others must not contradict them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidArgument
from ..randomness import choose_seed
from .order import Order

MOST_THREADS = 1024
MOST_HALVES = 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force.

    Attributes:
        seed: text of QMPI_SEED; empty draws a fresh one.
        faithful: QMPI_MODE; True simulates every EPR pair, measurement and fix-up, False takes the shortcuts that give the same.
        single_precision: QMPI_DTYPE; complex64 instead of complex128 amplitudes.
        memory: QMPI_MEMORY, bytes that entangled states may take on this node.
        strict: QMPI_STRICT; outstanding copies at `close` are an error.
        epr_buffer: QMPI_EPR_BUFFER, S: EPR halves that each rank can hold besides its qubits.
        refuses_when_full: QMPI_EPR_FULL; a persistent request whose pairs find no room is refused, instead of making them when it starts.
        timeout_s: QMPI_TIMEOUT_S, bound of a single wait in seconds; None waits for ever.
        order: QMPI_ORDER, recording or replaying the order of measurements.
    """

    seed: str
    faithful: bool
    single_precision: bool
    memory: int
    strict: bool
    epr_buffer: int
    refuses_when_full: bool
    timeout_s: float | None
    order: Order

    @property
    def mode(self) -> str:
        """`faithful` or `fast`."""
        return "faithful" if self.faithful else "fast"

    def shared(self) -> list[str]:
        """What all ranks must agree on, by the variables' names. (How long a rank waits is its own affair.)"""
        return [
            f"QMPI_SEED={self.seed or '(fresh)'}",
            f"QMPI_MODE={self.mode}",
            f"QMPI_DTYPE={'complex64' if self.single_precision else 'complex128'}",
            f"QMPI_MEMORY={self.memory}",
            f"QMPI_STRICT={int(self.strict)}",
            f"QMPI_EPR_BUFFER={self.epr_buffer}",
            f"QMPI_EPR_FULL={'refuse' if self.refuses_when_full else 'wait'}",
            f"QMPI_ORDER={self.order}",
        ]

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads QMPI_SEED, QMPI_MODE, QMPI_DTYPE, QMPI_MEMORY, QMPI_STRICT, QMPI_EPR_BUFFER, QMPI_EPR_FULL, QMPI_TIMEOUT_S and QMPI_ORDER;
        checks QMPI_LOG.

        A replay takes seed and mode from the recording.

        Raises:
            InvalidArgument: a value is not one of those allowed; the message names them.
        """
        timeout = environment.get("QMPI_TIMEOUT_S", "")
        log = environment.get("QMPI_LOG", "")
        if log not in ("", "debug"):  # telemetry/log.py, which only looks for `debug`
            raise InvalidArgument(f"QMPI_LOG must be debug or empty, not {log!r}")
        order = Order.parse(environment.get("QMPI_ORDER", ""))
        if order.recording is not None:
            environment = _as_recorded(environment, {"QMPI_SEED": str(order.recording.seed), "QMPI_MODE": order.recording.mode})
        seed = environment.get("QMPI_SEED", "")
        choose_seed(seed)
        return Settings(
            seed=seed,
            faithful=_one_of(environment, "QMPI_MODE", "fast", "faithful") == "faithful",
            single_precision=_one_of(environment, "QMPI_DTYPE", "complex128", "complex64") == "complex64",
            memory=_bytes(environment.get("QMPI_MEMORY", "80%")),
            strict=_one_of(environment, "QMPI_STRICT", "0", "1") == "1",
            epr_buffer=_whole(environment, "QMPI_EPR_BUFFER", 64, MOST_HALVES),
            refuses_when_full=_one_of(environment, "QMPI_EPR_FULL", "wait", "refuse") == "refuse",
            timeout_s=_positive(timeout) if timeout else None,
            order=order,
        )


def threads_per_rank(ranks: int, environment: Mapping[str, str] = os.environ) -> int:
    """How many threads each of a machine's ranks has for large states: QMPI_NUM_THREADS, by default its share of the cores it may use.

    Raises:
        InvalidArgument: not a positive whole number.
    """
    return _whole(environment, "QMPI_NUM_THREADS", max(1, len(os.sched_getaffinity(0)) // ranks), MOST_THREADS)


def contradictions(mine: list[str], first: list[str]) -> str:
    """What differs between two ranks' settings, as `Settings.shared` lists them; empty if nothing does."""
    differing = [(ours, theirs) for ours, theirs in zip(mine, first, strict=False) if ours != theirs]
    return "; ".join(f"runs with {ours}, but rank 0 runs with {theirs}" for ours, theirs in differing)


def machine_memory() -> int:
    """Bytes that this process's machine, container or cgroup has."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _cgroup_limits():
        try:
            text = limit.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            available = min(available, int(text))
    return available


def _cgroup_limits(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[Path]:
    """Files that may bound this process's memory: those of its control group and of all groups that this one lies in."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):  # version 2, version 1
            top, name = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
            group = top / path.lstrip("/")
            yield from (folder / name for folder in (group, *group.parents) if folder.is_relative_to(top))


def _as_recorded(environment: Mapping[str, str], recorded: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in recorded.items():
        if environment.get(name) not in (None, "", value):
            raise InvalidArgument(f"{name} is {environment[name]}, but the run to be replayed had {value}: leave it unset")
    return {**environment, **recorded}


def _whole(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise InvalidArgument(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def _one_of(environment: Mapping[str, str], name: str, default: str, other: str) -> str:
    value = environment.get(name) or default
    if value not in (default, other):
        raise InvalidArgument(f"{name} must be {default} or {other}, not {value!r}")
    return value


def _bytes(text: str) -> int:
    """`80%` of the machine, or a number of bytes with K, M, G or T."""
    try:
        if text.endswith("%"):
            size = machine_memory() * float(text[:-1]) / 100
        else:
            unit = text.strip().upper().removesuffix("IB").removesuffix("B")
            digits = unit.rstrip("KMGT")
            size = float(digits) * _UNITS[unit[len(digits) :]]
        if size < 2**20:
            raise ValueError
        return int(size)
    except (ValueError, KeyError):
        raise InvalidArgument(f"QMPI_MEMORY must be a size of at least 1M such as 512M, 16G or 80%, not {text!r}") from None


def _positive(text: str) -> float:
    try:
        value = float(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value
    except ValueError:
        raise InvalidArgument(f"QMPI_TIMEOUT_S must be a positive number of seconds, not {text!r}") from None


def readable_bytes(count: float) -> str:
    """As `15.6 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
