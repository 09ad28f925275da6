"""The wheel, built and installed into an environment of its own, has everything that commands read.

The other packages are those of the running Python. A build and some starts take half a minute: this runs where
OPENPAIR_TEST_WHEEL is set, as 'make test' does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not os.environ.get("OPENPAIR_TEST_WHEEL"), reason="OPENPAIR_TEST_WHEEL is not set")

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def checked(*command: object, folder: Path) -> str:
    """Output of a command that succeeds."""
    words = list(map(str, command))
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy: setuptools would take what earlier builds left beside the sources
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    checked(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, folder=folder)
    (built,) = folder.glob("openpair-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """An environment with the wheel, which sees the packages of the running Python, but no OpenPaIR among them: files
    of links (.pth), by which a checkout is installed, count in an environment's own folder alone."""
    folder = wheel.parent / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    own = checked(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    others = dict.fromkeys(path for path in sys.path if path.endswith("site-packages"))
    (Path(own) / "others.pth").write_text("\n".join(others or (sysconfig.get_path("purelib"),)))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    checked(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    return folder


def openpair(site: Path, folder: Path, *words: object) -> str:
    """Output of a command of the wheel, run in an empty folder."""
    return checked(site / "bin" / "openpair", *words, folder=folder)


def test_it_asks_for_torch_by_an_extra_alone(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Requires-Python"] == ">=3.10"
    wanted = [text for text in metadata.get_all("Requires-Dist", []) if text.startswith(("torch", "timm"))]
    assert len(wanted) == 3 and all('extra == "train"' in text.replace("'", '"') for text in wanted)


def test_doctor_and_an_evaluation(site: Path, tmp_path: Path) -> None:
    where = checked(site / "bin" / "python", "-c", "import openpair; print(openpair.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(site)
    assert "All that is needed is there" in openpair(site, tmp_path, "doctor")
    openpair(site, tmp_path, "eval", "--dataset", "world", "--max-scenes", 1, "--workers", 1, "--out", "results")
    assert (tmp_path / "results" / "scores.csv").is_file()


def test_the_tour(site: Path, tmp_path: Path) -> None:
    options = ("--preset", "tour", "--test-scenes", 2, "--gallery", 1, "--workers", 1)
    assert "openpair view tour" in openpair(site, tmp_path, "demo", *options)
    assert (tmp_path / "tour" / "report.html").is_file()


def test_the_package_brings_cases_and_pages(site: Path, tmp_path: Path) -> None:
    case = sorted(site.rglob("benchmarks/cases/v1/*.npz"))[0]
    assert "1 of 1 cases scored" in openpair(site, tmp_path, "score", case, "--protocol", "v1.1")
    openpair(site, tmp_path, "explain", case, "--out", "why.html")
    assert (tmp_path / "why.html").is_file()
