"""What a benchmark prints about where it ran, and how it starts ranks."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def describe() -> str:
    """Processor, cores, date and commit in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        model = f"{fields.get('model name', model)} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {datetime.date.today()}, commit {commit or 'unknown'}"


def run_ranks(ranks: int, script: str, *arguments: str, timeout_s: float = 120, **settings: str) -> dict[str, float]:
    """Starts `script arguments` on that many ranks under mpiexec; returns the JSON object that rank 0 prints last."""
    version = subprocess.run(["mpiexec", "--version"], capture_output=True, text=True).stdout
    flags = ["--allow-run-as-root", "--oversubscribe"] if "Open MPI" in version or "OpenRTE" in version else []
    command = ["mpiexec", *flags, "-n", str(ranks), sys.executable, script, *arguments]
    environment = os.environ | {"OMPI_MCA_mpi_yield_when_idle": "1"} | settings
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
