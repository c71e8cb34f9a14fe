"""The directives `standard-table` and `standard-calls`: the operations of a communicator, family by family.

`standard-table::` has a table per family, a row per operation; `standard-calls:: FAMILY` has the entries of all its methods. What they say
is in `standard_rows`.
"""

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from standard_rows import COLUMNS, FAMILIES, TITLES, WIDTHS, calls, cells


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
        """A table per family, one row per operation."""
        return [line for family in self.arguments or FAMILIES for line in self.table(family)]

    def table(self, family: str) -> list[str]:
        """The operations of a family."""
        lines = [
            f".. list-table:: {TITLES[family]}",
            "   :header-rows: 1",
            "   :class: standard",
            f"   :widths: {' '.join(map(str, WIDTHS))}",
            "",
        ]
        for first, *others in (COLUMNS, *map(cells, FAMILIES[family])):
            lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
        return [*lines, ""]


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
