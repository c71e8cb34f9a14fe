"""The notebook runs from top to bottom in this Python, and its outputs are the ones it is stored with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_pair.ipynb"


def outputs(notebook: nbformat.NotebookNode) -> list[list[nbformat.NotebookNode]]:
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_a_notebook_prints_what_it_is_stored_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("QMPI_")]:
        monkeypatch.delenv(variable)
    stored = nbformat.read(NOTEBOOK, as_version=4)
    fresh = nbformat.read(NOTEBOOK, as_version=4)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    fresh.cells.append(nbformat.v4.new_code_cell("import sys\nprint(sys.executable, end='')"))
    NotebookClient(fresh, timeout=60, kernel_name="python3").execute()
    *came, kernel = outputs(fresh)
    assert kernel[0].text == sys.executable
    assert came == outputs(stored)
    assert len(came) >= 3 and all(came[k] for k in range(len(came)))


def test_the_site_shows_this_notebook() -> None:
    assert (NOTEBOOK.parents[1] / "docs" / "howto" / NOTEBOOK.name).resolve() == NOTEBOOK
