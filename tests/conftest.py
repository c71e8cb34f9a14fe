"""What holds for all tests: those in tests/mpi need a launcher and are collected only with --with-mpi.

The plain `python -m pytest` runs them nevertheless, on 1 to 4 ranks and in every mode, through test_under_mpiexec.py.
"""

from pathlib import Path

import pytest

MPI_TESTS = Path(__file__).resolve().parent / "mpi"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == MPI_TESTS and not config.getoption("--with-mpi") else None
