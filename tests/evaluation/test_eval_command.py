"""``openpair eval`` as a user calls it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from openpair.cli.main import main
from openpair.evaluation.records import read_scores

SHARED = Path(__file__).parents[2].parent / "shared"
NAVSIM = SHARED / "golden" / "navsim"
ARGOVERSE = SHARED / "real" / "argoverse2"
needs_navsim = pytest.mark.skipif(not NAVSIM.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")
needs_argoverse = pytest.mark.skipif(
    not ARGOVERSE.is_dir(), reason="recorded logs are not at ../shared/real/argoverse2"
)


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["eval", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture(autouse=True)
def index_of_its_own(tmp_path, monkeypatch):
    """The user's cache of log indices is left alone (that of compiled kernels is used)."""
    monkeypatch.setattr("openpair.datasets.navsim.dataset.cache_folder", lambda: tmp_path / "cache")


@needs_argoverse
def test_recorded_humans_neither_crash_nor_leave_the_road(tmp_path, capsys):
    out = tmp_path / "out"
    assert call("--dataset", "argoverse2", "--root", ARGOVERSE, "--workers", 1, "--out", out) == 0
    rows = read_scores(out / "scores.csv")
    humans = [row for row in rows if row.agent == "human"]
    assert {row.agent for row in rows} == {"human", "constant_velocity", "pdm_closed"}
    assert len(humans) >= 16 and len({row.log for row in humans}) == 2
    for row in humans:
        assert row.metrics["no_at_fault_collisions"] == row.metrics["drivable_area_compliance"] == 1.0
    assert json.loads((out / "summary.json").read_text())["scenes"]["failed"] == 0
    assert "pdm_closed" in capsys.readouterr().out


@needs_navsim
def test_plans_are_scored_as_by_the_original_on_their_own_scenes(tmp_path, capsys):
    golden = np.load(NAVSIM / "golden" / "trajectories.npz")
    plans = tmp_path / "mine.npz"
    np.savez(plans, token=golden["token"], poses=golden["table"][:, 0])
    where = ("--dataset", "navsim", "--root", NAVSIM, "--workers", 1)
    assert call(*where, "--agent", plans, "--agent", "human", "--out", tmp_path / "out") == 0
    rows = read_scores(tmp_path / "out" / "scores.csv")
    for agent, version in (("mine", "table0"), ("human", "human")):
        with (NAVSIM / "golden" / "scores" / "v1.1" / f"{version}.csv").open(newline="") as stream:
            theirs = {row["token"]: float(row["score"]) for row in csv.DictReader(stream)}
        theirs.pop("8cee95964dc6b01a")  # its original score depends on the scenes before it
        ours = {row.token: row.score for row in rows if row.agent == agent}
        assert len(ours) == 105 and {token: ours[token] for token in theirs} == pytest.approx(theirs, abs=1e-6)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["scenes"]["selection"].startswith("the 105 that plans are given for")
    assert "that plans are given for" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def one_log_of_two_is_broken(tmp_path):
    """A root with a good log and a truncated one, and two tokens of each, the good log's first."""
    with (NAVSIM / "golden" / "scenes.csv").open(newline="") as stream:
        by_log: dict[str, list[str]] = {}
        for row in csv.DictReader(stream):
            by_log.setdefault(row["log_name"], []).append(row["token"])
    (good, tokens), (broken, lost) = list(by_log.items())[:2]
    logs = tmp_path / "root" / "navsim_logs" / "mini"
    logs.mkdir(parents=True)
    (tmp_path / "root" / "maps").symlink_to(NAVSIM / "maps")
    shutil.copyfile(NAVSIM / "navsim_logs" / "mini" / f"{good}.pkl", logs / f"{good}.pkl")
    (logs / f"{broken}.pkl").write_bytes((NAVSIM / "navsim_logs" / "mini" / f"{broken}.pkl").read_bytes()[:5000])
    return tmp_path / "root", f"{broken}.pkl", tokens[:2], lost[:2]


@needs_navsim
@pytest.mark.parametrize("workers", [1, 2])
def test_scenes_of_a_broken_log_fail_one_by_one(tmp_path, capsys, one_log_of_two_is_broken, workers):
    root, broken, good, lost = one_log_of_two_is_broken
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("\n".join([*lost, *good]) + "\n")
    where = ("--dataset", "navsim", "--root", root, "--tokens", tokens, "--workers", workers)
    assert call(*where, "--agent", "human", "--out", tmp_path / "out") == 3
    rows = {row.token: row for row in read_scores(tmp_path / "out" / "scores.csv")}
    assert set(rows) == {*good, *lost}
    assert not any(rows[token].failed for token in good)
    for token in lost:
        assert broken in rows[token].error and "not a complete pickle" in rows[token].error
    scenes = json.loads((tmp_path / "out" / "summary.json").read_text())["scenes"]
    assert (scenes["expected"], scenes["scored"], scenes["failed"]) == (4, 2, 2)
    assert "2 of 4 scenes FAILED" in capsys.readouterr().err


