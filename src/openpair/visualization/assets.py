"""Style sheets and scripts of the pages, as text: pages carry them inside, so that they open anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"

_IMPORT = re.compile(r'^import (?:\{[^}]*\} from )?"(\.{1,2}/[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:class|function|const|async) )", re.MULTILINE)
_COLOUR = re.compile(r"--([\w-]+):\s*light-dark\(([^,()]+),\s*([^()]+)\)")


@cache
def read_asset(name: str) -> str:
    """Text of a file of the folder ``page``."""
    return (PAGE / name).read_text(encoding="utf-8")


def bundle(entry: Path) -> str:
    """One script of a JavaScript module and of all that it imports, each once and before those that import it.

    Modules import by relative path (``import {a, b} from "./c.js";``, one a line); top-level names are unique across
    them. The text needs no module loader, so it works inside a page that was opened from a disk.
    """
    done: dict[Path, str] = {}

    def take(path: Path) -> None:
        if path in done:
            return
        text = path.read_text(encoding="utf-8")
        done[path] = ""  # breaks circles
        for name in _IMPORT.findall(text):
            take((path.parent / name).resolve())
        done[path] = _EXPORT.sub("", _IMPORT.sub("", text))
        order.append(path)

    order: list[Path] = []
    take(entry.resolve())
    return "\n".join(done[path] for path in order)


def colours_of(style: str, *, dark: bool = False) -> dict[str, str]:
    """Variable -> light (or dark) colour, of a style sheet's ``--name:light-dark(light,dark)``."""
    return {found[0]: found[2 if dark else 1].strip() for found in _COLOUR.findall(style)}


def light_style(style: str) -> str:
    """A style sheet with the light colours written out: viewers of drawings outside a page know no variables."""
    colours = colours_of(style)
    plain = _COLOUR.sub("", style)
    return re.sub(r"var\(--([\w-]+)\)", lambda match: colours[match.group(1)], plain)


def json_text(data: Any) -> str:
    """JSON that may stand inside a ``<script>`` element: no text of it can end the element or begin another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def content_hash(text: str) -> str:
    """``'sha256-...'``: allows one inline script or style in a content security policy."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def page_policy(scripts: list[str], styles: list[str]) -> str:
    """Content security policy of a page that carries everything inside: these scripts and styles, images of its own."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(content_hash, scripts))}",
            f"style-src {' '.join(map(content_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
