"""In a process of a world: runs the laws that outside.py asks for, one after the other, and sends what pytest reports of them.

Requests and answers are lines of JSON: {"test": node id, "next": the node id after it or ""} and, for each phase, {"report": …}; then {}.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import pytest

END_S = 8.0  # for the ranks to go home


class Serving:
    """A plugin in place of pytest's own loop over what it has collected."""

    def __init__(self, config: pytest.Config, address: str, rank: int) -> None:
        """Tells who has come: its rank, and its process, which outside.py asks where it is (SIGUSR1) before it gives it up."""
        self._config = config
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        faulthandler.register(signal.SIGUSR1, open(f"{address}-{rank}", "w"))  # noqa: SIM115  (lives as long as the process)
        self._requests: SimpleQueue[dict[str, str] | None] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._answer(rank=rank, pid=os.getpid())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self._answer(tests=len(items))
        while request := self._requests.get():
            item, following = items[request["test"]], items.get(request["next"])
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            self._answer()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._answer(report=self._config.hook.pytest_report_to_serializable(config=self._config, report=report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._answer(failure=report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self) -> bool:
        """Time is kept outside."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_cancel_timer(self) -> bool:
        return True

    def _listen(self) -> None:
        """Hands on what is asked for. When nobody asks any more the process ends, whatever it waits for."""
        with suppress(ConnectionResetError), self._connection.makefile() as lines:
            for line in lines:
                self._requests.put(json.loads(line))
        self._requests.put(None)
        time.sleep(END_S)
        os._exit(1)

    def _answer(self, **content: Any) -> None:
        with suppress(BrokenPipeError):  # it has been given up
            self._connection.sendall(json.dumps(content).encode() + b"\n")
