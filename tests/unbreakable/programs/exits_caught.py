"""What a program sees of a SystemExit that does not end a rank. Every rank ends with status 0. Started by test_endings.py."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

from reports import report

import qmpi

rank = qmpi.COMM_WORLD.rank


def code_of(leave: Callable[[], object]) -> Any:
    try:
        leave()
    except SystemExit as end:
        return [end.code, str(end), list(end.args), type(pickle.loads(pickle.dumps(end))) is SystemExit]
    return None


def child() -> None:
    sys.exit(6)


report("caught", by=rank, number=code_of(lambda: sys.exit(3)), text=code_of(lambda: exit("why")), nothing=code_of(lambda: sys.exit()))
thread = threading.Thread(target=sys.exit, args=(4,))
thread.start()
thread.join()
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
report("elsewhere", by=rank, status=process.exitcode)
qmpi.COMM_WORLD.barrier()
sys.exit(None if rank else 0)
