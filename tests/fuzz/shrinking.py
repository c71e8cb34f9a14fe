"""From a program that fails to a smaller one that fails, too: steps are left out as long as it still does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from tests.fuzz.running import Progress, Settings, run_as_threads
from tests.fuzz.steps import Step

TIMEOUT_S = 5.0  # of a single wait: what hangs is found sooner than in a long run
ATTEMPTS = 3  # runs of one candidate: what is a race need not show every time


def failure(steps: Sequence[Step], ranks: int, settings: Settings, attempts: int = ATTEMPTS) -> str | None:
    """How the program fails in a universe of its own; None if it does not."""
    for attempt in range(attempts):
        own = replace(settings, seed=(settings.seed + attempt) % 2**64)
        try:
            run_as_threads([(attempt, lambda: list(steps))], ranks, own, Progress(), TIMEOUT_S)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None


def shrink(steps: Sequence[Step], ranks: int, settings: Settings, seconds: float) -> list[Step]:
    """Fewer of the steps; what they alone make possible is left out with them."""
    left, end = list(steps), time.monotonic() + seconds
    size = max(1, len(left) // 2)
    while time.monotonic() < end:
        before = len(left)
        for first in range(0, len(left), size)[::-1]:
            candidate = left[:first] + left[first + size :]
            if time.monotonic() < end and failure(candidate, ranks, settings) is not None:
                left = candidate
        if size == 1 and len(left) == before:
            break
        size = max(1, size // 2) if size > 1 or len(left) == before else size
    return left
