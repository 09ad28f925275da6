"""``openpair score`` and ``openpair bench score`` as a user calls them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scoring_golden import IN_REPOSITORY, load

from openpair.benchmarks.score import TARGETS, missed
from openpair.benchmarks.score_figures import store_figures
from openpair.cli.main import main

CACHES = Path(__file__).parents[2].parent / "shared" / "golden" / "metric_cache" / "v2.2"
V1 = IN_REPOSITORY / "v1" / "case006.npz"
V2 = IN_REPOSITORY / "v2" / "case065.npz"


def call(*arguments: object) -> int:
    """Exit status of the command line."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_scores_several_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = IN_REPOSITORY / "v1" / "case065.npz"
    assert call("score", V1, other, "-o", tmp_path / "made" / "here", "--protocol", "v1.1") == 0
    assert "2 of 2 cases scored" in capsys.readouterr().out
    for case in (V1, other):
        result, expected = load(tmp_path / "made" / "here" / case.name), load(case)
        np.testing.assert_allclose(result["out_score"], expected["out_score"], atol=1e-9)
        np.testing.assert_array_equal(result["out_ego_areas"], expected["out_ego_areas"])
        assert result["out_ego_areas"].dtype == bool


def test_v2_writes_every_convention(tmp_path: Path) -> None:
    assert call("score", V2, "-o", tmp_path, "--protocol", "v2.2") == 0
    result, expected = load(tmp_path / V2.name), load(V2)
    for name in ("out_score_ec_none", "out_score_ec0", "out_score_ec1", "out_pdm_score"):
        np.testing.assert_allclose(result[name], expected[name], atol=1e-9, err_msg=name)


def test_other_protocol_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("score", V2, "-o", tmp_path, "--protocol", "v1.1") == 2
    assert "Use --protocol v2.2" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_bad_cases_are_named_and_the_good_one_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = load(V1)
    case["trajs"][3, 2, 1] = np.nan
    bad = tmp_path / "bad.npz"
    np.savez(bad, **case)
    out = tmp_path / "out"
    assert call("score", bad, tmp_path / "absent.npz", V1, "-o", out) == 3
    captured = capsys.readouterr()
    assert "scene bad: the trajectories hold a value that is not finite at index (3, 2, 1)" in captured.err
    assert "absent.npz: there is no such case file" in captured.err
    assert "1 of 3 cases scored" in captured.out
    assert [path.name for path in out.iterdir()] == [V1.name]


def test_no_case_can_be_scored(tmp_path: Path) -> None:
    assert call("score", tmp_path / "a.npz", tmp_path / "b.npz", "-o", tmp_path) == 2


def test_results_never_overwrite_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copy(V1, tmp_path / V1.name)
    before = copy.read_bytes()
    assert call("score", copy, "-o", tmp_path) == 2
    assert "would overwrite the case" in capsys.readouterr().err
    assert copy.read_bytes() == before
    assert call("score", V1, copy, "-o", tmp_path / "out") == 2
    assert "same file name" in capsys.readouterr().err


def test_output_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert call("score", V1, "-o", file / "below") == 2
    assert "cannot write there" in capsys.readouterr().err


def test_bench_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("bench", "score", V2, "--json", "--no-store") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["machine"]["processor"]
    assert printed["float32"]
    figures = printed["v2.2"]
    assert figures["cases"] == 1
    assert 0 < figures["score_16_cpu_ms"] < figures["score_256_cpu_ms"] < figures["score_8192_cpu_ms"]
    assert figures["score_8192_extra_memory_mb"] < 500
    assert figures["large_among_small_scenes_memory_over_one_by_one"] <= 2
    wanted = {name for targets in TARGETS.values() for name in targets if not name.startswith("store_")}
    assert wanted <= set(figures)


def test_bench_measures_the_store(tmp_path: Path) -> None:
    figures = store_figures("v1.1", tmp_path / "absent", limit=2)
    assert figures["store_scenes"] == 2
    assert 0 < figures["store_scene_kb"] <= 60
    assert {name for targets in TARGETS.values() for name in targets if name.startswith("store_")} <= set(figures)


def test_bench_names_the_figures_that_miss_their_target() -> None:
    good = {"score_16_cpu_ms": 2.5, "two_threads_speedup_256": 1.8}
    assert missed({"machine": {}, "v2.2": good}) == []
    slow = missed({"v1.1": good, "v2.2": {"two_threads_speedup_256": 1.2}})
    assert slow[0] == "v1.1 score_16_cpu_ms is 2.5, not at most 2"
    assert slow[1:] == ["v2.2 two_threads_speedup_256 is 1.2, not at least 1.7"]


def test_bench_without_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("bench", "score", tmp_path / "absent") == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert call("bench", "score", tmp_path) == 2
    assert "no golden case was found" in capsys.readouterr().err


def test_a_table_or_json_without_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("score", V1) == 0
    out = capsys.readouterr().out
    assert " DAC " in out and V1.stem in out and "1 of 1 cases scored" in out
    assert call("score", V1.parent, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["token"] for row in rows} == {file.stem for file in V1.parent.glob("*.npz")}
    first = [row["score"] for row in rows if row["token"] == V1.stem]
    assert first == pytest.approx(np.load(V1)["out_score"], abs=1e-9)


def test_metric_caches_need_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metric_cache.pkl").touch()
    assert call("score", tmp_path) == 2
    assert "--plans" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert call("score", tmp_path / "empty") == 2
    assert "no cases (.npz) and no metric caches" in capsys.readouterr().err


@pytest.mark.skipif(not CACHES.is_dir(), reason="NAVSIM's metric caches are not at ../shared/golden/metric_cache")
def test_a_folder_of_metric_caches_is_scored_with_given_plans(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tokens = sorted({path.parent.name for path in CACHES.rglob("metric_cache.pkl")})[:2]
    np.savez(tmp_path / "plans.npz", token=np.array(tokens), poses=np.zeros((2, 8, 3)))
    assert call("score", CACHES, "--plans", tmp_path / "plans.npz", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["token"] for row in rows) == tokens
    assert all(0.0 <= row["score"] <= 1.0 for row in rows)
