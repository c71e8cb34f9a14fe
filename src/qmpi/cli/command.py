"""The command `qmpi` and how its commands end: a wrong argument is one line and exit status 2, Ctrl-C is silent."""

from __future__ import annotations

import sys

import click

from .. import __version__
from .letters import escape_letters


class _Commands(click.Group):
    """Imports a command's module when the command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run", "doctor", "bench"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == "run":
            from .run import run

            return run
        if name == "doctor":
            from .doctor import doctor

            return doctor
        if name == "bench":
            from .bench.command import bench

            return bench
        return None


@click.group(cls=_Commands, invoke_without_command=True)
@click.version_option(__version__, message="qmpi %(version)s")
@click.pass_context
def qmpi(ctx: click.Context) -> None:
    """MPI for quantum computers: ranks own qubits and exchange quantum states.

    \b
    qmpi run -n 4 program.py               runs a program on four ranks
    qmpi run --threads -n 100 program.py   the same where there is no MPI
    qmpi doctor                            what is in force, and what works here
    qmpi bench                             how fast state vectors are here
    """
    if ctx.invoked_subcommand != "run":  # a program's output is its own
        escape_letters()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Runs the command line and ends the process."""
    try:
        sys.exit(qmpi.main(prog_name="qmpi", standalone_mode=False))
    except click.ClickException as error:
        ctx = getattr(error, "ctx", None)
        message = " ".join(error.format_message().split())
        print(f"{ctx.command_path if ctx else 'qmpi'}: {message}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
