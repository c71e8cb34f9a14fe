"""`qmpi run`: starts a program on N ranks. It becomes the launcher, so that nothing of ours stands between the terminal and the ranks."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from ..errors import InvalidArgument
from ..telemetry import log
from ..world.program import find_module, run_module, run_program
from ..world.threads import MAX_RANKS
from .launcher import Launcher, find
from .letters import escape_letters
from .machine import cores
from .options import SETTINGS, by_options, check, in_one_line

# OpenBLAS, MKL, BLIS and numexpr follow the first one; the others have their own.
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
Start = Callable[[Sequence[str], int], int]
"""Runs a program with these arguments on so many threads; gives the exit status."""
_LAUNCHER = "What starts the ranks; auto takes the mpiexec beside this Python, else the one on PATH."


class _Run(click.Command):
    """Lists the settings under a heading of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        settings = {_parameter(setting.option) for setting in SETTINGS}
        titles = ("Options", "Settings (each overrides its variable)")
        for title, ours in zip(titles, (False, True), strict=True):
            options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
            rows = [row for option in options if (option.name in settings) is ours and (row := option.get_help_record(ctx))]
            with formatter.section(title):
                formatter.write_dl(rows)


def _parameter(option: str) -> str:
    return option.partition("/")[0].lstrip("-").replace("-", "_")


def _settings(command: click.Command) -> click.Command:
    for setting in SETTINGS:
        text = f"{setting.meaning} [{setting.variable}, default {setting.default}]"
        flag = "/" in setting.option
        command.params.append(
            click.Option([setting.option], help=text, default=None, metavar=None if flag else setting.values, is_flag=flag or None)
        )
    return command


def _count(ctx: click.Context, parameter: click.Parameter, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is not a number of ranks, which is 1 or more")
    return int(text)


@_settings
@click.command(cls=_Run, context_settings={"allow_interspersed_args": False, "max_content_width": 110})
@click.option("-n", "--ranks", required=True, callback=_count, metavar="N", help="How many ranks.")
@click.option("--threads", is_flag=True, help="Ranks are threads of this process; needs no MPI.")
@click.option("--launcher", default="auto", metavar="auto|mpiexec|srun|PATH", help=_LAUNCHER)
@click.option("--dry-run", is_flag=True, help="Only prints the command, with the environment that it would set.")
@click.option("-m", "--module", is_flag=True, help="PROGRAM is the name of a module, as after python -m.")
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    ranks: int,
    threads: bool,
    launcher: str,
    dry_run: bool,
    module: bool,
    program: str,
    arguments: tuple[str, ...],
    **chosen: str | bool | None,
) -> None:
    """Runs a Python program on N ranks: processes that an mpiexec starts, or threads.

    What stands after PROGRAM belongs to the program. The exit status is the program's.

    \b
    qmpi run -n 4 program.py                    four processes
    qmpi run -n 4 --seed 7 program.py --x 3     the same outcomes each time; --x is the program's
    qmpi run -n 2 --log debug program.py        one line per call on standard error
    qmpi run --threads -n 100 program.py        a hundred ranks in one process
    qmpi run -n 4 -m package.module --x 3       the module package.module, found as python -m does
    qmpi run -n 64 --launcher srun program.py   inside a Slurm allocation, if its mpiexec will not do
    qmpi run -n 4 --dry-run program.py          what would be run
    """
    extra = _chosen(chosen) | _fair_share(ranks)
    start = _start_of_module(program) if module else _start_of_file(program)
    what = ["-m", program] if module else [program]
    if threads:
        _refuse_as_threads(ranks, launcher)
        command = [sys.executable, "-m", "qmpi", "run", "--threads", "-n", str(ranks), *what, *arguments]
    else:
        starter = _find(launcher)
        extra |= starter.environment()
        command = [*starter.command(ranks), sys.executable, *what, *arguments]
    if dry_run:
        escape_letters()
        print(*(f"{name}={shlex.quote(value)}" for name, value in extra.items()), shlex.join(command))
    elif threads:
        _enter(extra)
        sys.exit(start(arguments, ranks))
    else:
        _become(command, extra)


def _chosen(chosen: Mapping[str, str | bool | None]) -> dict[str, str]:
    """The variables that the options stand for.

    Raises:
        UsageError: a setting, by option or by variable, is not one of those allowed.
    """
    given = {setting: value for setting in SETTINGS if (value := chosen[_parameter(setting.option)]) is not None}
    variables = {setting.variable: str(int(value)) if isinstance(value, bool) else value for setting, value in given.items()}
    try:
        check(os.environ | variables)
    except InvalidArgument as error:
        raise click.UsageError(by_options(in_one_line(error), given)) from None
    return variables


def _fair_share(ranks: int) -> dict[str, str]:
    """Threads of numerical libraries per rank, where the user has not chosen: all ranks together have as many as there are cores."""
    share = str(max(1, cores() // ranks))
    return {name: share for name in _THREADS if name not in os.environ}


def _refuse_as_threads(ranks: int, launcher: str) -> None:
    if launcher != "auto":
        raise click.UsageError("--threads starts no processes: leave out --launcher")
    if ranks > MAX_RANKS:
        raise click.UsageError(f"--threads takes at most {MAX_RANKS} ranks, not {ranks}")


def _find(launcher: str) -> Launcher:
    try:
        return find(launcher)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from None


def _start_of_file(program: str) -> Start:
    path = Path(program)
    if not path.is_file():
        raise click.UsageError(f"the file {program!r} " + ("is a directory" if path.is_dir() else "does not exist"))
    return partial(run_program, program)


def _start_of_module(program: str) -> Start:
    sys.path.insert(0, os.getcwd())
    try:
        find_module(program)
    except ImportError as error:
        raise click.UsageError(str(error)) from None
    return partial(run_module, program)


def _enter(extra: Mapping[str, str]) -> None:
    """Makes this process the one in which the ranks will be threads."""
    os.environ.update(extra)
    if os.environ.get("QMPI_LOG"):  # `import qmpi` has not seen --log
        log.install()


def _become(command: list[str], extra: Mapping[str, str]) -> NoReturn:
    """Replaces this process. Ctrl-C is then the launcher's affair, and its exit status ours."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and the launcher would inherit that
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execve(command[0], command, os.environ | extra)
