"""Ctrl-C while gates wait to be planned together and another rank holds their component: it is heard at once, and no gate is lost."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.unbreakable.worlds import Job, start

LISTS = {"one gate, then others": ("1", "900"), "many gates": ("900", "0"), "few gates, then others": ("3", "900")}


@cache
def jobs() -> dict[str, Job]:
    with ThreadPoolExecutor(2) as pool:
        running = {
            kind: pool.submit(start, "processes", 2, "waiting_gates.py", *counts, timeout_s=40, QMPI_NUM_THREADS="1")
            for kind, counts in LISTS.items()
        }
        return {kind: job.result() for kind, job in running.items()}


@pytest.mark.parametrize("kind", LISTS)
def test_a_rank_whose_gates_wait_for_a_component_is_interrupted_at_once(kind: str) -> None:
    job = jobs()[kind]
    facts = job.of("interrupted")[0]
    assert facts["error"] == "KeyboardInterrupt", job


@pytest.mark.parametrize("kind", LISTS)
def test_after_an_interrupt_every_gate_is_applied_once(kind: str) -> None:
    """What was not applied before stays in the buffer."""
    job = jobs()[kind]
    found = job.of("afterwards")
    turned = found[0]["turned"]
    assert math.hypot(found[1]["x"] - math.cos(turned), found[1]["y"] - math.sin(turned)) < 1e-9, job
    job.require_clean_end()