@needs_navsim
def test_broken_log_without_known_tokens_is_one_failure(tmp_path, capsys, one_log_of_two_is_broken):
    """Neither a sample nor a file of plans makes it disappear; plans of its scenes fail by themselves."""
    root, broken, good, lost = one_log_of_two_is_broken
    where = ("--dataset", "navsim", "--root", root, "--workers", 1)
    assert call(*where, "--agent", "human", "--max-scenes", 2, "--out", tmp_path / "sample") == 3
    *scored, failed = read_scores(tmp_path / "sample" / "scores.csv")
    assert len(scored) == 2 and not any(row.failed for row in scored)
    assert failed.token == broken and "not a complete pickle" in failed.error
    summary = json.loads((tmp_path / "sample" / "summary.json").read_text())
    assert summary["scenes"]["failed"] == 1
    assert "1 logs cannot be read" in summary["scenes"]["selection"]
    assert "1 of 3 scenes FAILED" in capsys.readouterr().err

    golden = np.load(NAVSIM / "golden" / "trajectories.npz")
    planned = np.isin(golden["token"], [*good, lost[0]])
    np.savez(tmp_path / "mine.npz", token=golden["token"][planned], poses=golden["human"][planned])
    assert call(*where, "--agent", tmp_path / "mine.npz", "--out", tmp_path / "plans") == 3
    rows = {row.token: row.failed for row in read_scores(tmp_path / "plans" / "scores.csv")}
    assert rows == {good[0]: False, good[1]: False, lost[0]: True, broken: True}


@needs_navsim
def test_a_list_of_tokens_is_evaluated_whole(tmp_path):
    golden = np.load(NAVSIM / "golden" / "trajectories.npz")
    plans, tokens = tmp_path / "mine.npz", tmp_path / "tokens.txt"
    tokens.write_text("\n".join(golden["token"][:3]) + "\n")
    np.savez(plans, token=golden["token"][:2], poses=golden["human"][:2])
    where = ("--dataset", "navsim", "--root", NAVSIM, "--tokens", tokens, "--workers", 1)
    assert call(*where, "--agent", plans, "--out", tmp_path / "out") == 3
    third = {row.token: row for row in read_scores(tmp_path / "out" / "scores.csv")}[str(golden["token"][2])]
    assert third.failed and "no plan for this scene" in third.error
    np.savez(plans, token=golden["token"][:4], poses=golden["human"][:4])
    assert call(*where, "--agent", plans, "--out", tmp_path / "refused") == 2
    assert not (tmp_path / "refused").exists()


@needs_navsim
def test_missing_frames_are_failures_that_cannot_be_overlooked(tmp_path, capsys):
    """A token that the logs do not have is listed, counted, and makes the status 3."""
    tokens = tmp_path / "tokens.txt"
    known = np.load(NAVSIM / "golden" / "trajectories.npz")["token"][0]
    tokens.write_text(f"{known}\n0123456789abcdef\n")
    where = ("--dataset", "navsim", "--root", NAVSIM, "--tokens", tokens, "--agent", "human", "--workers", 1)
    assert call(*where, "--out", tmp_path / "out") == 3
    assert "1 of 2 scenes FAILED" in capsys.readouterr().err
    assert call(*where, "--out", tmp_path / "out", "--allow-failures") == 0
    with (tmp_path / "out" / "scores.csv").open(newline="") as stream:
        by_token = {row["token"]: row for row in csv.DictReader(stream)}
    assert by_token["0123456789abcdef"]["score"] == "" and by_token["0123456789abcdef"]["error"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["scenes"]["failed"] == 1


@needs_navsim
def test_a_truncated_log_is_bad_input_with_its_name(tmp_path, capsys):
    root = tmp_path / "root"
    shutil.copytree(NAVSIM / "navsim_logs", root / "navsim_logs", copy_function=shutil.copyfile)
    (root / "maps").symlink_to(NAVSIM / "maps")
    log = sorted((root / "navsim_logs" / "mini").glob("*.pkl"))[0]
    log.write_bytes(log.read_bytes()[:5000])
    assert call("--dataset", "navsim", "--root", root, "--agent", "human", "--out", tmp_path / "out") in (2, 3)
    assert log.stem in capsys.readouterr().err


BAD_CALLS = [
    (("--dataset", "argoverse2", "--root", "/nowhere/at/all"), "/nowhere/at/all"),
    (("--dataset", "navsim", "--root", "/nowhere/at/all"), "/nowhere/at/all"),
    (("--dataset", "world", "--split", "tset"), "tset"),
    (("--dataset", "world", "--agent", "hunan"), "Did you mean 'human'"),
    (("--dataset", "world", "--agent", "nothing.npz"), "nothing.npz"),
    (("--dataset", "world", "--tokens", "x.txt"), "takes no list of scenes"),
    (("--dataset", "world", "--prepared", "/nowhere/at/all"), "store"),
    (("--dataset", "world", "--workers", "-1"), "-1 workers"),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD_CALLS)
def test_bad_input_is_one_sentence_with_status_2_and_leaves_nothing(tmp_path, capsys, arguments, complaint):
    assert call(*arguments, "--out", tmp_path / "out") == 2
    errors = capsys.readouterr().err.strip()
    assert complaint in errors and "Traceback" not in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_help_explains_the_tool(capsys):
    assert call("--help-all") == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in ("--allow-failures", "scores.csv", "Exit status", "PLANS.npz"):
        assert word in text
