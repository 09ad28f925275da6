"""The example of docs/scoring.md runs as printed and learns."""

from __future__ import annotations

import pytest
from docs_examples import python_block
from scoring_golden import ROOT


def test_reward_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code = python_block("As a reward in your own training loop")
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(compile(code, "docs/scoring.md", "exec"), names)
    assert "mean reward" in capsys.readouterr().out
    assert float(names["reward"].mean()) > 0.75  # it starts below 0.3 and cannot exceed 0.9
    assert 1.0 < names["speed"].item() < 4.0
