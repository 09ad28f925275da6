"""Python blocks of README and docs.

A block runs as it stands, from an empty folder. One that cannot has a comment above it: ``<!-- not run: why -->``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: below the repository.
        heading: of its section.
        code: as printed.
        not_run: why it does not run by itself; None where it does.
    """

    page: str
    heading: str
    code: str
    not_run: str | None

    @property
    def name(self) -> str:
        return f"{self.page}: {self.heading}"


def blocks() -> list[Block]:
    """All Python blocks, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            headings = re.findall(r"^#+ ([^\n]+)$", text[: match.start()], flags=re.MULTILINE)
            found.append(Block(str(page.relative_to(ROOT)), headings[-1], match["code"], match["why"]))
    return found


def python_block(heading: str) -> str:
    """The one Python block in the section of that heading."""
    (block,) = (block for block in blocks() if block.heading == heading)
    return block.code
