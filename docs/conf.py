# SPDX-License-Identifier: MIT
"""The site: `make docs`, or `sphinx-build -W docs build/docs`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from docs.generate import __main__ as generate  # noqa: E402
from xenvcpu import __version__  # noqa: E402

project = "xenvcpu"
author = "The xenvcpu authors"
project_copyright = author
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# An attribute of a dataclass stands once, with what its docstring says.
napoleon_use_ivar = True
smartquotes = False
# What stands between backticks in a docstring is code.
default_role = "code"
exclude_patterns = ["generate"]
html_theme = "furo"
html_title = f"xenvcpu {__version__}"
html_theme_options = {"source_directory": "docs/"}
html_copy_source = False
html_show_sphinx = False

# Pages made from the code; they are not kept.
generate.write("site", HERE / "generated")
