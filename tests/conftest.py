"""What holds for all tests: those in tests/mpi want ranks, and are collected only with --with-mpi (under a launcher) or --threads N.

The plain `python -m pytest` runs them nevertheless, in both worlds, on 1 to 4 ranks and in every mode, through test_in_both_worlds.py.
"""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("qmpi", deadline=None, print_blob=True)  # no test asserts a time
settings.load_profile("qmpi")

MPI_TESTS = Path(__file__).resolve().parent / "mpi"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--with-mpi", action="store_true", help="run tests/mpi on the ranks of the launcher that started this")
    parser.addoption("--threads", type=int, default=0, metavar="N", help="run tests/mpi on N ranks that are threads of this process")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == MPI_TESTS and not (config.getoption("--with-mpi") or config.getoption("--threads")) else None
