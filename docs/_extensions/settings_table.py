"""The directive `settings-table`: the settings as the command line knows them, one row per variable."""

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from qmpi.cli.options import SETTINGS

COLUMNS = ("Variable", "Option of ``qmpi run``", "Values", "Default", "Meaning")


class SettingsTable(SphinxDirective):
    """`.. settings-table::`"""

    def run(self) -> list[nodes.Node]:
        """One row per setting."""
        rows = ((f"``{row.variable}``", f"``{row.option}``", row.values, row.default, row.meaning) for row in SETTINGS)
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for first, *others in (COLUMNS, *rows):
            lines += [f"   * - {first}", *(f"     - {cell.replace('|', ' | ')}" for cell in others)]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source="settings-table"), self.content_offset, box)
        return box.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("settings-table", SettingsTable)
    return {"parallel_read_safe": True}
