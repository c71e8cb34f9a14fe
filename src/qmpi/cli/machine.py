"""What the machine offers to the ranks: cores, memory, limits. Knows neither MPI nor settings, except what they are reckoned from."""

from __future__ import annotations

import math
import os
import resource
from functools import cache
from pathlib import Path

from ..world.settings import machine_memory

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_QUOTA = (("/sys/fs/cgroup/cpu.max",), ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


@cache
def cores() -> int:
    """Cores that this process may use, by its affinity and its container's quota. Two hardware threads of a core are one."""
    allowed = os.sched_getaffinity(0)
    physical = len({_read(_SIBLINGS.format(cpu)) or str(cpu) for cpu in allowed})
    quota = cpu_quota()
    return physical if quota is None else max(1, min(physical, math.ceil(quota)))


def cpu_quota() -> float | None:
    """How many CPUs' time the cgroup (version 2, else 1) grants; None without a limit."""
    for files in _QUOTA:
        words = " ".join(map(_read, files)).split()
        if len(words) == 2 and words[0].isdigit():
            return int(words[0]) / int(words[1])
    return None


def describe() -> dict[str, object]:
    """Everything that `qmpi doctor` tells of the machine; a limit that is None is none."""
    return {
        "cores": cores(),
        "cpus": os.cpu_count(),
        "cpus_allowed": len(os.sched_getaffinity(0)),
        "cpu_quota": cpu_quota(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory_allowed_bytes": machine_memory(),
        "memory_free_bytes": _free_memory(),
        "file_size_limit_bytes": _limit(resource.RLIMIT_FSIZE),
        "address_space_limit_bytes": _limit(resource.RLIMIT_AS),
    }


def _free_memory() -> int | None:
    lines = dict(line.partition(":")[::2] for line in _read("/proc/meminfo").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _limit(which: int) -> int | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
