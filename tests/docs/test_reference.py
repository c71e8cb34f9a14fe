"""The reference leaves out nothing: no public name, no method, no setting."""

from __future__ import annotations

import re
import sys

import pytest

import qmpi
from tests.docs.pages import DOCS, REPOSITORY
from tests.docs.test_docstrings import FUNCTIONS, PROPERTIES

REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
GENERATED = {*qmpi.gates.__all__, *vars(qmpi.errors)}  # by automodule and by error-tree


def of_standard() -> set[str]:
    """The methods that `standard-calls` writes, of the families that the pages ask for."""
    sys.path.insert(0, str(DOCS / "_extensions"))
    import standard_table

    families = re.findall(r"^\.\. standard-calls:: (.+)$", REFERENCE, re.M)
    assert sorted(families) == sorted(standard_table.FAMILIES)
    return standard_table.methods()


OF_STANDARD = of_standard()


def has_entry(name: str) -> bool:
    return name.removeprefix("qmpi.Comm.") in OF_STANDARD or re.search(rf":: {re.escape(name)}$", REFERENCE, re.M) is not None


@pytest.mark.parametrize("name", sorted(set(qmpi.__all__) - GENERATED - {"errors", "gates"}))
def test_every_public_name_has_an_entry(name: str) -> None:
    assert has_entry(f"qmpi.{name}")


@pytest.mark.parametrize("name", sorted(name for name in {**FUNCTIONS, **PROPERTIES} if re.fullmatch(r"Comm\.[a-z]\w*", name)))
def test_every_method_of_a_communicator_has_an_entry(name: str) -> None:
    assert has_entry(f"qmpi.{name}")


def test_gates_and_errors_are_generated() -> None:
    assert has_entry("qmpi.gates") and ".. gate-table::" in REFERENCE and ".. error-tree::" in REFERENCE


def variables(folder: str, pattern: str) -> set[str]:
    files = [file for file in (REPOSITORY / folder).rglob(pattern) if not file.name.startswith("_core")]
    return {name for file in files for name in re.findall(r'"(QMPI_[A-Z_]+)"', file.read_text())}


def test_every_setting_has_an_entry() -> None:
    read = variables("src", "*.py") | variables("csrc", "*.cc") | variables("csrc", "*.h")
    told = set(re.findall(r"^`(QMPI_[A-Z_]+)`$", (DOCS / "reference" / "settings.md").read_text(), re.M))
    assert {"QMPI_SEED", "QMPI_ISA"} <= read and read == told
