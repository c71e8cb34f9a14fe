"""What a benchmark has found: the machine and every run, as JSON and as tables. Knows neither how it was measured nor how it is drawn."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from ... import __version__
from ...world.settings import readable_bytes
from .. import machine
from .points import Point, plural


@dataclass(frozen=True, slots=True)
class Run:
    """One register on some ranks.

    Attributes:
        point: which.
        facts: what its ranks told first: first touch in seconds, nodes, threads of each rank.
        workloads: the result of each, by name, in order.
    """

    point: Point
    facts: dict[str, Any] = field(default_factory=dict)
    workloads: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As the file has it."""
        return {"ranks": self.point.ranks, "qubits": self.point.qubits, **self.facts, "workloads": self.workloads}


def describe(library: str | None, launcher: str | None, instruction_set: str) -> dict[str, Any]:
    """The machine and the versions, as the file has them."""
    return {
        "processor": _processor(),
        **machine.describe(),
        "instruction_set": instruction_set,
        "system": platform.platform(),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "qmpi": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "mpi": library,
        "launcher": launcher,
    }


def _processor(file: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = [line.partition(":") for line in file.read_text().splitlines()]
    except OSError:
        lines = []
    names = [value.strip() for name, _, value in lines if name.strip() == "model name"]
    return names[0] if names else platform.processor() or platform.machine()


def headline(about: Mapping[str, Any]) -> str:
    """The machine and the versions in a line."""
    parts = (
        about["processor"],
        plural(about["cores"], "core"),
        readable_bytes(about["memory_allowed_bytes"]),
        about["instruction_set"],
        f"qmpi {about['qmpi']}",
        f"Python {about['python']}",
        about["mpi"] or "",
        about["date"][:10],
    )
    return ", ".join(filter(None, parts))


# --- scaling ------------------------------------------------------------------------------------------------------------------------


def series(runs: Iterable[Run], weak: bool) -> list[Run]:
    """Runs that only differ in ranks: the same register (strong) or the same share of one (weak); the largest that most ranks have.

    Returns:
        At least two runs, few ranks first; or none.
    """
    groups: dict[int, dict[int, Run]] = {}
    for run in runs:
        ranks = run.point.ranks
        if not weak:
            groups.setdefault(run.point.qubits, {})[ranks] = run
        elif ranks & (ranks - 1) == 0:
            groups.setdefault(run.point.qubits - ranks.bit_length() + 1, {})[ranks] = run
    _, chosen = max(groups.items(), key=lambda group: (len(group[1]), group[0]), default=(0, {}))
    return [chosen[ranks] for ranks in sorted(chosen)] if len(chosen) > 1 else []


def gains(found: Sequence[Run], workload: str) -> list[float]:
    """How many times as fast as the first run each is: ideally as many times as it has more ranks (strong), or 1 (weak)."""
    times = [run.workloads[workload]["median_s"] for run in found]
    return [times[0] / time for time in times]


# --- for people ---------------------------------------------------------------------------------------------------------------------


def tables(runs: Sequence[Run], kind: str, dtype: str) -> list[Table]:
    """Medians for each number of ranks, single gates of the largest register, and scaling where there is some; each with a title."""
    counts = sorted({run.point.ranks for run in runs})
    found = [_medians([run for run in runs if run.point.ranks == ranks], kind, dtype) for ranks in counts]
    if "gates" in runs[-1].workloads:
        found.append(_single_gates(runs[-1]))
    return found + [_scaling(compared, weak) for weak in (False, True) if (compared := series(runs, weak))]


def _table(title: str, first: str, headings: Iterable[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False, show_edge=False)
    table.add_column(first, justify="right")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _medians(runs: Sequence[Run], kind: str, dtype: str) -> Table:
    facts, names = runs[0].facts, list(runs[0].workloads)
    several = f", {plural(facts['nodes'], 'node')}" if facts["nodes"] > 1 else ""
    who = f"{plural(runs[0].point.ranks, 'rank')} ({kind}) × {plural(facts['threads_per_rank'], 'thread')}"
    table = _table(f"{who}, {dtype}{several}", "qubits", ["touch", *names])
    for run in runs:
        cells = [run.workloads[name]["median_s"] for name in names]
        table.add_row(str(run.point.qubits), *map(seconds, [run.facts["first_touch_s"], *cells]))
        sent = [run.workloads[name].get("sent_bytes", 0) for name in names]
        if any(sent):
            table.add_row("sent", "", *(readable_bytes(count) if count else "" for count in sent))
    return table


def _single_gates(run: Run) -> Table:
    each = run.workloads["gates"]["each_s"]
    kinds, places = (list(dict.fromkeys(name.split(", ")[k] for name in each)) for k in (0, 1))
    table = _table(f"single gates, {run.point}", "gate", places)
    for kind in kinds:
        table.add_row(kind, *(seconds(each[f"{kind}, {place}"]) for place in places))
    return table


def _scaling(found: Sequence[Run], weak: bool) -> Table:
    first = found[0]
    if weak:
        title = f"weak scaling: efficiency, {first.point}, one qubit more for every doubling"
    else:
        title = f"strong scaling: how many times as fast as on {plural(first.point.ranks, 'rank')}, {first.point.qubits} qubits"
    names = list(first.workloads)
    table = _table(title, "ranks", names)
    columns = [gains(found, name) for name in names]
    for run, *cells in zip(found, *columns, strict=True):
        table.add_row(str(run.point.ranks), *(f"{cell:.2f}" for cell in cells))
    return table


def seconds(value: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s", 1), ("ms", 1e3)):
        if value * scale >= 0.9995:
            return f"{value * scale:.{_digits(value * scale)}f} {unit}"
    return f"{value * 1e6:.{_digits(value * 1e6)}f} µs"


def _digits(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 99.95 else 0
