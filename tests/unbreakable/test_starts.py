"""Starts that cannot work end with one clear error on every rank, and what can work does."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unbreakable.worlds import Job, start
from tests.worlds.launch import REPOSITORY, launcher

GIB = 1 << 30
GHZ = REPOSITORY / "examples" / "ghz.py"


def founding(ranks: int, *arguments: str, **settings: str) -> tuple[Job, list[tuple[str, str]]]:
    """The error, or none, and its text on each rank."""
    job = start("mpiexec", ranks, "founds.py", *arguments, timeout_s=40, **settings)
    found = job.of("founding")
    assert sorted(found) == list(range(ranks)), job
    job.require_clean_end()
    return job, [(facts["error"], facts["text"]) for _, facts in sorted(found.items())]


# --- launchers that do not know of each other -----------------------------------------------------------------------------------------


def slurm_step(tasks: int) -> dict[str, str]:
    return {"SLURM_NTASKS": str(tasks), "SLURM_STEP_ID": "0", "SLURM_PROCID": "2"}


def test_tasks_that_srun_starts_and_mpi_takes_for_lonely_are_refused_with_the_flag_to_use() -> None:
    job = start("none", 1, "founds.py", timeout_s=40, **slurm_step(4))
    facts = job.of("founding")[0]
    assert facts["error"] == "FoundingError" and "srun --mpi=pmix" in facts["text"] and "4 tasks" in facts["text"], job


def test_a_single_task_of_srun_and_ranks_that_see_each_other_in_one_are_not_refused() -> None:
    assert start("none", 1, "founds.py", timeout_s=40, **slurm_step(1)).of("founding")[0]["error"] == ""
    job, outcomes = founding(2, **slurm_step(2))
    assert outcomes == [("", "")] * 2, job


def test_threads_do_not_mind_what_srun_has_set() -> None:
    job = start("threads", 2, GHZ, timeout_s=40, **slurm_step(4))
    assert job.codes == [0], job


def test_two_programs_at_once_do_not_know_of_each_other() -> None:
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(start, world, ranks, GHZ, timeout_s=60) for world, ranks in [("mpiexec", 3), ("mpiexec", 3), ("threads", 4)]]
        for job, ranks in zip([job.result() for job in jobs], (3, 3, 4), strict=True):
            job.require_clean_end()
            bits = re.search(r"^ranks measured ([01 ]+)$", job.output, re.MULTILINE)
            assert bits and bits[1].split() in (["0"] * ranks, ["1"] * ranks), job
            assert f"{ranks - 1} EPR pairs, {ranks - 1} bits" in job.output, job


# --- memory ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("limit", "name", "need"),
    [("RLIMIT_AS", "address space limit (ulimit -v)", "4 GiB"), ("RLIMIT_FSIZE", "file size limit (ulimit -f)", "4 GiB")],
)
def test_a_limit_that_the_arena_exceeds_is_refused_on_every_rank_with_what_to_do(limit: str, name: str, need: str, rank: int) -> None:
    job, outcomes = founding(2, f"{limit}={4 * GIB}@{rank}", QMPI_MEMORY="1G")
    for error, text in outcomes:
        assert error == "FoundingError", job
        assert f"rank {rank}: " in text and name in text and need in text and "raise it or set QMPI_MEMORY" in text, job


def test_what_the_refusal_says_helps() -> None:
    job, outcomes = founding(2, f"RLIMIT_AS={12 * GIB}", QMPI_MEMORY="16M")
    assert outcomes == [("", "")] * 2, job


def test_more_memory_than_the_machine_has_is_no_error_by_itself() -> None:
    job, outcomes = founding(2, QMPI_MEMORY="100T")
    assert outcomes == [("", "")] * 2, job


def test_threads_are_refused_memory_they_may_not_have() -> None:
    job = start("none", 1, "limited_threads.py", timeout_s=40)
    facts = job.of("founding")[0]
    assert facts["error"] == "FoundingError" and "raise it or set QMPI_MEMORY" in facts["text"], job
    assert job.of("smaller")[0]["error"] == "", job


# --- long settings -----------------------------------------------------------------------------------------------------------------------


def test_a_setting_may_be_as_long_as_a_path(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["f" * 150] * 5)
    folder.mkdir(parents=True)
    file = folder / "ü.order"
    job, outcomes = founding(2, QMPI_ORDER=f"record:{file}")
    assert outcomes == [("", "")] * 2 and file.read_text().startswith("# qmpi order"), job


def test_a_long_setting_that_cannot_be_is_refused_on_every_rank_and_shown_in_full() -> None:
    name = "n" * 450
    for arguments, settings, message in [
        ([], {"QMPI_ORDER": f"record:{name}"}, "rank 0: the order of measurements cannot be recorded"),
        ([f"QMPI_SEED={name}@1"], {}, "rank 1: QMPI_SEED must be"),
        ([f"QMPI_ORDER=record:{name}@1"], {}, f"rank 1: runs with QMPI_ORDER=record:{name}, but rank 0 runs with QMPI_ORDER="),
    ]:
        job, outcomes = founding(2, *arguments, **settings)
        assert all(error == "FoundingError" and message in text and name in text for error, text in outcomes), job


# --- more than one node, no MPI ----------------------------------------------------------------------------------------------------------


if launcher().family == "MPICH":  # no other MPI can pretend that each process is a node of its own

    def test_more_than_one_node_is_refused_on_every_rank() -> None:
        job, outcomes = founding(3, MPIR_CVAR_NOLOCAL="1")
        for error, text in outcomes:
            assert error == "FoundingError" and "does not span nodes yet" in text, job


def test_without_mpi_threads_work_and_mpi_s_world_says_what_to_install() -> None:
    job = start("none", 1, "without_mpi.py", timeout_s=40)
    job.require_clean_end()
    assert job.of("threads")[0]["returned"] == [1, 1] and job.of("threads again")[0]["returned"] == [0, 1, 2], job
    for case in ("rank", "alloc"):
        facts = job.of(case)[0]
        assert facts["error"] == "FoundingError" and "pip install 'qmpi[mpich]'" in facts["text"] and "qmpi.run" in facts["text"], job


def test_where_mpi4py_finds_no_library_threads_work_and_mpi_s_world_says_what_to_install() -> None:
    job = start("none", 1, "without_library.py", timeout_s=40)
    job.require_clean_end()
    facts = job.of("alloc")[0]
    assert job.of("threads")[0]["returned"] == [0, 1], job
    assert facts["error"] == "FoundingError" and "pip install 'qmpi[mpich]'" in facts["text"], job


def test_mpi_that_has_not_begun_or_is_over_is_refused_and_said() -> None:
    job = start("none", 1, "without_running_mpi.py", timeout_s=40)
    job.require_clean_end()
    for case, text in (("before", "MPI is not initialised"), ("given", "MPI is not initialised"), ("after", "MPI is already finalised")):
        for name, facts in job.of(case)[0].items():
            assert name == "case" or (facts["error"] == "FoundingError" and text in facts["text"]), job
    assert job.of("running")[0]["alloc"]["error"] == job.of("quantum")[0]["alloc"]["error"] == "", job


# --- the first use ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["threads", "processes", "mpiexec"])
def test_the_first_use_may_be_an_argument_of_another(world: str) -> None:
    job = start(world, 2, "nested_first_use.py", timeout_s=20)
    job.require_clean_end()
    assert sorted(job.output.splitlines()) == ["rank 0 done", "rank 1 done"], job


# --- who never comes ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "call"),
    [
        ("runs off its end", "prepare_epr"),
        ("calls sys.exit", "barrier"),
        ("knows only mpi4py", "prepare_epr"),
        ("finalises MPI", "barrier"),
        ("runs off its end", "dup"),
        ("runs off its end", "split"),
        ("runs off its end", "Comm"),
    ],
)
def test_where_a_communicator_is_made_whoever_waits_for_a_rank_that_has_ended_raises_peer_left_and_can_go_on(how: str, call: str) -> None:
    job = start("mpiexec", 3, "never_comes.py", how, call, timeout_s=40)
    for case in ("without it", "again"):  # then another one may have ended, too
        found = job.of(case)
        assert sorted(found) == [0, 1], job
        for facts in found.values():
            assert facts["error"] == "PeerLeft" and re.match(r"ranks? (\d, )?2 of 3 ha(s|ve) ended", facts["text"]), job
    job.require_clean_end()


def test_a_rank_that_never_comes_ends_the_job_of_those_who_do_not_catch_it() -> None:
    job = start("mpiexec", 3, "never_comes.py", "is not forgiven", "barrier", timeout_s=40)
    assert job.codes == [1] and "PeerLeft: rank 2 of 3 has ended" in job.output, job


def test_ctrl_c_ends_the_wait_for_ranks_that_have_not_come() -> None:
    job = start("mpiexec", 2, "never_comes.py", "sleeps", "barrier", timeout_s=40)
    assert job.codes == [130] and "qmpi: rank 0 interrupted at" in job.output, job
