"""The directives `standard-table` and `standard-calls`: the operations of a communicator, as their own docstrings tell them.

An operation is a method of `qmpi.Comm`; its twins are found by name: its inverse, both without waiting, and persistent. The table has a row
per operation; `standard-calls:: FAMILY` has the entries of all its methods.
"""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from house_docstrings import plain_to_rst
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import qmpi

EXAMPLES = Path(__file__).parents[2] / "examples"
COLUMNS = ("Call", "Inverse", "Twins", "What and how", "Cost", "Examples")
FAMILIES = {
    "pairs": ("prepare_epr",),
    "messages": ("send", "recv", "send_move", "recv_move"),
    "modes": ("bsend", "ssend", "rsend", "bsend_move", "ssend_move", "rsend_move"),
    "probes": ("probe", "mprobe", "mrecv", "mrecv_move"),
    "both-ways": ("sendrecv", "sendrecv_replace"),
    "one-to-all": ("bcast", "scatter", "scatterv", "scatter_move", "scatterv_move"),
    "all-to-one": ("gather", "gatherv", "gather_move", "gatherv_move"),
    "all-to-all": ("allgather", "allgatherv", "alltoall", "alltoallv", "alltoallw", "alltoall_move", "alltoallv_move", "alltoallw_move"),
    "reductions": ("reduce", "allreduce", "reduce_scatter_block", "reduce_scatter", "scan", "exscan"),
    "rotations": ("pauli_rotation",),
    "together": ("cat", "barrier"),
}


def inverse(name: str) -> str | None:
    """The call that undoes an operation: `unsend`, `bunsend`, `munrecv`."""
    return next((other for other in (f"un{name}", f"{name[0]}un{name[1:]}") if hasattr(qmpi.Comm, other)), None)


def twins(name: str) -> list[str]:
    """The other calls of an operation: those that do not wait, and the persistent one."""
    wanted = (f"i{name}", f"i{inverse(name)}", f"{name}_init")
    return [other for other in wanted if hasattr(qmpi.Comm, other)]


def calls(name: str) -> list[str]:
    """All methods of an operation."""
    undo = inverse(name)
    return [name, *([undo] if undo else []), *twins(name)]


def methods() -> set[str]:
    """All methods of all operations."""
    return {call for names in FAMILIES.values() for name in names for call in calls(name)}


@cache
def attributes(file: Path) -> frozenset[str]:
    """The names that a program calls on anything."""
    found = (node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    return frozenset(function.attr for function in found if isinstance(function, ast.Attribute))


def link(name: str, text: str = "") -> str:
    """To a method's entry."""
    return f":py:meth:`{text or name} <qmpi.Comm.{name}>`"


def told_by(name: str) -> str:
    """The docstring that speaks for a method: its own, or that of the method it is a twin of."""
    text = inspect.getdoc(getattr(qmpi.Comm, name)) or ""
    twin = re.match(r"`(\w+)`", text)
    return told_by(twin[1]) if twin else text


def cost(name: str) -> str:
    """The line of the docstring, up to the source."""
    found = re.search(r"Cost: (.*?)(?: Source:|\n\n|$)", told_by(name), re.DOTALL)
    return plain_to_rst(" ".join(found[1].split())) if found else ""


def what(name: str) -> str:
    """The docstring's text in front of its sections."""
    text = inspect.getdoc(getattr(qmpi.Comm, name)) or ""
    return plain_to_rst(" ".join(re.split(r"\n\n(?:Args:|\*\*|Returns:|Pairs with|Cost)", text)[0].split()))


def cells(name: str) -> tuple[str, ...]:
    """One line of the table."""
    parameters = [p for p in inspect.signature(getattr(qmpi.Comm, name)).parameters if p != "self"]
    users = [file.stem for file in sorted(EXAMPLES.glob("*.py")) if attributes(file) & set(calls(name))]
    undo = inverse(name)
    return (
        link(name, f"{name}({', '.join(parameters)})"),
        link(undo) if undo else "",
        ", ".join(map(link, twins(name))),
        what(name),
        cost(name),
        ", ".join(f"``{user}``" for user in users),
    )


class Generated(SphinxDirective):
    """Parses lines that a subclass writes."""

    def lines(self) -> list[str]:
        """What stands on the page."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """The parsed lines."""
        box = nodes.container()
        self.state.nested_parse(StringList(self.lines(), source=self.name), self.content_offset, box)
        return box.children


class StandardTable(Generated):
    """`.. standard-table:: FAMILY …`"""

    optional_arguments = len(FAMILIES)

    def lines(self) -> list[str]:
        """One row per operation."""
        lines = [".. list-table::", "   :header-rows: 1", "   :class: standard", ""]
        rows = [cells(name) for family in self.arguments or FAMILIES for name in FAMILIES[family]]
        for first, *others in (COLUMNS, *rows):
            lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
        return lines


class StandardCalls(Generated):
    """`.. standard-calls:: FAMILY …`"""

    required_arguments = 1
    optional_arguments = len(FAMILIES)

    def lines(self) -> list[str]:
        """An entry per method."""
        names = [call for family in self.arguments for name in FAMILIES[family] for call in calls(name)]
        return [line for name in names for line in (f".. automethod:: qmpi.Comm.{name}", "")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directives."""
    app.add_directive("standard-table", StandardTable)
    app.add_directive("standard-calls", StandardCalls)
    return {"parallel_read_safe": True}
