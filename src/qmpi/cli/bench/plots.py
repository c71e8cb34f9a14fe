"""Plots of a benchmark, as PNG files. The only module that knows matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .points import plural
from .report import Run, gains, series

_RESOLUTION = 150  # dots per inch
_COLUMNS = 3  # panels side by side
_LETTERS = 13  # of the title, per inch


def matplotlib() -> Any:
    """The library.

    Raises:
        ModuleNotFoundError: it is not installed; the text says how to get it.
    """
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError as error:
        raise ModuleNotFoundError(f"plots need matplotlib ({error}): pip install 'qmpi[plot]'") from None
    return matplotlib


def draw(runs: Sequence[Run], title: str, folder: Path) -> list[Path]:
    """Draws time against qubits, and strong and weak scaling where runs differ in ranks.

    Args:
        runs: with the same workloads.
        title: stands above each plot.
        folder: where `time.png`, `strong.png` and `weak.png` go.

    Returns:
        The files that were written.
    """
    figures = {"time.png": _times(runs)}
    for name, weak in (("strong.png", False), ("weak.png", True)):
        if found := series(runs, weak):
            figures[name] = _scaling(found, weak)
    for name, figure in figures.items():
        figure.suptitle(textwrap.fill(title, int(_LETTERS * figure.get_figwidth())), fontsize="small")
        figure.savefig(folder / name, dpi=_RESOLUTION)
    return [folder / name for name in figures]


def _times(runs: Sequence[Run]) -> Any:
    """A panel per workload, a line per number of ranks."""
    names = list(runs[0].workloads)
    rows, columns = -(-len(names) // _COLUMNS), min(_COLUMNS, len(names))
    figure = matplotlib().figure.Figure(figsize=(1 + 3 * columns, 1 + 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, name in zip(panels, names, strict=False):
        for ranks in sorted({run.point.ranks for run in runs}):
            mine = [run for run in runs if run.point.ranks == ranks]
            panel.plot([run.point.qubits for run in mine], [_median(run, name) for run in mine], "o-", label=plural(ranks, "rank"))
        medians = [_median(run, name) for run in runs]
        decades = 10.0 ** math.floor(math.log10(min(medians))), 10.0 ** math.ceil(math.log10(max(medians)))
        panel.set(title=name, yscale="log", ylim=decades, xlabel="qubits")
        panel.yaxis.set_major_formatter(matplotlib().ticker.EngFormatter("s"))
        panel.xaxis.get_major_locator().set_params(integer=True)
    for panel in panels[len(names) :]:
        panel.remove()
    panels[0].legend()
    return figure


def _scaling(found: Sequence[Run], weak: bool) -> Any:
    """A line per workload, and the ideal one."""
    ranks = [run.point.ranks for run in found]
    figure = matplotlib().figure.Figure(figsize=(7, 5), layout="constrained")
    panel = figure.subplots()
    for name in found[0].workloads:
        panel.plot(ranks, gains(found, name), "o-", label=name)
    panel.plot(ranks, [1 if weak else count / ranks[0] for count in ranks], "k--", label="ideal")
    panel.set(xscale="log", xlabel="ranks", xticks=ranks, xticklabels=map(str, ranks))
    panel.minorticks_off()
    first = found[0].point
    if weak:
        panel.set(ylabel="efficiency", ylim=(0, None), title=f"weak scaling: {first}, one more for every doubling")
    else:
        panel.set(ylim=(0, None), ylabel=f"times as fast as {plural(first.ranks, 'rank')}", title=f"strong scaling: {first.qubits} qubits")
    panel.legend()
    return figure


def _median(run: Run, name: str) -> float:
    median: float = run.workloads[name]["median_s"]
    return median
