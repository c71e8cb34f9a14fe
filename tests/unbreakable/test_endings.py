"""How a rank's end ends the job: with its exit status, whatever the others sit in; and what a program sees of an exit that it catches."""

from __future__ import annotations

import os

import pytest

from tests.unbreakable.worlds import PROGRAMS, start
from tests.worlds.launch import launch

STATUS = {
    "sys.exit(3)": 3,
    "exit(3)": 3,
    "quit(3)": 3,
    "sys.exit(-1)": 255,
    "sys.exit(True)": 1,
    "sys.exit('the text')": 1,
    "argparse": 2,
    "click": 2,
    "caught first": 5,
}
SAID = {
    "sys.exit('the text')": "the text",
    "argparse": "unrecognized arguments: --nothing-like-it",
    "click": "'none' is not a valid integer",
}


@pytest.mark.parametrize("way", STATUS)
def test_the_exit_status_of_a_rank_ends_the_job_while_another_sits_in_a_classical_receive(way: str) -> None:
    job = start("mpiexec", 2, "ends_with.py", way, timeout_s=40)
    assert job.codes == [STATUS[way]] and "rank 0 was here" in job.output, job
    assert job.output.count(SAID.get(way, "rank 0 was here")) == 1 and "Traceback" not in job.output, job


@pytest.mark.parametrize("how", ["-m", "-c"])
def test_it_does_so_however_python_was_told_what_to_run(how: str) -> None:
    program = {
        "-m": ["-m", "ends_with", "sys.exit(3)"],
        "-c": ["-c", "import sys, qmpi\nif qmpi.COMM_WORLD.rank == 0: sys.exit(3)\nqmpi.COMM_WORLD.mpi.recv(source=0)"],
    }[how]
    path = os.pathsep.join(filter(None, [str(PROGRAMS), os.environ.get("PYTHONPATH")]))
    run = launch(2, program, {"PYTHONPATH": path}, timeout_s=40)
    assert run.code == 3, run.tail()


def test_after_mpi_is_over_each_rank_ends_by_itself() -> None:
    program = "import sys, qmpi\nfrom mpi4py import MPI\nqmpi.COMM_WORLD.barrier()\nMPI.Finalize()\nsys.exit('the end')"
    run = launch(2, ["-c", program], timeout_s=40)
    assert run.code == 1 and run.output.count("the end") == 2 and "Abort" not in run.output, run.tail()


def test_an_exit_that_is_caught_or_of_a_thread_or_of_a_child_is_as_without_qmpi() -> None:
    job = start("mpiexec", 2, "exits_caught.py", timeout_s=40)
    job.require_clean_end()
    for rank in range(2):
        facts = job.of("caught")[rank]
        assert facts["number"] == [3, "3", [3], True] and facts["text"] == ["why", "why", ["why"], True], job
        assert facts["nothing"] == [None, "", [], True] and job.of("elsewhere")[rank]["status"] == 6, job
    assert not job.output.strip(), job
