"""Every row of ../shared/cases/README.md by its command, and what ``openpair doctor`` says of it.

Rows that have tests of their own: 01 tests/evaluation/test_sensors_on_demand.py, 03
tests/models/test_foreign_checkpoints.py.
"""

from __future__ import annotations

import csv
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openpair.cli.main import main

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
MAPS = CASES.parent / "golden" / "navsim" / "maps"
LOG = "2021.03.03.01.00.00_veh-cologne3-stop_00001_00020.pkl"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs cases in ../shared beside the project root")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The field cases with maps beside them; files of the robust ones as logs of folders of their own."""
    out = tmp_path_factory.mktemp("cases")
    subprocess.run(["bash", str(CASES / "field" / "prepare.sh"), str(out)], check=True)
    for path in (CASES / "robust").glob("*.pkl"):
        logs = out / path.stem / "navsim_logs" / "mini"
        logs.mkdir(parents=True)
        shutil.copyfile(path, logs / path.name)
        (out / path.stem / "maps").symlink_to(MAPS)
    return out


def run(*command: object) -> int:
    """Exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(part) for part in command])
    return int(ended.value.code or 0)


def evaluate(root: Path, out: Path, *more: object) -> tuple[int, list[dict[str, str]]]:
    """Exit status of the table's 'openpair eval' with the human, or another agent, and the rows of scores.csv."""
    agent = () if "--agent" in more else ("--agent", "human")
    fixed = ("--dataset", "navsim", "--split", "mini", "--workers", 1, "--protocol", "v2.2", "--out", out)
    status = run("eval", *fixed, "--root", root, *agent, *more)
    scores = out / "scores.csv"
    return status, list(csv.DictReader(scores.open())) if scores.exists() else []


