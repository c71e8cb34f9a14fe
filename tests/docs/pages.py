"""The programs that the site shows, read from its pages, and what each is said to print.

A page shows a program in a fenced block of Python whose first line is a comment that begins with its file name, `# pair.py: …`, or that
a `literalinclude` takes from `examples`. A `console` block below it gives the command that runs it, `$ QMPI_SEED=1 mpiexec -n 2 python
pair.py`, and what comes out; `…` stands for anything, on a line of its own for any lines. Knows nothing of how ranks are started.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "decisions" not in page.parts and page.stem != "architecture")

_BLOCK = re.compile(r"^( *)```(\S+)(?: ([^\n]*))?\n(.*?)^\1```$", re.M | re.S)
_NAME = re.compile(r"# (\w+\.py)\b")
_SETTING = re.compile(r"QMPI_\w+=")


@dataclass(frozen=True, slots=True)
class Run:
    """One command of a page.

    Attributes:
        settings: the variables before the command.
        words: the command.
        printed: the lines that the page says come out.
    """

    settings: dict[str, str]
    words: tuple[str, ...]
    printed: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the page shows it end by an error."""
        return any(line.startswith("qmpi.errors.") for line in self.printed)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Fenced blocks as (language, rest of the first line, text)."""
    return [(match[2], match[3] or "", textwrap.dedent(match[4])) for match in _BLOCK.finditer(page.read_text())]


def programs(page: Path) -> dict[str, str]:
    """Every program of the page by the path that its command uses.

    Raises:
        ValueError: a block does not name its program.
    """
    found = {}
    for language, rest, body in blocks(page):
        if language == "{literalinclude}":
            file = (page.parent / rest).resolve()
            found[str(file.relative_to(REPOSITORY))] = file.read_text()
        if language == "python":
            name = _NAME.match(body)
            if name is None:
                raise ValueError(f"{page}: a block of Python must begin with the name of its program: {body.splitlines()[0]}")
            found[name[1]] = body
    return found


def runs(page: Path) -> list[Run]:
    """Every command of the page, in order."""
    found = []
    for language, _, body in blocks(page):
        if language == "console":
            command, *printed = body.splitlines()
            words = shlex.split(command.removeprefix("$ "))
            settings = dict(word.split("=", 1) for word in words if _SETTING.match(word))
            found.append(Run(settings, tuple(word for word in words if not _SETTING.match(word)), tuple(printed)))
    return found


def differences(printed: tuple[str, ...], output: str) -> list[str]:
    """Lines in which a page and what came out differ, whatever their order: "-" did not come, "+" is not on the page."""
    came, lost = output.splitlines(), []
    for line in printed:
        if line == "…":
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        match = next((other for other in came if pattern.fullmatch(other)), None)
        if match is None:
            lost.append(f"- {line}")
        else:
            came.remove(match)
    return lost if "…" in printed else lost + [f"+ {line}" for line in came]
