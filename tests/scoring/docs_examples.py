"""Python blocks of docs/scoring.md, found by the heading above them."""

from __future__ import annotations

import re

from scoring_golden import ROOT


def python_block(heading: str) -> str:
    """The one Python block in the section of that heading."""
    text = (ROOT / "docs" / "scoring.md").read_text()
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE))
    (code,) = re.findall(r"```python\n(.*?)```", sections[heading], flags=re.DOTALL)
    return code
