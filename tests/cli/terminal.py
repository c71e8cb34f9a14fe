"""How a test calls `python -m qmpi`: as a user would, in a process of its own and under a time-out; and foreign launchers that only tell
how they were called. Knows nothing of what the commands answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable,)
BOUND_S = 30  # guards against a hang

# What the launchers say when asked for their version.
VERSIONS = {
    "MPICH": "HYDRA build details:\n    Version:                                 4.2.1\n    Release Date:  Wed Apr 17 2024",
    "Intel MPI": "Intel(R) MPI Library for Linux* OS, Version 2021.12 Build 20240213 (id: 4f55822)\nCopyright 2003-2024",
    "Open MPI": "mpiexec (Open MPI) 5.0.3\n\nReport bugs to https://www.open-mpi.org/community/help/",
    "Open MPI 4": "mpiexec (OpenRTE) 4.1.6\n\nReport bugs to http://www.open-mpi.org/community/help/",
    "Slurm": "slurm 23.11.6",
    "a stranger": "launch, release seven",
}
TELL = 'for word in "$@"; do echo "argument: $word"; done; env; cat /proc/self/status; exit 7'
OURS = ("QMPI_", "SLURM_", "OMP_", "NUMBA_", "RAYON_", "OMPI_MCA_")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's, without anything that the commands look at, and with `settings`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | dict(settings)


def qmpi(*arguments: object, python: tuple[str, ...] = PYTHON, timeout_s: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m qmpi arguments…`."""
    return subprocess.run(
        [*python, "-m", "qmpi", *map(str, arguments)],
        env=environment(settings),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def write_launcher(path: Path, family: str, work: str = TELL) -> Path:
    """A launcher that answers `--version` as that family's does; otherwise it tells how it was called, and ends with status 7."""
    path.write_text(f"""#!/bin/sh
if [ "$1" = --version ]; then
cat <<'END'
{VERSIONS[family]}
END
exit 0
fi
{work}
""")
    path.chmod(0o755)
    return path


def bare_python(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """A Python in `folder`, which has no mpiexec beside it and none on PATH, and the settings that let it find all modules."""
    python = folder / "python"
    python.symlink_to(Path(sys.executable).resolve())
    return (str(python),), {"PATH": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, str(REPOSITORY / "src")]))}


def wait_for_the_end_of(process: int) -> None:
    """Returns once a process is gone, or is a zombie that only waits to be counted."""
    deadline = time.monotonic() + BOUND_S
    while _state(process) not in ("", "Z"):
        assert time.monotonic() < deadline, f"process {process} is still there"
        time.sleep(0.02)


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def foreground_job(command: list[str]) -> subprocess.Popen[str]:
    """Started in a group of its own, as a terminal's foreground job is: Ctrl-C reaches it and what it starts."""
    return subprocess.Popen(
        command,
        env=environment({}),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
