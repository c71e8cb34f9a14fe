"""Outside of the worlds: starts one when its first law comes, hands it law after law, and brings back what its ranks report.

A law holds if it holds on every rank. Where one rank fails, others may wait for it for ever: its report counts, the world is ended, and
the next law starts it anew.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import World
from tests.worlds.launch import DEFAULTS, REPOSITORY, launcher

START_S = 60.0
END_S = 10.0
SHOW_S = 1.0  # for the ranks to show where they are
AFTERMATH_S = 0.3  # in which other ranks may fail too, after one has
TAIL = 80  # lines


class Ended(Exception):
    """The world can do nothing more; the text says why."""


class Host:
    """A world under way.

    Attributes:
        world: which.
    """

    def __init__(self, world: World, files: Sequence[str]) -> None:
        """Starts it with the laws of these files.

        Raises:
            Ended: its ranks did not come.
        """
        self.world = world
        self._folder = tempfile.TemporaryDirectory(prefix="qmpi-world-")
        address, self._output = os.path.join(self._folder.name, "socket"), Path(self._folder.name, "output")
        quietly = ["-qq", "-n0", "--tb=no", "--no-summary", "-p", "no:cacheprovider"]
        pytest_ = [sys.executable, "-m", "pytest", *quietly, "--world", str(world), "--serve", address]
        ranks = launcher().command(world.ranks) if world.kind == "mpi" else []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QMPI_", "PYTEST_"))}
        environment = inherited | (launcher().environment() if ranks else {}) | DEFAULTS | world.environment()
        self._connections: dict[int, socket.socket] = {}
        self._ranks: dict[int, int] = {}
        self._pids: list[int] = []
        self._buffers: dict[int, bytes] = {}
        with socket.socket(socket.AF_UNIX) as listener, self._output.open("wb") as output:
            listener.bind(address)
            listener.listen(world.ranks)
            listener.settimeout(0.1)
            self._process = subprocess.Popen(
                [*ranks, *pytest_, *files],
                env=environment,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._gather(listener, world.ranks if ranks else 1)

    def _gather(self, listener: socket.socket, processes: int) -> None:
        end = time.monotonic() + START_S
        strangers: list[socket.socket] = []
        while len(strangers) < processes:
            if self._process.poll() is not None or time.monotonic() > end:
                raise self._ended(f"{len(strangers)} of {processes} processes of {self.world} came")
            with suppress(TimeoutError):
                strangers.append(listener.accept()[0])
        for number, connection in enumerate(strangers):
            self._connections[number], self._buffers[number] = connection, b""
        for number, content in self._answers(end, "rank"):
            self._ranks[number] = content["rank"]
            self._pids.append(content["pid"])
        list(self._answers(end, "tests"))

    def perform(self, test: str, following: str, timeout_s: float) -> list[dict[str, Any]]:
        """Runs a law on all ranks.

        Returns:
            One rank's reports of it: of one where it failed, if there is one.

        Raises:
            Ended: a rank died or took too long.
        """
        request = json.dumps({"test": test, "next": following}).encode() + b"\n"
        for connection in self._connections.values():
            with suppress(BrokenPipeError):  # will be noticed
                connection.sendall(request)
        reports: dict[int, list[dict[str, Any]]] = {number: [] for number in self._connections}
        end = time.monotonic() + timeout_s
        for number, content in self._answers(end, ""):
            if "report" in content:
                reports[number].append(content["report"])
                if content["report"]["outcome"] == "skipped":  # JSON has no tuples
                    content["report"]["longrepr"] = tuple(content["report"]["longrepr"])
                if content["report"]["outcome"] == "failed":
                    printed = self._printed()
                    self.end(AFTERMATH_S)
                    content["report"]["sections"].append(
                        (f"failed on rank {self._ranks[number]} of {self.world}; all ranks printed", printed)
                    )
                    return reports[number]
        return reports[0]

    def _answers(self, end: float, last: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """What the processes answer, until each has sent a line with `last` in it (an empty one, if that is empty)."""
        waiting = set(self._connections)
        with selectors.DefaultSelector() as selector:
            for number, connection in self._connections.items():
                selector.register(connection, selectors.EVENT_READ, number)
            while waiting:
                for number in sorted(waiting):
                    while number in waiting and b"\n" in self._buffers[number]:
                        line, _, self._buffers[number] = self._buffers[number].partition(b"\n")
                        content = json.loads(line)
                        if "failure" in content:
                            raise self._ended(content["failure"])
                        if last in content if last else not content:
                            waiting.discard(number)
                        yield number, content
                if not waiting:
                    return
                ready = selector.select(max(0.0, end - time.monotonic()))
                if not ready:
                    raise self._ended(
                        f"Timeout: {len(waiting)} of {len(self._connections)} processes of {self.world} did not answer", show=True
                    )
                for key, _ in ready:
                    received = self._connections[key.data].recv(1 << 16)
                    if not received:
                        raise self._ended(f"a process of {self.world} has ended")
                    self._buffers[key.data] += received

    def _ended(self, why: str, show: bool = False) -> Ended:
        """Ends the world; why, and what its processes have printed."""
        if show:
            for pid in self._pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR1)
            time.sleep(SHOW_S)
        with suppress(subprocess.TimeoutExpired):  # an exit status says more
            self._process.wait(0 if show else END_S)
        text = f"{why} (exit status {self._process.poll()})\n{self._printed()}"
        self.end(0)
        return Ended(text)

    def _printed(self) -> str:
        texts = [path.read_text(errors="replace") for path in (self._output, *sorted(self._output.parent.glob("socket-*")))]
        return "\n".join(line for text in texts for line in text.splitlines()[-TAIL:])

    def end(self, patience_s: float = END_S) -> None:
        """Lets the ranks go home, and kills what does not."""
        for connection in self._connections.values():
            connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()


class Hosts:
    """The plugin that has laws performed in their worlds. One world at a time: pytest sorts the laws by it."""

    def __init__(self) -> None:
        self._host: Host | None = None
        self._stillborn: dict[World, Ended] = {}  # worlds that could not be started, and why: not tried again

    def perform(self, item: pytest.Item, nextitem: pytest.Item | None, timeout_s: float) -> None:
        """In place of pytest's own protocol."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        begin = time.time()
        try:
            reports = self._reports(item, nextitem, timeout_s)
        except Ended as ended:
            self._host = None
            report = pytest.TestReport(
                item.nodeid, item.location, dict(item.keywords), "failed", str(ended), "call", start=begin, stop=time.time()
            )
            report.duration = time.time() - begin
            reports = [report]
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _reports(self, item: pytest.Item, nextitem: pytest.Item | None, timeout_s: float) -> list[pytest.TestReport]:
        world = world_of(item)
        assert world is not None
        if self._host is None or self._host.world != world:
            self.leave()
            self._host = self._started(world, item.session)
        following = nextitem.nodeid if nextitem is not None and world_of(nextitem) == world else ""
        reports = self._host.perform(item.nodeid, following, timeout_s)
        if any(report["outcome"] == "failed" for report in reports):
            self._host = None
        elif not following:
            self.leave()
        load = item.config.hook.pytest_report_from_serializable
        return [load(config=item.config, data=report) for report in reports]

    def _started(self, world: World, session: pytest.Session) -> Host:
        if world in self._stillborn:
            raise self._stillborn[world]
        try:
            return Host(world, sorted({str(item.path) for item in session.items if world_of(item) == world}))
        except Ended as why:
            self._stillborn[world] = why
            raise

    def leave(self) -> None:
        """Ends the world that is under way, if one is."""
        host, self._host = self._host, None
        if host is not None:
            host.end()

    def pytest_unconfigure(self) -> None:
        """Whatever came before: Ctrl-C, too."""
        self.leave()


def world_of(item: pytest.Item) -> World | None:
    """The world in which an item is to be tested; None for all that is no law."""
    world = item.callspec.params.get("world") if hasattr(item, "callspec") else None
    return world if isinstance(world, World) else None
