"""A page in headless Chromium that is watched while a test uses it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra dev)")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Watched:
    """A page whose complaints are collected: errors of scripts, refused addresses, dialogs."""

    def __init__(self, browser: playwright.Browser, width: int = 1440, height: int = 900) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else 0)
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def tokens(self) -> list[str]:
        """Tokens in the table, from top to bottom."""
        return self.page.eval_on_selector_all(".t-row", "rows => rows.map((row) => row.dataset.token)")

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds: the page forbids Playwright's own way, which evaluates text inside it."""
        for _ in range(200):
            if holds():
                return
            self.page.wait_for_timeout(50)
        assert holds()

    def step(self) -> float:
        """Time that is shown [s]."""
        return float(self.page.inner_text(".clock output").split()[0])
