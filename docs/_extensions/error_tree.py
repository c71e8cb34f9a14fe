"""The directive `error-tree`: the classes of `qmpi.errors` as they inherit, then each in full."""

import inspect

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from qmpi import errors


def own_children(parent: type[BaseException]) -> list[type[BaseException]]:
    """What derives directly from `parent` in qmpi, in the order of the file."""
    return [kind for kind in vars(errors).values() if inspect.isclass(kind) and parent in kind.__bases__]


def family(kind: type[BaseException]) -> list[type[BaseException]]:
    """`kind` and all below it, depth first."""
    return [kind, *(each for child in own_children(kind) for each in family(child))]


def bullets(kind: type[BaseException], depth: int = 0) -> list[str]:
    """A nested list of names that begins with `kind`."""
    builtin = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
    line = f"{'  ' * depth}- :py:exc:`~qmpi.errors.{kind.__name__}`{''.join(f' ({name})' for name in builtin)}"
    return [line, "", *(text for child in own_children(kind) for text in bullets(child, depth + 1))]


class ErrorTree(SphinxDirective):
    """`.. error-tree::`"""

    def run(self) -> list[nodes.Node]:
        """The tree of names, then every class."""
        entries = [line for kind in family(errors.QMPIError) for line in (f".. autoexception:: qmpi.errors.{kind.__name__}", "")]
        box = nodes.container()
        self.state.nested_parse(StringList([*bullets(errors.QMPIError), *entries], source="error-tree"), self.content_offset, box)
        return box.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("error-tree", ErrorTree)
    return {"parallel_read_safe": True}
