"""Golden cases for the tests: those in the repository, and all of them where the shared folder is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
IN_REPOSITORY = ROOT / "tests" / "data" / "golden" / "pdm"
SHARED = (ROOT.parent / "shared" / "golden" / "pdm", ROOT.parent / "shared" / "golden" / "pdm_real")

POSITION_TOLERANCE = 1e-6
SCORE_TOLERANCE = 1e-9


def golden_files(folder: str, pattern: str) -> list:
    """Parameters: files of the repository, then of the shared folder (one skipped entry where that is absent)."""
    files = [pytest.param(path, id=f"repo-{path.stem}") for path in sorted((IN_REPOSITORY / folder).glob(pattern))]
    for shared in SHARED:
        if shared.is_dir():
            found = sorted((shared / folder).glob(pattern))
            files += [pytest.param(path, id=f"{shared.name}-{path.stem}") for path in found]
        else:
            reason = f"golden cases of {shared.name} are not beside the repository (../shared/golden)"
            files.append(pytest.param(None, id=f"{shared.name}-absent", marks=pytest.mark.skip(reason=reason)))
    return files


def load(path: Path) -> dict[str, NDArray]:
    """All arrays of a file."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def assert_close(name: str, actual: NDArray, expected: NDArray, tolerance: float) -> None:
    """Equal shape; inf equal to inf; the rest within the tolerance."""
    assert actual.shape == expected.shape, name
    same = actual == expected
    with np.errstate(invalid="ignore"):
        off = np.where(same, 0.0, np.abs(actual.astype(float) - expected.astype(float)))
    assert not np.isnan(off).any(), name
    assert off.max(initial=0.0) <= tolerance, f"{name}: off by {off.max():.3g}"
