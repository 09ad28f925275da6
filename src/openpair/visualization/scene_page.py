"""One scene as a self-contained HTML page."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup

from openpair import __version__
from openpair.visualization.assets import PAGE, bundle, json_text, page_policy, read_asset
from openpair.visualization.scene_data import scene_data
from openpair.visualization.scene_view import SceneView

STYLES = ("theme.css", "report.css", "scene.css", "scene_panel.css")


def scene_page(
    view: SceneView,
    *,
    log: str = "",
    title: str = "",
    heading: str = "",
    headline: str = "",
    about: str = "",
    caption: str = "Space plays, arrows step.",
    all_reasons: bool = False,
) -> str:
    """Text of the page. No address outside itself occurs in it.

    Args:
        view: the scene.
        log: the log it is cut from.
        title, heading, headline, about, caption: words around it; those that are empty are left out.
        all_reasons: say something of every sub-metric, lost or not.
    """
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    data: dict[str, Any] = {"scene": scene_data(view, log=log), "options": {"all": all_reasons}}
    script = f"const SHOWN = {json_text(data)};\n{bundle(PAGE / 'scene_page.js')}"
    style = "".join(map(read_asset, STYLES))
    return environment.from_string(read_asset("scene_page.html.j2")).render(
        policy=page_policy([script], [style]),
        title=title or f"Scene {view.scene.token}",
        heading=heading,
        headline=headline,
        token=view.scene.token,
        about=about or log,
        caption=caption,
        style=Markup(style),
        version=__version__,
        script=Markup(script),
    )
