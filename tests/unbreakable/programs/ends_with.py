"""Rank 1 sits in a classical receive, rank 0 ends in the way given: `ends_with.py WAY`. Started by test_endings.py, also as a module."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import click

import qmpi


def caught_first() -> None:
    try:
        sys.exit(4)
    except SystemExit as end:
        end.code += 1  # type: ignore[operator]
        raise


WAYS: dict[str, Callable[[], object]] = {
    "sys.exit(3)": lambda: sys.exit(3),
    "exit(3)": lambda: exit(3),
    "quit(3)": lambda: quit(3),
    "sys.exit(-1)": lambda: sys.exit(-1),
    "sys.exit(True)": lambda: sys.exit(True),
    "sys.exit('the text')": lambda: sys.exit("the text"),
    "argparse": lambda: argparse.ArgumentParser().parse_args(["--nothing-like-it"]),
    "click": lambda: click.Command("work", params=[click.Option(["--size"], type=int)]).main(["--size", "none"]),
    "caught first": caught_first,
}

if __name__ == "__main__":
    if qmpi.COMM_WORLD.rank == 0:
        print("rank 0 was here")
        WAYS[sys.argv[1]]()
    qmpi.COMM_WORLD.mpi.recv(source=0)