def test_02_planning_needs_no_truth(cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("15eaa8b16e8bfb32\n")
    team = ("--team-name", "T", "--authors", "A", "--email", "e@x", "--institution", "I", "--country", "C")
    given = ("submit", "--root", cases / "02_test_log_without_annotations", "--split", "mini", *team)
    for number, tokens in enumerate((("--tokens", cases / "02_filter.yaml"), ("--tokens", tmp_path / "list.txt"), ())):
        out = tmp_path / f"{number}.pkl"
        assert run(*given, *tokens, "--agent", "constant_velocity", "--out", out) == 0
        assert "1 predictions" in capsys.readouterr().out


def test_04_frames_that_are_not_half_a_second_apart_fail(cases: Path, tmp_path: Path) -> None:
    status, rows = evaluate(cases / "04_dropped_frame", tmp_path, "--tokens", cases / "tokens.txt")
    assert status == 3 and len(rows) == 3
    for row in rows:
        assert row["score"] == "" and "1.000 s apart (1600301004500079 and 1600301005499710 us)" in row["error"]


def test_05_a_token_on_two_frames_fails(cases: Path, tmp_path: Path) -> None:
    status, rows = evaluate(cases / "05_token_twice_in_log", tmp_path, "--tokens", cases / "tokens.txt")
    failed = [row for row in rows if row["error"]]
    assert status == 3 and [row["token"] for row in failed] == ["15eaa8b16e8bfb32"]
    assert "frame 3 of log" in failed[0]["error"] and "frame 6 of log" in failed[0]["error"]


def test_06_a_quaternion_that_is_no_rotation_fails(cases: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(cases / "08_plain", root, symlinks=True)
    log = root / "navsim_logs" / "mini" / LOG
    log.parent.chmod(0o755)
    log.chmod(0o644)
    frames = pickle.loads(log.read_bytes())
    frames[4]["ego2global_rotation"] = np.zeros(4)
    log.write_bytes(pickle.dumps(frames, protocol=4))
    status, rows = evaluate(root, tmp_path / "o", "--tokens", cases / "tokens.txt")
    assert status == 3 and any("not a rotation" in row["error"] for row in rows)
    assert all(row["score"] == "" for row in rows if row["error"])


@pytest.mark.parametrize(
    ("case", "tokens", "scenes"),
    [
        ("07_macos_sidecar_files", None, 5),
        ("08_plain", "08_tokens_bom.csv", 1),
        ("09_digits_only_token", "09_filter_flow.yaml", 1),
        ("long_tokens_log", None, 5),
    ],
)
def test_what_is_odd_and_does_not_matter(
    cases: Path, tmp_path: Path, case: str, tokens: str | None, scenes: int
) -> None:
    status, rows = evaluate(cases / case, tmp_path, *(() if tokens is None else ("--tokens", cases / tokens)))
    assert status == 0 and len(rows) == scenes and all(float(row["score"]) > 0 for row in rows)


def test_10_a_home_that_cannot_be_written(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("WARP_CACHE_PATH", raising=False)
    status, rows = evaluate(cases / "08_plain", tmp_path, "--tokens", cases / "one_token.txt")
    assert status == 0 and len(rows) == 1
    program = "import warp as wp; from openpair.geometry.warp_runtime import start_warp; start_warp(); "
    program += "print(wp.config.kernel_cache_dir)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert Path(told.strip()).is_dir() and not told.startswith("/proc")


def test_11_a_tilde_is_the_home_folder(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cases))
    monkeypatch.setenv("OPENSCENE_DATA_ROOT", "~/08_plain")
    for variable in ("NUPLAN_MAPS_ROOT", "OPENPAIR_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    command = ("eval", "--dataset", "navsim", "--split", "mini", "--workers", 1, "--protocol", "v2.2")
    assert run(*command, "--tokens", cases / "one_token.txt", "--agent", "human", "--out", tmp_path / "variable") == 0
    monkeypatch.delenv("OPENSCENE_DATA_ROOT")
    (tmp_path / "c.yaml").write_text("OPENSCENE_DATA_ROOT: ~/08_plain\n")
    monkeypatch.setenv("OPENPAIR_CONFIG", str(tmp_path / "c.yaml"))
    assert run(*command, "--tokens", cases / "one_token.txt", "--agent", "human", "--out", tmp_path / "file") == 0


@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("object_array_log", 3, "an array built in an unusual way"),
        ("memo_2e27", 2, "a place of the memo far beyond its length"),
    ],
)
def test_hostile_logs_are_refused(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, status: int, words: str
) -> None:
    assert evaluate(cases / case, tmp_path)[0] == status
    assert words in capsys.readouterr().err


def test_damaged_plans_are_one_sentence(cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plans = CASES / "robust" / "damaged_plans.npz"
    assert evaluate(cases / "08_plain", tmp_path, "--agent", plans)[0] == 2
    error = capsys.readouterr().err.strip()
    assert str(plans) in error and "cannot be read" in error and len(error.splitlines()) == 1


MISSING, NOTE, FINE = 2, 0, 0
DOCTOR: list[tuple[str, int, str]] = [
    ("01_camera_only_no_lidar", NOTE, "there are no point clouds"),
    ("02_test_log_without_annotations", NOTE, "4 frames have no annotations"),
    ("04_dropped_frame", MISSING, "1.000 s apart"),
    ("05_token_twice_in_log", MISSING, "token 15eaa8b16e8bfb32 stands there and on frame 3"),
    ("07_macos_sidecar_files", FINE, "1 logs; 1 opened, all readable"),
    ("08_plain", FINE, "1 logs; 1 opened, all readable"),
    ("09_digits_only_token", FINE, "1 logs; 1 opened, all readable"),
    ("object_array_log", MISSING, "an array built in an unusual way"),
    ("memo_2e27", MISSING, "a place of the memo far beyond its length"),
    ("long_tokens_log", FINE, "1 logs; 1 opened, all readable"),
]


@pytest.mark.parametrize(("case", "status", "words"), DOCTOR)
def test_doctor_says_what_is_wrong(
    cases: Path, capsys: pytest.CaptureFixture[str], case: str, status: int, words: str
) -> None:
    assert run("doctor", "--root", cases / case, "--split", "mini") == status
    assert words in capsys.readouterr().out


FILES: list[tuple[Callable[[Path], Path], int, str]] = [
    (lambda cases: cases / "01_latent_transfuser_zero_weights.ckpt", FINE, "a released transfuser"),
    (lambda cases: cases / "03_ddp_prefix.ckpt", FINE, "in 'state_dict'"),
    (lambda cases: cases / "08_tokens_bom.csv", FINE, "1 tokens"),
    (lambda cases: cases / "09_filter_flow.yaml", FINE, "1 tokens"),
    (lambda _: CASES / "robust" / "damaged_plans.npz", MISSING, "cannot be read"),
]


@pytest.mark.parametrize(("file", "status", "words"), FILES)
def test_doctor_looks_at_single_files(
    cases: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: Any, status: int, words: str
) -> None:
    monkeypatch.delenv("OPENSCENE_DATA_ROOT", raising=False)
    assert run("doctor", file(cases)) == status
    assert words in capsys.readouterr().out


def test_doctor_says_where_caches_go(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("OPENSCENE_DATA_ROOT", raising=False)
    assert run("doctor") == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if "disk" in line)
    assert "free at" in told and "/proc" not in told
