"""A command of `qmpi doctor` and `qmpi bench` ends with who started it, also if that one is ended in the very moment of the start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from qmpi.cli.started import started

ENDLESS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    yield
    for which, handler in before.items():
        signal.signal(which, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("which", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_between_start_and_block_ends_the_command(
    which: signal.Signals, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            running.append(self)
            os.kill(os.getpid(), which)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.getsignal(which)
    with pytest.raises(raised), started(ENDLESS, os.environ, subprocess.DEVNULL):
        pytest.fail("the signal is lost")
    assert running[0].poll() == -signal.SIGTERM
    assert signal.getsignal(which) is before


@pytest.mark.usefixtures("handlers")
def test_a_command_ends_with_the_block() -> None:
    with pytest.raises(ZeroDivisionError), started(ENDLESS, os.environ, subprocess.DEVNULL) as process:
        assert process.poll() is None
        raise ZeroDivisionError
    assert process.poll() == -signal.SIGTERM
