"""How the site is built: `python -m sphinx -W -n docs build/docs`. Nothing is executed; the tests run every program it shows."""

import sys
from pathlib import Path

import qmpi

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "qmpi"
copyright = "the qmpi authors, Apache-2.0"
version = release = qmpi.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "myst_nb",
    "house_docstrings",
    "gate_table",
    "error_tree",
    "settings_table",
    "standard_table",
]
exclude_patterns = ["_extensions"]
html_theme = "furo"
html_title = f"qmpi {version}"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

# What signatures name and nobody needs a page for; `Qubits` and `Operand` are a Qubit, a Register or a list of these, `Buffer` these or
# IN_PLACE, `AnyRequest` a Request, persistent or not.
_ALIASES = ("AnyRequest", "ArrayLike", "Buffer", "Operand", "Qubits")
_UNTOLD = (
    "comm.request.Result",
    "comm.persistent.Result",
    "comm.transfer.Transfer",
    "world.order.Order",
    "world.threads.Result",
    "gates.table.Step",
    "runtime.obligations.Side",
)
nitpick_ignore = [("py:class", name) for name in (*_ALIASES, *(f"qmpi.{name}" for name in _UNTOLD))]
nitpick_ignore_regex = [("py:.*", r"(numpy|mpi4py|pathlib|collections\.abc|types|typing)\..*")]
