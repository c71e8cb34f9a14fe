"""What the commands print can be printed anywhere."""

from __future__ import annotations

import io
import sys


def escape_letters() -> None:
    """From now on letters that the encoding of standard output has not are printed as escape sequences, instead of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
