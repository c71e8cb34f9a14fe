"""House rules that tests hold: each file says what it is, nothing is skipped, no assertion depends on how long something took."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FILES = {str(path.relative_to(TESTS)): path for path in sorted(TESTS.rglob("*.py")) if path.stat().st_size > 0}
DURATION = re.compile(r"(^|_)(seconds|elapsed|duration|late|took)(_s)?$")

SKIP = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)$")


def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(), name)


def words(node: ast.AST) -> Iterator[str]:
    """Names, attributes and texts in an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def durations(module: ast.AST) -> list[str]:
    """Lines that assert a duration."""
    asserted = [node.test for node in ast.walk(module) if isinstance(node, ast.Assert)]
    return [f"line {test.lineno}: {ast.unparse(test)}" for test in asserted if any(DURATION.search(word) for word in words(test))]


def skips(module: ast.AST) -> list[str]:
    found = [
        node for node in ast.walk(module) if isinstance(node, ast.Attribute) and node.attr in ("skip", "skipif", "xfail", "importorskip")
    ]
    return [f"line {node.lineno}: {ast.unparse(node)}" for node in found if ast.unparse(node).startswith("pytest.")]


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 100


def test_a_file_opens_with_what_it_is() -> None:
    assert [name for name in FILES if not ast.get_docstring(tree(name))] == []


def test_no_assertion_depends_on_how_long_something_took() -> None:
    assert {name: found for name in FILES if (found := durations(tree(name)))} == {}


def test_nothing_is_skipped_or_expected_to_fail() -> None:
    assert {name: found for name in FILES if (found := skips(tree(name)))} == {}


def test_a_duration_that_is_asserted_is_found() -> None:
    for line in ("assert facts['seconds'] < 3", "assert late_s < AT_ONCE_S and x", "assert run.elapsed <= 1"):
        assert durations(ast.parse(line))
    assert durations(ast.parse("assert time.monotonic() < deadline, 'it hangs'")) == []  # a bound against hanging


def test_a_skip_is_found() -> None:
    assert skips(ast.parse("@pytest.mark.skipif(True)\ndef test(): pytest.skip('x')")) != []
