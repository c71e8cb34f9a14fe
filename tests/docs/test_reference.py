"""The reference leaves out nothing: no public name, no method, no setting."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest

import qmpi
from tests.docs.pages import DOCS, REPOSITORY
from tests.docs.test_docstrings import FUNCTIONS, PROPERTIES

REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
GENERATED = {*qmpi.gates.__all__, *vars(qmpi.errors)}  # by automodule and by error-tree


def extension() -> ModuleType:
    sys.path.insert(0, str(DOCS / "_extensions"))
    import standard_rows

    return standard_rows


STANDARD = extension()
OF_STANDARD = STANDARD.methods()


def has_entry(name: str) -> bool:
    return name.removeprefix("qmpi.Comm.") in OF_STANDARD or re.search(rf":: {re.escape(name)}$", REFERENCE, re.M) is not None


@pytest.mark.parametrize("name", sorted(set(qmpi.__all__) - GENERATED - {"errors", "gates"}))
def test_every_public_name_has_an_entry(name: str) -> None:
    assert has_entry(f"qmpi.{name}")


@pytest.mark.parametrize("name", sorted(name for name in {**FUNCTIONS, **PROPERTIES} if re.fullmatch(r"Comm\.[a-z]\w*", name)))
def test_every_method_of_a_communicator_has_an_entry(name: str) -> None:
    assert has_entry(f"qmpi.{name}")


def test_the_page_of_the_standard_has_every_family_under_its_title() -> None:
    assert ".. standard-table::" in REFERENCE
    sections = re.findall(r"^## (.+)\n\n```{eval-rst}\n\.\. standard-calls:: (.+)$", REFERENCE, re.M)
    assert sections == [(STANDARD.TITLES[family], family) for family in STANDARD.FAMILIES]


def test_no_method_stands_in_two_families() -> None:
    named = [call for names in STANDARD.FAMILIES.values() for name in names for call in STANDARD.calls(name)]
    assert len(named) == len(set(named)) == len(OF_STANDARD)


@pytest.mark.parametrize("name", sorted(name for names in STANDARD.FAMILIES.values() for name in names))
def test_a_row_of_the_table_says_what_the_call_does_and_costs(name: str) -> None:
    call, _, what, cost, _ = STANDARD.cells(name)
    assert f"<qmpi.Comm.{name}>" in call and what.endswith(".")
    assert "EPR pair" in cost and "bit" in cost and cost.endswith(".")


def test_a_row_names_the_programs_that_use_the_call() -> None:
    *_, used = STANDARD.cells("scatter_move")
    assert used.startswith("``scatter_rotate_gather.py``")
    assert "howto/rotations" in STANDARD.cells("pauli_rotation")[-1]


def test_what_is_called_on_the_classical_communicator_uses_no_operation() -> None:
    assert STANDARD.called("comm.mpi.gather(1)\ncomm.send(q, dest=1)\nlist.sort(comm.rank)") == {"send"}


def test_gates_and_errors_are_generated() -> None:
    assert has_entry("qmpi.gates") and ".. gate-table::" in REFERENCE and ".. error-tree::" in REFERENCE


def variables(folder: str, pattern: str) -> set[str]:
    files = [file for file in (REPOSITORY / folder).rglob(pattern) if not file.name.startswith("_core")]
    return {name for file in files for name in re.findall(r'"(QMPI_[A-Z_]+)"', file.read_text())}


def test_every_setting_has_an_entry() -> None:
    read = variables("src", "*.py") | variables("csrc", "*.cc") | variables("csrc", "*.h")
    told = set(re.findall(r"^`(QMPI_[A-Z_]+)`$", (DOCS / "reference" / "settings.md").read_text(), re.M))
    assert {"QMPI_SEED", "QMPI_ISA"} <= read and read == told
