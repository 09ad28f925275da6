"""The documentation site builds without a warning, leads to every page, and has no link into the void."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason="the extra 'docs' is not installed")
DOCS = Path(__file__).parents[2] / "docs"


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        if (link := given.get("href") if tag == "a" else given.get("src")) is not None:
            self.links.append(link)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(out / "doctrees"), str(DOCS), str(out / "html")],
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )
    assert built.returncode == 0, built.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_the_navigation_leads_to_every_page(site: Path, pages: dict[Path, Page]) -> None:
    reached = {(site / urlsplit(link).path).resolve() for link in pages[site / "index.html"].links}
    sources = [path.relative_to(DOCS) for path in (*DOCS.glob("*.md"), *DOCS.glob("api/*.md"))]
    missing = {str(path) for path in sources if (site / path.with_suffix(".html")).resolve() not in reached}
    assert len(sources) > 15 and missing <= {"index.md"}


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (target in pages and parts.fragment not in {"", *pages[target].anchors}):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_it_can_be_searched_without_a_server(site: Path) -> None:
    assert "front_door" in (site / "searchindex.js").read_text()
