"""What a benchmark prints about where it ran, and how it starts ranks."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from qmpi.cli.launcher import find

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
    launcher = find()
    command = [*launcher.command(ranks), sys.executable, script, *arguments]
    environment = os.environ | launcher.environment() | settings
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def print_table(lines: Iterable[tuple[str, str, str]]) -> None:
    """What was measured and what it may be at most, as Markdown, under the machine's name."""
    print(f"Medians, complex128; {describe()}.\n")
    print("| | measured | at most |\n|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |")


def main(description: str, parts: Mapping[str, Callable[[], dict[str, float]]], table: Callable[[], None]) -> None:
    """A benchmark's command line: prints its table, or runs the part that `run_ranks` asked this rank for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--part", choices=parts, help="what a rank runs; without it the whole table is measured")
    part = parser.parse_args().part
    if part is None:
        table()
    elif result := parts[part]():
        import qmpi

        if qmpi.COMM_WORLD.rank == 0:
            print(json.dumps(result))
