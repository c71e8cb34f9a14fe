"""Ranks as threads under a limit of their address space. Started by test_starts.py."""

from __future__ import annotations

import resource

from reports import attempt, report

import qmpi

resource.setrlimit(resource.RLIMIT_AS, (12 << 30, resource.RLIM_INFINITY))
report("founding", by=0, **attempt(lambda: qmpi.run(lambda: None, 2, memory="8G")))
report("smaller", by=0, **attempt(lambda: qmpi.run(lambda: None, 2, memory="16M")))
