"""Sphinx builds the documentation site from the pages beside this file: ``make docs``."""

from __future__ import annotations

import re
from pathlib import Path

import openpair

HERE = Path(__file__).parent

project = "OpenPaIR"
author = "OpenPaIR contributors"
release = version = openpair.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"OpenPaIR {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "html_image"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

# Sphinx's way to say which warnings a build may have: docstrings name things by :class: and :data: that have no page.
nitpicky = False

REPOSITORY_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)[^)\s]*\)")


def link_into_the_repository(app: object, name: str, source: list[str]) -> None:
    """Pages link to files of the repository, for those who read them there. The site has the words of the link alone.

    Raises FileNotFoundError for a link to a file that is not there.
    """

    def text(link: re.Match[str]) -> str:
        target = (HERE / f"{name}.md").parent / link[2]
        if not target.exists():
            raise FileNotFoundError(f"docs/{name}.md links to {link[2]}, which is not there")
        return link[1] if link[1].startswith("`") else f"`{link[1]}`"

    source[0] = REPOSITORY_LINK.sub(text, source[0])


def setup(app: object) -> None:
    """Register the hook above."""
    app.connect("source-read", link_into_the_repository)  # type: ignore[attr-defined]
