"""What the programs of these tests tell, each rank into a file of its own; how they are sent signals; how they meet without waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qmpi


def report(case: str, by: int | None = None, **facts: Any) -> None:
    """Adds a row to this rank's reports, or to those of `by`."""
    path = Path(os.environ["REPORTS"], f"{qmpi.COMM_WORLD.rank if by is None else by}.reports")
    with path.open("a") as rows:
        rows.write(json.dumps({"case": case, **facts}) + "\n")


def here() -> str:
    """`file:line` of the caller."""
    frame = sys._getframe(1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def attempt(call: Callable[[], Any]) -> dict[str, Any]:
    """Makes a call: how it ended."""
    try:
        call()
        error, text = "", ""
    except (Exception, KeyboardInterrupt) as failure:
        error, text = type(failure).__name__, str(failure)
    return {"error": error, "text": text}


def signals(*steps: tuple[str, float]) -> None:
    """Sends this process (name, delay) after (name, delay), from outside."""
    script = "; ".join(f"sleep {delay}; kill -{name} {os.getpid()}" for name, delay in steps)
    subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(after_s: float) -> None:
    """Stops this process, from outside, until another rank lets it go on."""
    Path(os.environ["REPORTS"], f"{qmpi.COMM_WORLD.rank}.stopped").write_text(str(os.getpid()))
    signals(("STOP", after_s))


def let_go_on(rank: int) -> None:
    """Ends what `stop` began. What has happened before did not wait for that rank."""
    os.kill(int(Path(os.environ["REPORTS"], f"{rank}.stopped").read_text()), signal.SIGCONT)


def poll(request: qmpi.Request[Any]) -> Any:
    """The result of a request, without ever waiting in qmpi."""
    while not request.test():
        time.sleep(0.01)
    return request.wait()


def meet(place: str) -> None:
    """A barrier outside qmpi: whoever has come waits for nobody there, and disturbs nobody's wait. Each place is met at once."""
    comm = qmpi.COMM_WORLD
    Path(os.environ["REPORTS"], f"{place}.{comm.rank}").touch()
    while not all(Path(os.environ["REPORTS"], f"{place}.{rank}").exists() for rank in range(comm.size)):
        comm.free(comm.alloc(1))  # raises once the others have failed
        time.sleep(0.01)
