"""Errors: their texts are ASCII, so that they can be printed wherever they are wanted."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import qmpi
from qmpi import errors
from tests.worlds.launch import REPOSITORY

SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
CORE = sorted((REPOSITORY / "csrc").rglob("*.cc"))


def raised(tree: ast.AST) -> list[ast.expr]:
    """What is raised, and what is handed to exceptions that are raised elsewhere or printed."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [node for node in calls if name_of(node).endswith(("Error", "announce", "Argument")) or hasattr(errors, name_of(node))]
    return [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None] + [*made]


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else call.func.attr if isinstance(call.func, ast.Attribute) else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY / "src")))
def test_what_we_write_in_an_error_is_ascii(path: Path) -> None:
    for expression in raised(ast.parse(path.read_text())):
        for node in ast.walk(expression):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value.isascii(), f"{path}:{node.lineno}: {node.value!r}"


def test_texts_of_the_core_are_ascii() -> None:
    assert SOURCES and CORE
    wrong = [
        f"{path}:{number}: {line}"
        for path in CORE
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if '"' in line and not line.partition("//")[0].isascii()
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.QMPIError)])
def test_whatever_is_told_in_an_error_its_text_is_ascii(kind: type[errors.QMPIError]) -> None:
    error = kind("a file ü⟩…\udcff is not there")
    assert str(error).startswith(r"a file \xfc\u27e9\u2026\udcff is not there [") and str(error).isascii()
    assert error.what == r"a file \xfc\u27e9\u2026\udcff is not there"


def test_what_the_core_tells_of_a_program_s_own_words_is_ascii() -> None:
    def program() -> None:
        comm = qmpi.COMM_WORLD
        if comm.rank == 1:
            comm.barrier()
            raise ZeroDivisionError("größer ⟩")
        comm.barrier()
        with pytest.raises(errors.PeerFailed) as failed:
            comm.recv(source=1)
        assert str(failed.value).isascii() and r"gr\xf6\xdfer \u27e9" in str(failed.value)
        raise failed.value

    with pytest.raises(ZeroDivisionError):
        qmpi.run(program, 2)
