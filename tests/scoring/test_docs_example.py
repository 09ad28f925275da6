"""The example of docs/scoring.md runs as printed and learns."""

from __future__ import annotations

import re

import pytest
from scoring_golden import ROOT


def test_reward_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "scoring.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(compile(code, "docs/scoring.md", "exec"), names)
    assert "mean reward" in capsys.readouterr().out
    assert float(names["reward"].mean()) > 0.3
    assert names["speed"].item() != 4.0
