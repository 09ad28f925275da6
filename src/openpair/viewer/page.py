"""The page: as it is served, and as one file that carries everything inside."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from openpair.visualization.assets import bundle, json_text, page_policy, read_asset

PAGE = Path(__file__).parent / "page"
VENDOR = PAGE / "vendor"
TITLE = "Scenes"


@cache
def served_script() -> str:
    """The page's only script: the chart library, then our modules."""
    return f"{_read(VENDOR / 'uPlot.iife.min.js')}\n{bundle(PAGE / 'app.js')}"


@cache
def served_style() -> str:
    """The page's only style sheet."""
    shared = "".join(map(read_asset, ("theme.css", "scene.css", "scene_panel.css")))
    return _read(VENDOR / "uPlot.min.css") + shared + _read(PAGE / "app.css")


@cache
def served_page() -> str:
    """The page as the server gives it: script and style beside it, data on request."""
    return _render(title=TITLE, policy="", style="", script="", exported="")


def exported_page(title: str, data: dict[str, Any]) -> str:
    """The page as one file. ``data`` is what :mod:`openpair.viewer.export` collects."""
    script, style, inside = served_script(), served_style(), json_text(data)
    return _render(
        title=title,
        policy=page_policy([script, inside], [style]),
        style=Markup(style),
        script=Markup(script),
        exported=Markup(inside),
    )


def _render(**values: Any) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_read(PAGE / "index.html.j2")).render(**values)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
