"""Submission files, unpickled under NAVSIM's names."""

import json
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from navsim_stand_ins import install

from openpair.cli.main import main
from openpair.errors import OpenPairError
from openpair.interop.submission import Team, submission_bytes

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")
TEAM = Team("us", "A, B", "a@b.org", "U", "Utopia")
TEAM_OPTIONS = ["--team-name", "us", "--authors", "A, B", "--email", "a@b.org"]
TEAM_OPTIONS += ["--institution", "U", "--country", "Utopia"]
ADMITTED = {
    ("navsim.common.dataclasses", "Trajectory"),
    ("nuplan.planning.simulation.trajectory.trajectory_sampling", "TrajectorySampling"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def globals_of(data: bytes) -> set[tuple[str, str]]:
    return {tuple(arg.split(" ")) for op, arg, _ in pickletools.genops(data) if op.name == "GLOBAL"}


def test_names_and_opcodes_are_those_of_python_3_9_and_numpy_1():
    data = submission_bytes(TEAM, {"predictions": {"a" * 16: np.ones((8, 3))}})
    assert globals_of(data) <= ADMITTED and ("navsim.common.dataclasses", "Trajectory") in globals_of(data)
    assert all(op.proto <= 4 for op, _, _ in pickletools.genops(data)) and data[:2] == b"\x80\x04"
    assert b"openpair" not in data


def test_it_unpickles_as_navsims_dataclass(monkeypatch):
    plans = {f"{i:016x}": np.random.default_rng(i).normal(size=(8, 3)) for i in range(3)}
    data = submission_bytes(TEAM, {"predictions": plans})
    common = install(monkeypatch, version="v1.1")
    content = pickle.loads(data)
    assert content["country / region"] == "Utopia" and content["team_name"] == "us"
    (predictions,) = content["predictions"]
    assert list(predictions) == list(plans)
    for token, trajectory in predictions.items():
        assert type(trajectory) is common.Trajectory and trajectory.poses.dtype == np.float32
        np.testing.assert_array_equal(trajectory.poses, plans[token].astype(np.float32))
        sampling = trajectory.trajectory_sampling
        assert (sampling.num_poses, sampling.time_horizon, sampling.interval_length) == (8, 4.0, 0.5)


@pytest.mark.parametrize("plans", [{}, {"a": np.ones((7, 3))}, {"a": np.full((8, 3), np.nan)}])
def test_plans_that_are_none_are_refused(plans):
    with pytest.raises(OpenPairError, match=r"no plans|8 finite poses"):
        submission_bytes(TEAM, {"predictions": plans})


def call(*command: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(part) for part in command])
    return int(stop.value.code or 0)


@pytest.fixture
def where(tmp_path, monkeypatch):
    monkeypatch.setattr("openpair.datasets.navsim.dataset.cache_folder", lambda: tmp_path / "index")
    return ["submit", "--root", GOLDEN, *TEAM_OPTIONS]


@needs_golden
def test_the_command_writes_v1(where, tmp_path, monkeypatch, capsys):
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("\n".join(np.load(GOLDEN / "golden" / "trajectories.npz")["token"][:3]))
    out = tmp_path / "submission.pkl"
    assert call(*where, "--tokens", tokens, "--agent", "constant_velocity", "--out", out) == 0
    install(monkeypatch, version="v1.1")
    content = pickle.loads(out.read_bytes())
    golden = np.load(GOLDEN / "golden" / "trajectories.npz")
    np.testing.assert_allclose(
        [t.poses for t in content["predictions"][0].values()], golden["constant_velocity"][:3], atol=0
    )
    tokens.write_text(tokens.read_text() + "\n0123456789abcdef\n")
    assert call(*where, "--tokens", tokens, "--agent", "constant_velocity", "--out", tmp_path / "x.pkl") == 3
    assert "1 of 4 scenes FAILED; nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "x.pkl").exists()
    assert call(*where, "--tokens", tokens, "--agent", "human", "--out", tmp_path / "x.pkl") == 2


@needs_golden
def test_the_command_writes_v2(where, tmp_path, monkeypatch):
    mapping = GOLDEN / "golden" / "two_stage" / "mapping.json"
    out = tmp_path / "submission.pkl"
    options = ["--leaderboard", "v2", "--mapping", mapping, "--agent", "constant_velocity", "--out", out]
    assert call(*where, *options) == 0
    install(monkeypatch, version="v2.2")
    content = pickle.loads(out.read_bytes())
    entries = json.loads(mapping.read_text())
    assert set(content["first_stage_predictions"][0]) == {m[k] for m in entries for k in ("original", "previous")}
    assert set(content["second_stage_predictions"][0]) == {t for m in entries for p in m["pairs"] for t in p}
