"""What the proxy COMM_WORLD does before anything is founded."""

import subprocess
import sys

from qmpi.comm.communicator import WorldComm


def test_asking_for_a_name_that_is_not_there_founds_nothing():
    proxy = WorldComm()
    for name in ("nonsense", "_repr_html_", "_ipython_canary_method_should_not_exist_", "__len__"):
        assert not hasattr(proxy, name)
    assert vars(proxy) == {}


def test_rank_and_size_are_known_without_founding():
    proxy = WorldComm()
    assert (proxy.rank, proxy.size) == (proxy.mpi.rank, proxy.mpi.size)
    assert vars(proxy) == {}


def test_importing_qmpi_imports_no_mpi():
    subprocess.run([sys.executable, "-c", "import qmpi, sys; assert 'mpi4py' not in sys.modules"], check=True, timeout=60)
