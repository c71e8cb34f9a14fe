"""The settings of a universe, read from the environment. Rank 0's count; the others must not contradict them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidArgument

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
        timeout_s: QMPI_TIMEOUT_S, bound of a single wait in seconds; None waits for ever.
    """

    seed: str
    faithful: bool
    single_precision: bool
    memory: int
    strict: bool
    timeout_s: float | None

    def shared(self) -> list[str]:
        """What all ranks must agree on, by the variables' names. (How long a rank waits is its own affair.)"""
        return [
            f"QMPI_SEED={self.seed or '(fresh)'}",
            f"QMPI_MODE={'faithful' if self.faithful else 'fast'}",
            f"QMPI_DTYPE={'complex64' if self.single_precision else 'complex128'}",
            f"QMPI_MEMORY={self.memory}",
            f"QMPI_STRICT={int(self.strict)}",
        ]

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads QMPI_SEED, QMPI_MODE, QMPI_DTYPE, QMPI_MEMORY, QMPI_STRICT and QMPI_TIMEOUT_S.

        Raises:
            InvalidArgument: a value is not one of those allowed; the message names them.
        """
        timeout = environment.get("QMPI_TIMEOUT_S", "")
        return Settings(
            seed=environment.get("QMPI_SEED", ""),
            faithful=_one_of(environment, "QMPI_MODE", "fast", "faithful") == "faithful",
            single_precision=_one_of(environment, "QMPI_DTYPE", "complex128", "complex64") == "complex64",
            memory=_bytes(environment.get("QMPI_MEMORY", "80%")),
            strict=_one_of(environment, "QMPI_STRICT", "0", "1") == "1",
            timeout_s=_positive(timeout) if timeout else None,
        )


def contradictions(mine: list[str], first: list[str]) -> str:
    """What differs between two ranks' settings, as `Settings.shared` lists them; empty if nothing does."""
    differing = [(ours, theirs) for ours, theirs in zip(mine, first, strict=False) if ours != theirs]
    return "; ".join(f"runs with {ours}, but rank 0 runs with {theirs}" for ours, theirs in differing)


def machine_memory() -> int:
    """Bytes that this process's machine, container or cgroup has."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            available = min(available, int(text))
    return available


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
