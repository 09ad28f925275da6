"""Python code of README and docs runs as printed, from an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_examples import Block, blocks, python_block

RUN = [block for block in blocks() if block.not_run is None]


def test_the_known_pages_have_code_that_runs() -> None:
    assert {"README.md", "docs/index.md", "docs/scoring.md", "docs/world.md"} <= {block.page for block in RUN}
    assert len(blocks()) - len(RUN) <= 2


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.name)
def test_it_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block.code, block.page, "exec"), {"__name__": "example"})
    assert not list(tmp_path.iterdir())


def test_the_reward_example_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(python_block("As a reward in your own training loop"), "docs/scoring.md", "exec"), names)
    assert float(names["reward"].mean()) > 0.85  # it starts at 0.34
    assert 3.0 < names["speed"].item() < 5.0
