"""What ``openpair bench view`` measures in headless Chromium: until a reader sees the table, and a scene."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
WAIT_MS, POLL_MS = 60_000, 10
LOOK_MS = 400
"""A reader looks at a scene before the next: so long at least."""


@dataclass(frozen=True)
class Seen:
    """Times in a browser [s]; processor times are those of the page's main thread.

    Attributes:
        table_s: from asking for the page until rows of the table are on the screen.
        first_scene_s: the same until the scene is drawn that is open at first.
        opened_cpu_s: processor time until then.
        scenes_s: from choosing a scene until it is drawn.
        scene_cpu_s: processor time of one, mean.
    """

    table_s: float
    first_scene_s: float
    opened_cpu_s: float
    scenes_s: tuple[float, ...]
    scene_cpu_s: float


def chromium() -> tuple[str | None, str]:
    """A Chromium on this machine that Playwright can drive; else None, and what is missing."""
    if find_spec("playwright") is None:
        return None, "Nothing was measured in a browser: Playwright is not installed (pip install 'openpair[dev]')."
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    return path, "" if path else f"Nothing was measured in a browser: there is no {' or '.join(BROWSERS)}."


def watch(browser: str, address: str, tokens: Sequence[str]) -> Seen:
    """Open the page, then some scenes, in a window of 1440 x 900.

    Args:
        browser: path of Chromium.
        address: of the page.
        tokens: two scenes or more that were not asked for before; the one that is open at first does not count.

    Raises OpenPairError where something does not come onto the screen.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=browser, args=list(FLAGS))
        try:
            page = started.new_page(viewport={"width": 1440, "height": 900})
            own = page.context.new_cdp_session(page)
            own.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(address, timeout=WAIT_MS)
            table_s = _marked(page, "table")
            first = page.locator(".t-row.current").get_attribute("data-token")
            first_s = _marked(page, f"scene:{first}")
            opened_cpu_s = _processor_s(own)
            scenes_s = tuple(_choose(page, token) for token in tokens if token != first)
            return Seen(table_s, first_s, opened_cpu_s, scenes_s, (_processor_s(own) - opened_cpu_s) / len(scenes_s))
        finally:
            started.close()


def _processor_s(own: CDPSession) -> float:
    """Processor time of the page's main thread so far [s]."""
    metrics = own.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def _choose(page: Page, token: str) -> float:
    """Seconds from choosing a scene, by its address, until it is drawn."""
    page.wait_for_timeout(LOOK_MS)
    fragment = urlencode({"scene": token})
    started: float = page.evaluate("to => { const now = performance.now(); location.hash = to; return now; }", fragment)
    return _marked(page, f"scene:{token}") - started / 1000


def _marked(page: Page, name: str) -> float:
    """When the page noted that something is on the screen [s since it was asked for]."""
    for _ in range(WAIT_MS // POLL_MS):
        at = page.evaluate("name => performance.getEntriesByName(name)[0]?.startTime", name)
        if at is not None:
            return float(at) / 1000
        page.wait_for_timeout(POLL_MS)
    raise OpenPairError(f"'{name}' does not come onto the screen within {WAIT_MS // 1000} s", where="the browser")
