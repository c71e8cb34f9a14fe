"""The operations of a communicator, as their own docstrings tell them: the rows that `standard_table` writes. Knows no Sphinx.

An operation is a method of `qmpi.Comm`; its twins are found by name: its inverse, both without waiting, persistent. Where an operation is
used is read from the programs themselves: the examples, and those that how-to pages show.
"""

import ast
import inspect
import re
import textwrap
from functools import cache
from pathlib import Path

from rst import plain_to_rst

import qmpi

DOCS = Path(__file__).parents[1]
EXAMPLES = DOCS.parent / "examples"
COLUMNS = ("Call", "Inverse and twins", "What and how", "Cost", "Used in")
WIDTHS = (20, 15, 35, 18, 12)
PROGRAM = re.compile(r"^( *)```python\n(.*?)^\1```$", re.M | re.S)
TITLES = {
    "pairs": "EPR pairs",
    "messages": "Copies and moves",
    "modes": "Send modes",
    "probes": "Looking for messages",
    "both-ways": "Both ways",
    "one-to-all": "From one rank to all",
    "all-to-one": "From all ranks to one",
    "all-to-all": "From all to all",
    "reductions": "Reductions",
    "rotations": "Rotations over many ranks",
    "together": "Cat states and barriers",
}
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


def called(program: str) -> frozenset[str]:
    """The methods that a program calls on its communicator, `comm`; what it calls on `comm.mpi` is none of them."""
    found = (node.func for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call))
    methods = (function for function in found if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name))
    return frozenset(function.attr for function in methods if function.value.id == "comm")


@cache
def users() -> list[tuple[str, frozenset[str]]]:
    """Every example and every how-to page, as it is shown or linked, with the methods it calls."""
    examples = [(f"``{file.name}``", called(file.read_text())) for file in sorted(EXAMPLES.glob("*.py"))]
    pages = [(page.stem, PROGRAM.findall(page.read_text())) for page in sorted((DOCS / "howto").glob("*.md"))]
    shown = [(f":doc:`/howto/{page}`", [called(textwrap.dedent(program)) for _, program in programs]) for page, programs in pages]
    return examples + [(text, frozenset().union(*methods)) for text, methods in shown]


def link(name: str, text: str = "") -> str:
    """To a method's entry."""
    return f":py:meth:`{text or name} <qmpi.Comm.{name}>`"


def told_by(name: str) -> str:
    """The docstring that speaks for a method: its own, or that of the method it is a twin of."""
    text = inspect.getdoc(getattr(qmpi.Comm, name)) or ""
    twin = re.match(r"`(\w+)`", text)
    return told_by(twin[1]) if twin else text


def cost(name: str) -> str:
    """The line of the docstring, up to the source; with that of the inverse, where it has a docstring of its own."""
    found = re.search(r"Cost: (.*?)(?: Source:|\n\n|$)", told_by(name), re.DOTALL)
    text = plain_to_rst(" ".join(found[1].split())) if found else ""
    undo = inverse(name)
    if undo is None or told_by(undo) == told_by(name):
        return text
    return f"{text.rstrip('.')}; the inverse {cost(undo) if cost(undo) != text else 'the same.'}"


def what(name: str) -> str:
    """The docstring's text in front of its sections."""
    text = inspect.getdoc(getattr(qmpi.Comm, name)) or ""
    return plain_to_rst(" ".join(re.split(r"\n\n(?:Args:|\*\*|Returns:|Pairs with|Cost)", text)[0].split()))


def cells(name: str) -> tuple[str, ...]:
    """One line of the table."""
    parameters = [p for p in inspect.signature(getattr(qmpi.Comm, name)).parameters if p != "self"]
    return (
        link(name, f"{name}({', '.join(parameters)})"),
        ", ".join(map(link, calls(name)[1:])),
        what(name),
        cost(name),
        ", ".join(user for user, methods in users() if methods & set(calls(name))),
    )
