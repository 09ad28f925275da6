"""The scorer as a library of its own: it needs neither torch nor the rest of what OpenPaIR uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scoring_golden import IN_REPOSITORY

from openpair.benchmarks import score as bench_score
from openpair.benchmarks.score import find_cases

BLOCKED = ("torch", "torchvision", "timm", "scipy", "cv2", "shapely", "pyarrow", "tyro", "rich", "yaml", "safetensors")

SCORE = """
import sys
sys.modules.update({name: None for name in %r})  # importing any of them is an ImportError
import numpy as np
from openpair.scoring import prepare_case, read_case, score_prepared
case = %r
scores = score_prepared(prepare_case(case, %r), read_case(case)["trajs"])
arrays = read_case(case)
expected = arrays["out_score" if "out_score" in arrays else "out_score_ec_none"]
assert np.abs(scores.score - expected).max() < 1e-9
"""


@pytest.mark.parametrize(("name", "protocol"), [("v1/case006.npz", "v1.1"), ("v2/case065.npz", "v2.2")])
def test_it_scores_with_numpy_and_warp_alone(name: str, protocol: str) -> None:
    code = SCORE % (BLOCKED, str(IN_REPOSITORY / name), protocol)
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_benchmark_has_cases_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = find_cases(())
    assert {path.parent.name for path in found} == {"v1", "v2"}
    package = Path(os.fspath(bench_score.__file__)).parent
    for path in found:
        assert path.is_relative_to(package)
        assert path.read_bytes() == (IN_REPOSITORY / path.parent.name / path.name).read_bytes()
