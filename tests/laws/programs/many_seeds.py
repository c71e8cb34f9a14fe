"""`reproducible.py` on threads, under many seeds in one process: `many_seeds.py PROGRAMS RANKS:MODE:SEED…`.

Prints each RANKS:MODE:SEED, then the lines of that run.
"""

import os
import sys
from pathlib import Path

from qmpi.world.program import run_program

programs, *runs = sys.argv[1:]
for words in runs:
    ranks, os.environ["QMPI_MODE"], os.environ["QMPI_SEED"] = words.split(":")
    print(words, flush=True)
    if run_program(str(Path(__file__).with_name("reproducible.py")), [programs], int(ranks)) != 0:
        sys.exit(f"failed: {words}")
