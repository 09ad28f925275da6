"""Every script of examples/ runs alone, in an empty folder, at a small size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = {
    "score_your_plans": (["--scenes", "2"], "EPDMS of slow, same, fast, human"),
    "plug_in_a_policy": (["--scenes", "2"], "turn as commanded"),
    "write_an_advantage": (["--steps", "1", "--scenes", "4"], "best_leaf_score"),
    "draw_a_navsim_scene": ([], "cam_f0"),
    "reward_in_your_own_loop": (["--steps", "4", "--scenes", "2"], "mean reward"),
}
"""Script -> small size, what it says."""


def test_every_script_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_the_script_runs(name: str, tmp_path: Path) -> None:
    arguments, says = RUNS[name]
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert says in result.stdout
    if name == "draw_a_navsim_scene":
        drawing = (tmp_path / "picture.svg").read_text()
        assert all(
            f'class="{what}"' in drawing for what in ("road", "route", "lanes", "agent car", "drive human", "ego")
        )
        assert (tmp_path / "picture.jpg").stat().st_size > 10_000
