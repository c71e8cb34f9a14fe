"""The directive `gate-table`: every row of `qmpi.gates.TABLE`, as the table and the functions themselves tell it."""

import inspect
import re

from docutils import nodes
from docutils.statemachine import StringList
from rst import plain_to_rst
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from qmpi import gates
from qmpi.gates.table import ANY, Gate

COLUMNS = ("Gate", "What", "Definition", "Inverse")


def call(row: Gate) -> str:
    """As a program writes it."""
    names = ", ".join(inspect.signature(getattr(gates, row.name)).parameters)
    return f":py:func:`{row.name}({names}) <qmpi.gates.{row.name}>`"


def inverse(row: Gate) -> str:
    """The line of the function's own documentation."""
    found = re.search(r"^Inverse: (.*)$", getattr(gates, row.name).__doc__, re.MULTILINE)
    assert found is not None
    return f"``{found[1]}``" if row.inverse else found[1]


def qubits(row: Gate) -> str:
    """How many controls and targets."""
    controls = "any number of controls, " if row.controls == ANY else f"{row.controls} control{'s' * (row.controls > 1)}, "
    targets = "as many qubits as given" if row.targets == ANY else f"{row.targets} target{'s' * (row.targets > 1)}"
    return (controls if row.controls else "") + targets


def cells(row: Gate) -> tuple[str, ...]:
    """One line of the table."""
    return call(row), f"{plain_to_rst(row.summary)} ({qubits(row)})", f"``{row.definition}``", inverse(row)


class GateTable(SphinxDirective):
    """`.. gate-table::`"""

    def run(self) -> list[nodes.Node]:
        """One row per gate, in the table's order."""
        lines = [".. list-table::", "   :header-rows: 1", "   :class: gates", ""]
        for first, *others in (COLUMNS, *map(cells, gates.TABLE.values())):
            lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source="gate-table"), self.content_offset, box)
        return box.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("gate-table", GateTable)
    return {"parallel_read_safe": True}
