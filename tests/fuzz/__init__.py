"""The fuzzer: random programs of valid and invalid calls on several ranks, checked against the dense oracle.

A *program* is a list of steps (`Step`: plain data that prints as what recreates it). Its order is one of the orders in which the steps may
happen; ranks do their own steps without waiting for each other, except where the calls themselves wait. `Model` follows a program without
running it and knows for every step whether it is possible and how it must end; `Actor` does a rank's part; `Truth` replays all of it in the
oracle, with the outcomes that the ranks report, and compares. At the end all is undone, measured and freed, and nothing may remain.

    python -m tests.fuzz --calls 10000 --seed 7 --ranks 3 --world threads
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by NumPy when it is imported: the oracle's matrices are small
