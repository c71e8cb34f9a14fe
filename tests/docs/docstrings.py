"""A docstring read back: its sections, the names it documents, the twin it refers to. Knows nothing of what is public."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

ORDER = ("Args", "Returns", "Pairs with", "Raises", "Cost", "Example", "Source")  # "Collective." stands where "Pairs with" would
_SECTION = re.compile(r"(?:^|(?<=\. )|(?<=\*\* ))(?:(Args|Returns|Pairs with|Raises|Cost|Example|Source):|\*\*Collective\.\*\*)", re.M)
_TWIN = re.compile(r"`(\w+)`")
_ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \w+)*): \S", re.M)


def text(of: object) -> str:
    """The docstring without its indentation; empty if there is none."""
    return inspect.cleandoc(getattr(of, "__doc__", None) or "")


def summary(of: object) -> str:
    """The first paragraph."""
    return text(of).partition("\n\n")[0]


def sections(of: object) -> list[str]:
    """The sections' names, in the order in which they stand."""
    return [match[1] or "Pairs with" for match in _SECTION.finditer(text(of))]


def entries(of: object, section: str) -> list[str]:
    """The names that a section documents, such as "q" or "RankOutOfRange"; several before one colon count each."""
    begin = re.search(rf"^{section}:\n", text(of), re.M)
    lines = text(of)[begin.end() :].splitlines() if begin else []
    end = next((k for k, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    return [name.lstrip("*") for group in _ENTRY.findall("\n".join(lines[:end])) for name in group.split(", ")]


def parameters(of: Callable[..., Any]) -> list[str]:
    """What a call gives, besides self."""
    return [name for name in inspect.signature(of).parameters if name != "self"]


def twin(of: Callable[..., Any], owner: object) -> Callable[..., Any] | None:
    """The method that a docstring may point to in place of sections of its own.

    Its first word is that method's name in backticks (`send` that does not wait); that method belongs to the same owner, takes the same
    parameters, and is no twin itself.
    """
    match = _TWIN.match(text(of))
    other = getattr(owner, match[1], None) if match else None
    if other is None or parameters(other) != parameters(of) or _TWIN.match(text(other)):
        return None
    return other  # type: ignore[no-any-return]
