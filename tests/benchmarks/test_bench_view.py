"""The benchmark of the page of results serves a small result, and asks for everything that it measures."""

from __future__ import annotations

import json
import subprocess
from importlib.util import find_spec

import pytest

from openpair.benchmarks.view import OPENPAIR
from openpair.benchmarks.view_browser import chromium
from openpair.cli.main import main


def test_waits_and_memory_are_measured() -> None:
    # In a process of its own: Playwright drives one browser a thread, and tests of the page may have one open.
    command = [*OPENPAIR, "bench", "view", "--scenes", "4", "--opened", "2", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    waits = {wait["what"]: wait for wait in found["waits"]}
    assert all(wait["value"] > 0 and wait["met"] == (wait["value"] <= wait["target"]) for wait in waits.values())
    assert {"a scene, median", "memory of the server"} <= waits.keys()
    in_browser = [what for what in waits if what.startswith("browser")]
    browser, missing = chromium()
    assert found["not_measured"] == missing
    assert len(in_browser) == (0 if browser is None else 5)
    if find_spec("playwright") is None:
        assert "Playwright is not installed" in missing


def test_too_few_scenes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "view", "--scenes", "3", "--opened", "2"])
    assert ended.value.code == 2
    assert "2 and 2 of 3 scenes cannot be opened" in capsys.readouterr().err
