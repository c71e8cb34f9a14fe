"""The command `qmpi bench`: its options, what it refuses before anything starts, and what is done in which order."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ...engine.statevector import MOST_QUBITS
from ...errors import InvalidArgument
from ...world.settings import Settings, threads_per_rank
from ...world.threads import MAX_RANKS
from .. import machine
from ..options import SETTINGS, Setting, by_options, check, in_one_line, instruction_set
from . import plots, ranks, report
from .points import Point, numbers, plural, points, refuse_too_large
from .progress import bar
from .report import Run
from .workloads import LEAST_QUBITS

WORKLOADS = ("brick", "qv", "qft", "expectation", "sample", "measure", "gates")

_OURS = {"--dtype", "--memory", "--num-threads", "--ranks-per-node", "--isa"}  # settings that make a difference here
_START = 2**20  # amplitudes that could be worked on while ranks start; only the speed of the bar depends on it
_WIDTH = 10_000  # of lines that nobody's terminal has to show

_SCALING = "strong: the same register on all numbers of ranks; weak: one qubit more for every doubling of ranks; or both."
_LIMIT = "Ends the ranks if they take longer for one register."


def _settings(command: click.Command) -> click.Command:
    for setting in (setting for setting in SETTINGS if setting.option in _OURS):
        text = f"{setting.meaning} [{setting.variable}, default {setting.default}]"
        command.params.append(click.Option([setting.option], help=text, metavar=setting.values))
    return command


def _list(least: int, most: int) -> Callable[[click.Context, click.Parameter, str], list[int]]:
    def parsed(ctx: click.Context, parameter: click.Parameter, text: str) -> list[int]:
        try:
            return numbers(text, least, most)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return parsed


def _names(ctx: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in WORKLOADS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(WORKLOADS)}")
    return [name for name in WORKLOADS if name in names]


@_settings
@click.command(context_settings={"max_content_width": 110})
@click.option(
    "-n", "--ranks", "counts", default="1", show_default=True, metavar="LIST", callback=_list(1, MAX_RANKS), help="How many ranks."
)
@click.option(
    "--qubits",
    default="16:24:4",
    show_default=True,
    metavar="LIST",
    callback=_list(LEAST_QUBITS, MOST_QUBITS),
    help="How large a register.",
)
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True, metavar="NAMES", callback=_names, help="What is timed.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), metavar="K", help="How often each is timed.")
@click.option("--scaling", default="strong", show_default=True, type=click.Choice(["strong", "weak", "both"]), help=_SCALING)
@click.option("--threads", is_flag=True, help="Ranks are threads of one process; so they are anyway where there is no MPI.")
@click.option("--launcher", default="auto", metavar="auto|mpiexec|srun|PATH", help="What starts the ranks, as in qmpi run.")
@click.option("--limit-s", default=3600, show_default=True, type=click.IntRange(1, 10**6), metavar="SECONDS", help=_LIMIT)
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE", help="Writes all of it there."
)
@click.option("--plot", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Draws it there, as PNG files.")
def bench(
    counts: list[int],
    qubits: list[int],
    workloads: list[str],
    rounds: int,
    scaling: str,
    threads: bool,
    launcher: str,
    limit_s: int,
    file: Path | None,
    folder: Path | None,
    **chosen: str | None,
) -> None:
    """Times state vectors on this machine: one register, shared by N ranks.

    A LIST is one number, several, or a range with a step: 4 or 1,2,4 or 16:24:4. Each register on each number of ranks is a run of its
    own. With several numbers of ranks, each rank has its share of the cores when there are most.

    \b
    brick         20 layers of a random U(2) on every qubit and CZ on neighbours
    qv            quantum volume: 10 layers of a random SU(4) on random pairs
    qft           Fourier transform, with the qubits in their physical order at the end
    expectation   of a sum of 20 Pauli strings
    sample        100,000 outcomes of all qubits
    measure       one qubit, with the collapse
    gates         one gate of each kind on low, middle and top qubits

    \b
    qmpi bench                                       one rank, all cores
    qmpi bench --qubits 26 --workloads brick,qft     one size, two workloads
    qmpi bench -n 1,2,4 --scaling both --plot plots  scaling over ranks, drawn
    qmpi bench -n 2 --ranks-per-node 1               what two nodes would send to each other
    qmpi bench --dtype complex64 --json laptop.json  all that was measured, for programs
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the ranks, too
    settings = _settle(chosen)
    dtype = "complex64" if settings.single_precision else "complex128"
    if len(counts) > 1:
        os.environ["QMPI_NUM_THREADS"] = str(threads_per_rank(max(counts)))
    try:
        wanted = _wanted(qubits, counts, scaling, dtype, settings.memory)
    except ValueError as error:
        raise click.UsageError(by_options(str(error), _given(chosen))) from None
    _prepare_files(file, folder)
    world = _world(threads, launcher)
    about = report.describe(world.library, None if world.launcher is None else str(world.launcher), instruction_set(os.environ))
    runs, failed = _measure(wanted, world, {"dtype": dtype, "names": workloads, "rounds": rounds}, limit_s)
    if runs:
        how = {"world": world.kind, "dtype": dtype, "rounds": rounds}
        try:
            written = _write(runs, {"machine": about} | how, file, folder)
        except OSError as error:
            written, failed = [], failed or str(error)
        _show(runs, about, how, world.reason, written)
    if failed:
        print(f"qmpi bench: {failed}", file=sys.stderr)
        sys.exit(1)


