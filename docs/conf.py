"""How Sphinx builds the documentation (`make docs`): a warning is an error, and nothing is loaded from elsewhere."""

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Transship"
version = release = _PROJECT["version"]
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
nitpicky = True
myst_heading_anchors = 4  # links to headings, as Git hosts make them
myst_all_links_external = False
html_theme = "furo"
html_title = f"Transship {version}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}
