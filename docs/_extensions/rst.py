"""Text of the house as reStructuredText: bars are escaped, names in backticks become links where the name is public. Knows no Sphinx."""

import re

import qmpi


def link(match: re.Match[str]) -> str:
    """A name in backticks: a link if it is public, else code."""
    text = match[1]
    name = text.removesuffix("()").removeprefix("qmpi.")
    if name in dir(qmpi.Comm) and not name.startswith("_"):
        return f":py:obj:`{text} <qmpi.Comm.{name}>`"
    if name in dir(qmpi.errors) and name[0].isupper():
        return f":py:exc:`{text} <qmpi.errors.{name}>`"
    return f"``{text}``"


def plain_to_rst(line: str) -> str:
    """One line of prose."""
    parts = re.split(r"(`[^`]+`)", line)
    return "".join(re.sub(r"`([^`]+)`", link, part) if k % 2 else part.replace("|", r"\|") for k, part in enumerate(parts))
