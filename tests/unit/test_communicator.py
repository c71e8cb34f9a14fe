"""What the proxy COMM_WORLD does before anything is founded."""

import subprocess
import sys

import qmpi
from qmpi.comm import communicator


def test_asking_for_a_name_that_is_not_there_founds_nothing(monkeypatch):
    monkeypatch.setattr(communicator, "_found", lambda: 1 / 0)
    for name in ("nonsense", "_repr_html_", "_ipython_canary_method_should_not_exist_", "__len__"):
        assert not hasattr(qmpi.COMM_WORLD, name)
    assert isinstance(qmpi.COMM_WORLD, qmpi.Comm) and qmpi.COMM_WORLD.send.__doc__ == qmpi.Comm.send.__doc__


def test_rank_and_size_are_known_without_founding(monkeypatch):
    monkeypatch.setattr(communicator, "_found", lambda: 1 / 0)
    world = qmpi.COMM_WORLD
    assert (world.rank, world.size) == (world.mpi.rank, world.mpi.size)


def test_importing_qmpi_imports_no_mpi():
    subprocess.run([sys.executable, "-c", "import qmpi, sys; assert 'mpi4py' not in sys.modules"], check=True, timeout=60)


def test_mpi4py_s_spellings_of_rank_and_size_found_nothing_either(monkeypatch):
    monkeypatch.setattr(communicator, "_found", lambda: 1 / 0)
    world = qmpi.COMM_WORLD
    assert (world.Get_rank(), world.Get_size()) == (world.mpi.rank, world.mpi.size)
