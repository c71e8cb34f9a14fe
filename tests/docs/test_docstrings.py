"""Every public name is documented in the house form."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import qmpi
from qmpi import testing
from qmpi.comm.persistent import Persistent
from qmpi.comm.transfer import Message, Sent
from qmpi.runtime.ledger import Charges, Ledger, Total
from qmpi.runtime.obligations import Operation
from tests.docs.docstrings import ORDER, entries, parameters, sections, summary, text, twin

SOURCE = Path(qmpi.__file__).parent
NAMES = {name: getattr(qmpi, name) for name in qmpi.__all__} | {
    f"{room.__name__.removeprefix('qmpi.')}.{name}": getattr(room, name) for room in (qmpi.gates, testing) for name in room.__all__
}
CLASSES = {
    kind.__name__: kind for kind in [*NAMES.values(), Sent, Message, Persistent, Ledger, Charges, Total, Operation] if inspect.isclass(kind)
}
ERRORS = {name: kind for name, kind in vars(qmpi.errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
CONSTRUCTED = ("Comm", "Register")  # by programs; what else there is, calls return


def methods(kind: type) -> dict[str, Callable[..., Any]]:
    ours = {name: member for name, member in inspect.getmembers(kind, inspect.isfunction) if member.__module__.startswith("qmpi")}
    named = {name: member for name, member in ours.items() if not name.startswith("_")}
    return named | ({"__init__": vars(kind)["__init__"]} if kind.__name__ in CONSTRUCTED else {})


def properties(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind, lambda m: isinstance(m, property)) if not name.startswith("_")}


FUNCTIONS = {name: (member, qmpi) for name, member in NAMES.items() if inspect.isfunction(member)} | {
    f"{owner}.{name}": (member, kind) for owner, kind in CLASSES.items() for name, member in methods(kind).items()
}
PROPERTIES = {f"{owner}.{name}": member for owner, kind in CLASSES.items() for name, member in properties(kind).items()}
DOCUMENTED = {**CLASSES, **ERRORS, **{name: member for name, (member, _) in FUNCTIONS.items()}, **PROPERTIES}


def every(table: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(table))


def test_the_calls_of_a_program_are_among_those_looked_at() -> None:
    assert {"measure", "gates.cx", "gates.h", "Comm.send", "Comm.ledger", "Request.wait", "Ledger.total", "RankLost"} <= DOCUMENTED.keys()


@every(DOCUMENTED)
def test_a_public_name_opens_with_a_sentence(name: str) -> None:
    first = summary(DOCUMENTED[name])
    assert first, f"{name} has no docstring"
    assert first[0].isupper() or first[0] in "`⟨", first
    assert first.splitlines()[0].endswith("."), first


@every(FUNCTIONS)
def test_every_parameter_is_documented_by_its_name_in_the_order_of_the_call(name: str) -> None:
    function, owner = FUNCTIONS[name]
    assert twin(function, owner) is not None or entries(function, "Args") == parameters(function)


@every(FUNCTIONS)
def test_sections_stand_in_the_order_of_the_house(name: str) -> None:
    found = sections(FUNCTIONS[name][0])
    assert found == sorted(set(found), key=ORDER.index), found


@every({name: pair for name, pair in FUNCTIONS.items() if name.startswith("Comm.")})
def test_every_method_of_a_communicator_states_its_cost(name: str) -> None:
    function, owner = FUNCTIONS[name]
    assert "Cost" in sections(twin(function, owner) or function)


@every({name: kind for name, kind in CLASSES.items() if dataclasses.is_dataclass(kind)})
def test_every_field_is_documented(name: str) -> None:
    assert entries(CLASSES[name], "Attributes") == [field.name for field in dataclasses.fields(CLASSES[name])]


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_what_a_docstring_says_is_raised_exists(file: Path) -> None:
    known = {*ERRORS, *vars(builtins), *(vars(click.exceptions) if file.parent.name == "cli" else ())}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            stated = type("Stated", (), {"__doc__": ast.get_docstring(node)})
            unknown = [name for name in entries(stated, "Raises") if name not in known]
            assert not unknown, f"{node.name}: {unknown}"


# --- the reading itself --------------------------------------------------------------------------------------------------------------


def good(q: int, peer: int) -> int:
    """Does it.

    Args:
        q: one.
        peer: another,
            on two lines.

    Returns:
        Nothing.

    **Collective.** Cost: 0 EPR pairs. Source: nowhere.
    """
    return q + peer


def test_the_sections_of_a_docstring_are_found() -> None:
    assert sections(good) == ["Args", "Returns", "Pairs with", "Cost", "Source"]
    assert entries(good, "Args") == parameters(good) == ["q", "peer"]
    assert summary(good) == "Does it." and "nowhere" in text(good)


def test_a_twin_must_belong_to_the_same_class_and_take_the_same_parameters() -> None:
    assert twin(qmpi.Comm.isend, qmpi.Comm) is qmpi.Comm.send
    assert twin(qmpi.Comm.isend, qmpi.Request) is None
    assert twin(qmpi.Comm.send, qmpi.Comm) is None
    other = type("Other", (), {"send": qmpi.Comm.recv, "isend": qmpi.Comm.isend})
    assert twin(other.isend, other) is None
