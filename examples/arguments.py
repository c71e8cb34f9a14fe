"""The command line of the examples: every rank reads the same arguments, only rank 0 talks about them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import qmpi


class Arguments(argparse.ArgumentParser):
    """An argument parser for SPMD programs: help once, errors in one line, both from rank 0 alone."""

    def __init__(self, description: str | None) -> None:
        """Shows `description`, the script's own opening text, in its help."""
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Ends every rank with status 2."""
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")

    def require_ranks(self, least: int) -> None:
        """Ends the program unless it runs on at least this many ranks."""
        if qmpi.COMM_WORLD.size < least:
            self.error(f"needs at least {least} ranks: mpiexec -n {least} python {sys.argv[0]}")

    def _print_message(self, message: str, file: Any = None) -> None:
        if qmpi.COMM_WORLD.rank == 0:
            super()._print_message(message, file)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argument type: a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        limit = f"of at least {least}" if most is None else f"from {least} to {most}"
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expects a whole number {limit}, not {text!r}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"expects a whole number {limit}, not {text}")
        return value

    return parse


def angle(text: str) -> float:
    """An argument type: radians."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expects an angle in radians, not {text!r}")
    return value
