"""`qmpi doctor`: what is in force, what the machine offers, and which worlds work; for people, or as JSON."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from .. import __version__
from .._core import kernels
from ..errors import InvalidArgument
from ..world.settings import readable_bytes
from . import machine, worlds
from .options import SETTINGS, Setting, check, in_one_line, instruction_set
from .worlds import World

Section = dict[str, Any]

_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_NODELIST",
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPU_BIND",
    "SLURM_MPI_TYPE",
)
_WIDTH = 10_000  # of lines that nobody's terminal has to show


@click.command(context_settings={"max_content_width": 110})
@click.option("--json", "as_json", is_flag=True, help="The same, as JSON.")
@click.option("--launcher", default="auto", metavar="auto|mpiexec|srun|PATH", help="What would start the ranks, as in qmpi run.")
def doctor(as_json: bool, launcher: str) -> None:
    """Tells what is in force and what the machine offers, and starts two ranks in each world.

    The exit status is 0 if a world works: ranks as processes under an mpiexec, or as threads.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    report = examine(launcher, Console(stderr=True).status)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        show(report, Console(width=None if sys.stdout.isatty() else _WIDTH, markup=False, highlight=False, emoji=False))
    sys.exit(0 if any(world["works"] for world in report["worlds"].values()) else 1)


def examine(launcher: str, waiting: worlds.Waiting) -> dict[str, Section]:
    """Everything there is to tell, section by section."""
    loaded = worlds.library(waiting)
    starter = worlds.find_launcher(launcher)
    refused, in_force = _in_force()
    processes = World(False, refused) if refused else worlds.processes(loaded, starter, waiting)
    threads = World(False, refused) if refused else worlds.threads(waiting)
    return {
        "qmpi": {
            "version": __version__,
            "path": str(Path(__file__).parents[1]),
            "python": platform.python_version(),
            "executable": sys.executable,
            "numpy": np.__version__,
            "system": platform.platform(),
        },
        "settings": {setting.variable: _origin(setting) for setting in SETTINGS} | _unknown(),
        "machine": machine.describe() | {"instruction_sets": kernels.available()} | in_force,
        "mpi": {
            "mpi4py": loaded.mpi4py,
            "library": loaded.name,
            "library_path": loaded.path,
            "launcher": None if isinstance(starter, str) else str(starter),
            "launcher_path": None if isinstance(starter, str) else starter.path,
            "fit_together": None if refused or isinstance(starter, str) or loaded.name is None else processes.works,
        },
        "slurm": {name: os.environ[name] for name in _SLURM if name in os.environ},
        "worlds": {"processes": asdict(processes), "threads": asdict(threads)},
    }


def _in_force() -> tuple[str, Section]:
    """Why the settings are refused, or what follows from them."""
    try:
        settings = check(os.environ)
    except InvalidArgument as error:
        return in_one_line(error), {}
    return "", {"instruction_set_in_force": instruction_set(os.environ), "memory_for_states_bytes": settings.memory}


def _origin(setting: Setting) -> dict[str, str]:
    """A setting's value and where it comes from, or why it is refused."""
    value = os.environ.get(setting.variable)
    if not value:
        return {"value": setting.default, "source": "default"}
    try:
        check({setting.variable: value})
    except InvalidArgument as error:
        return {"value": value, "source": "environment", "problem": in_one_line(error)}
    return {"value": value, "source": "environment"}


def _unknown() -> dict[str, dict[str, str]]:
    """Variables that look like settings: a slip of the pen says nothing otherwise."""
    known = {setting.variable for setting in SETTINGS}
    names = sorted(name for name in os.environ if name.startswith("QMPI_") and name not in known)
    return {name: {"value": os.environ[name], "source": "environment", "problem": f"qmpi does not know {name}"} for name in names}


# --- for people ---------------------------------------------------------------------------------------------------------------------


def show(report: Mapping[str, Section], console: Console) -> None:
    """Prints a table per section, and the verdicts last. What is no terminal gets plain columns."""
    for title, section in report.items():
        if not section or title == "worlds":
            continue
        table = Table(box=box.ROUNDED if console.is_terminal else None, show_header=False)
        for name, value in section.items():
            table.add_row(*_row(name, value))
        console.print(title, style="bold")
        console.print(table)
    for name, world in report["worlds"].items():
        console.print(f"{name}: {world['verdict']}", style="green" if world["works"] else "red")


def _row(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        return name, value["value"], value.get("problem") or value["source"]
    if name.startswith("SLURM_"):
        return name, str(value)
    in_bytes = name.endswith("_bytes")
    return name.removesuffix("_bytes").replace("_", " "), readable_bytes(value) if in_bytes and isinstance(value, int) else _words(value)


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if value is None:
        return "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
