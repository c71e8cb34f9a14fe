"""The house's docstrings as Sphinx reads them: kets, names in backticks, and the fields that Napoleon does not know.

A docstring is plain text for `help()`: |0⟩ stands as it is, a name in single backticks, `Pairs with: …` and `Cost: …` on one line. Here
bars are escaped, backticks become links where the name is public and code where it is not, and those lines become fields. Knows nothing
of what a docstring must contain: `tests/docs` does.
"""

import re

from rst import plain_to_rst
from sphinx.application import Sphinx

FIELD = re.compile(r"(?:(?<=^)|(?<=\. ))(Pairs with|Inverse|Cost|Source): ")
EXAMPLE = re.compile(r"^\s*>>> ")


def fields(lines: list[str]) -> list[str]:
    """Breaks `Cost: …` and its like out of their paragraphs; their further lines are indented under them."""
    result: list[str] = []
    inside = False
    for line in lines:
        if line == "Returns:":  # Napoleon would take what stands before a colon for a type
            line = ":returns:"
        pieces = FIELD.split(line)
        if len(pieces) == 1:
            inside = inside and bool(line)
            result.append(f"   {line}" if inside else line)
            continue
        if pieces[0].strip():
            result += [f"   {pieces[0]}" if inside else pieces[0], ""]
        elif not inside and result and result[-1] and not result[-1].startswith(":"):
            result.append("")
        result += [f":{name}: {text.strip()}" for name, text in zip(pieces[1::2], pieces[2::2], strict=True)]
        inside = True
    return result


def before_napoleon(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Rewrites the docstring in place."""
    lines[:] = fields([line if EXAMPLE.match(line) else plain_to_rst(line) for line in lines])


def without_constructor(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, result: str | None
) -> tuple[str, str] | None:
    """Programs construct communicators and registers; what else they get, calls return."""
    shown = what not in ("class", "exception") or name in ("qmpi.Comm", "qmpi.Register")
    return None if shown or arguments is None else ("", "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs before Napoleon, which reads Args, Returns and Raises."""
    app.connect("autodoc-process-docstring", before_napoleon, priority=400)
    app.connect("autodoc-process-signature", without_constructor)
    return {"parallel_read_safe": True}