# --- what is refused ------------------------------------------------------------------------------------------------------------------


def _settle(chosen: Mapping[str, str | None]) -> Settings:
    """Puts the settings into the environment, which the ranks inherit."""
    os.environ.update({setting.variable: value for setting, value in _given(chosen).items()})
    try:
        return check(os.environ)
    except InvalidArgument as error:
        raise click.UsageError(by_options(in_one_line(error), _given(chosen))) from None


def _given(chosen: Mapping[str, str | None]) -> dict[Setting, str]:
    values = {setting: chosen.get(setting.option.lstrip("-").replace("-", "_")) for setting in SETTINGS}
    return {setting: value for setting, value in values.items() if value is not None}


def _wanted(qubits: Sequence[int], counts: Sequence[int], scaling: str, dtype: str, memory: int) -> list[Point]:
    free = machine.describe()["memory_free_bytes"]
    wanted = points(qubits, counts, scaling)
    refuse_too_large(wanted, dtype, memory, free if isinstance(free, int) else None)
    return wanted


def _prepare_files(file: Path | None, folder: Path | None) -> None:
    """Before hours have been spent on what cannot be written."""
    try:
        if folder is not None:
            plots.matplotlib()
            folder.mkdir(parents=True, exist_ok=True)
        if file is not None and not os.access(file.parent, os.W_OK):
            raise PermissionError(f"there is no folder {str(file.parent)!r} that can be written to")
    except (ImportError, OSError) as error:
        raise click.UsageError(str(error)) from None


def _world(threads: bool, launcher: str) -> ranks.World:
    if threads and launcher != "auto":
        raise click.UsageError("--threads starts no processes: leave out --launcher")
    try:
        return ranks.choose(threads, launcher, Console(stderr=True).status)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from None


# --- what is done -------------------------------------------------------------------------------------------------------------------------


def _measure(wanted: Sequence[Point], world: ranks.World, options: Mapping[str, Any], limit_s: float) -> tuple[list[Run], str]:
    """The runs that succeeded, and why the first other one did not; nothing is begun after it."""
    runs: list[Run] = []
    with bar(sum(_START + (len(options["names"]) << point.qubits) for point in wanted)) as move:
        for point in wanted:
            current = Run(point)
            left = list(options["names"])

            def hear(told: dict[str, Any], current: Run = current, left: list[str] = left) -> None:
                if "workload" not in told:
                    if (seen := told.pop("ranks")) != current.point.ranks:
                        raise RuntimeError(f"MPI sees {plural(seen, 'rank')}; qmpi doctor tells what does not fit together")
                    current.facts.update(told)
                    move(f"{left[0]}, {current.point}", _START)
                    return
                current.workloads[told.pop("workload")] = told
                left.pop(0)
                move(f"{left[0] if left else 'done'}, {current.point}", 1 << current.point.qubits)

            move(f"starting {point}", 0)
            try:
                ranks.run(world.command(point.ranks, {"qubits": point.qubits, **options}), world.environment(), limit_s, hear)
            except (RuntimeError, TimeoutError, OSError) as error:
                return runs, f"{point}: {error}"
            if left:
                return runs, f"{point}: the ranks ended without a result"
            runs.append(current)
    return runs, ""


def _write(runs: Sequence[Run], about: Mapping[str, Any], file: Path | None, folder: Path | None) -> list[Path]:
    written = []
    if file is not None:
        file.write_text(json.dumps({**about, "runs": [run.as_json() for run in runs]}, indent=1) + "\n")
        written.append(file)
    if folder is not None:
        written += plots.draw(runs, f"{report.headline(about['machine'])}; {about['dtype']}", folder)
    return written


def _show(runs: Sequence[Run], about: Mapping[str, Any], how: Mapping[str, Any], reason: str, written: Sequence[Path]) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, markup=False, highlight=False, emoji=False)
    console.print(report.headline(about))
    if reason:
        console.print(f"Ranks are threads: {reason}")
    for table in report.tables(runs, how["world"], how["dtype"]):
        console.print(f"\n{table.title}", style="bold")
        table.title = None  # which would be folded to the width of the table
        table.box = table.box if console.is_terminal else None
        console.print(table)
    console.print(
        f"\nMedians of {how['rounds']} by rank 0's clock, after a first run that is not counted: it also plans (first_s in the JSON)."
    )
    console.print("The first touch of the memory stands apart (touch).")
    for path in written:
        console.print(f"written: {path}")
