"""The wheel has everything that the commands read: doctor, scoring and an evaluation from it, away from the repository.

Slow (a build, two starts): runs where OPENPAIR_TEST_WHEEL is set. Dependencies are those of the running Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not os.environ.get("OPENPAIR_TEST_WHEEL"), reason="OPENPAIR_TEST_WHEEL is not set")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(ROOT))
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("openpair-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def call(site: Path, folder: Path, *words: object) -> str:
    """Output of a command of the wheel, run in an empty folder."""
    command = (sys.executable, "-m", "openpair.cli.main", *map(str, words))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_doctor_and_an_evaluation(site: Path, tmp_path: Path) -> None:
    assert "All that is needed is there" in call(site, tmp_path, "doctor")
    call(site, tmp_path, "eval", "--dataset", "world", "--max-scenes", 1, "--workers", 1, "--out", "results")
    assert (tmp_path / "results" / "scores.csv").is_file()


def test_the_package_brings_cases_and_pages(site: Path, tmp_path: Path) -> None:
    case = next((site / "openpair" / "benchmarks" / "cases").rglob("*.npz"))
    assert "1 of 1 cases scored" in call(
        site, tmp_path, "score", case, "--protocol", "v1.1" if "v1" in str(case) else "v2.2"
    )
    call(site, tmp_path, "explain", case, "--out", "why.html")
    assert (tmp_path / "why.html").is_file()
