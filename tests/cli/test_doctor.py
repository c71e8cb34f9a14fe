"""`qmpi doctor`: what it tells people and programs, and its verdicts where something is missing, wrong or broken."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from qmpi.cli import worlds
from qmpi.cli.launcher import find
from qmpi.cli.options import SETTINGS
from tests.cli.terminal import bare_python, qmpi, wait_for_the_end_of, write_launcher

LONE_RANKS = 'while [ "$1" != -n ]; do shift; done; shift 2; "$@"; "$@"'  # starts two, each of which is alone


def report(*arguments: object, **options: Any) -> dict[str, Any]:
    done = qmpi("doctor", "--json", *arguments, **options)
    found: dict[str, Any] = json.loads(done.stdout)
    works = any(world["works"] for world in found["worlds"].values())
    assert done.returncode == (0 if works else 1) and not done.stderr, done
    return found


def test_here_both_worlds_work() -> None:
    done = qmpi("doctor")
    assert done.returncode == 0 and not done.stderr, done
    processes, threads = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"processes: works \((MPICH|Open MPI|Intel\(R\) MPI Library) [\d.]+.*\)", processes), processes
    assert threads == "threads: works"


def test_what_is_no_terminal_gets_plain_columns_with_everything_that_json_has() -> None:
    text = qmpi("doctor").stdout
    assert "\x1b" not in text and not re.search("[╭╮│─┃━]", text), text
    for section, entries in report().items():
        assert not entries or section == "worlds" or section in text.splitlines()
        for name, value in entries.items():
            assert name.removesuffix("_bytes").replace("_", " ") in text or name in text
            assert not isinstance(value, str) or value in text


def test_a_setting_is_told_with_its_value_and_where_it_comes_from() -> None:
    settings = report(QMPI_MODE="faithful", QMPI_MEMORY="256M", QMPI_ISA="plain")["settings"]
    assert settings.keys() == {setting.variable for setting in SETTINGS}
    assert settings["QMPI_MODE"] == {"value": "faithful", "source": "environment"}
    assert settings["QMPI_DTYPE"] == {"value": "complex128", "source": "default"}


def test_memory_and_instruction_set_are_those_in_force() -> None:
    machine = report(QMPI_MEMORY="256M", QMPI_ISA="plain")["machine"]
    assert machine["memory_for_states_bytes"] == 256 * 2**20 and machine["instruction_set_in_force"] == "plain"
    default = report()["machine"]
    assert default["memory_for_states_bytes"] == int(0.8 * default["memory_allowed_bytes"])
    assert default["instruction_set_in_force"] == default["instruction_sets"][-1]


def test_a_setting_that_is_refused_is_named_and_nothing_works() -> None:
    found = report(QMPI_MODE="slow", QMPI_DTYPE="complex64")
    assert found["settings"]["QMPI_MODE"]["problem"] == "QMPI_MODE must be fast or faithful, not 'slow'"
    assert "problem" not in found["settings"]["QMPI_DTYPE"]
    assert {world["verdict"] for world in found["worlds"].values()} == {"QMPI_MODE must be fast or faithful, not 'slow'"}


def test_a_variable_that_only_looks_like_a_setting_is_pointed_out() -> None:
    assert "does not know QMPI_SEDE" in report(QMPI_SEDE="1")["settings"]["QMPI_SEDE"]["problem"]


def test_slurm_s_variables_are_told() -> None:
    assert report(SLURM_JOB_ID="17", SLURM_NTASKS="4")["slurm"] == {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "4"}


def test_a_recording_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "order"
    assert report(QMPI_ORDER=f"record:{file}")["worlds"]["threads"]["works"] and not file.exists()


def test_without_an_mpiexec_threads_still_work(tmp_path: Path) -> None:
    python, settings = bare_python(tmp_path)
    found = report(python=python, **settings)
    assert found["worlds"]["threads"] == {"works": True, "verdict": "works"}
    assert not found["worlds"]["processes"]["works"] and "pip install 'qmpi[mpich]'" in found["worlds"]["processes"]["verdict"]
    assert found["mpi"]["launcher"] is None and found["mpi"]["fit_together"] is None


def test_without_an_mpi_library_threads_still_work() -> None:
    found = report(MPI4PY_LIBMPI="/nowhere/libmpi.so")
    assert found["worlds"]["threads"]["works"] and found["mpi"]["library"] is None
    assert "loads no MPI library" in found["worlds"]["processes"]["verdict"]


def test_a_launcher_whose_ranks_are_alone_does_not_fit(tmp_path: Path) -> None:
    family = find().family
    found = report("--launcher", write_launcher(tmp_path / "mpiexec", family, LONE_RANKS))
    assert found["mpi"]["fit_together"] is False and found["mpi"]["launcher"].startswith(family)
    verdict = found["worlds"]["processes"]["verdict"]
    assert "do not fit together" in verdict and found["mpi"]["library"] in verdict


def test_a_launcher_of_another_family_that_fails_does_not_fit(tmp_path: Path) -> None:
    other = "MPICH" if find().family == "Open MPI" else "Open MPI"
    found = report("--launcher", write_launcher(tmp_path / "mpiexec", other, "echo something is wrong; exit 1"))
    assert "do not fit together" in found["worlds"]["processes"]["verdict"]


def test_why_ranks_do_not_come_together_is_told_in_their_words(tmp_path: Path) -> None:
    words = "echo fine so far; echo Fatal error: no such fabric >&2; echo ----; exit 1"
    found = report("--launcher", write_launcher(tmp_path / "mpiexec", find().family, words))
    verdict = found["worlds"]["processes"]["verdict"]
    assert verdict.endswith("do not come together: Fatal error: no such fabric")


@pytest.mark.timeout(60)
def test_a_launcher_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "_TIMEOUT_S", 3)
    hanging = write_launcher(tmp_path / "mpiexec", find().family, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    shown: list[str] = []

    def waiting(what: str) -> nullcontext[None]:
        shown.append(what)
        return nullcontext()

    world = worlds.processes(worlds.library(waiting), find(str(hanging)), waiting)
    assert not world.works and "nothing has come after 3 s" in world.verdict
    assert shown == [f"waiting for two ranks under {hanging}"]
    wait_for_the_end_of(int((tmp_path / "child").read_text()))


def test_what_it_tells_can_be_printed_whatever_the_terminal_s_letters() -> None:
    done = qmpi("doctor", PYTHONIOENCODING="latin-1", QMPI_SEED="⟩…")
    assert done.returncode == 1 and not done.stderr and r"not '\u27e9\u2026'" in done.stdout, done
