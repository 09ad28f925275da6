"""Where data lies: NAVSIM's variables, a file in their place, and NAVSIM's own splits by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from openpair.cli.doctor_data import data_checks
from openpair.cli.main import main
from openpair.datasets.environment import config_file, mapping_file, navsim_folders, scene_filter_file, settings
from openpair.datasets.navsim.two_stage import TwoStageDataset
from openpair.errors import OpenPairError

DEVKIT_FOLDER = Path("navsim/planning/script/config/common/train_test_split")


def write_config(home: Path, **values: object) -> Path:
    path = home / ".config" / "openpair" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_file_takes_the_place_of_variables(navsim_root: Path, tmp_path: Path) -> None:
    path = write_config(tmp_path, OPENSCENE_DATA_ROOT=str(navsim_root), NUPLAN_MAP_VERSION="v2")
    environment = {"HOME": str(tmp_path)}
    folders = navsim_folders(None, environment)
    assert (folders.logs, folders.map_version) == (navsim_root / "navsim_logs", "v2")
    assert navsim_folders(None, {**environment, "NUPLAN_MAP_VERSION": "v1"}).map_version == "v1"  # variables come first
    assert config_file({"XDG_CONFIG_HOME": str(path.parents[1])}) == path
    assert config_file({"OPENPAIR_CONFIG": str(path)}) == path
    assert config_file({}) is None and settings({}) == {}


def test_folders_of_the_file_are_relative_to_it(tmp_path: Path) -> None:
    write_config(tmp_path, NUPLAN_MAPS_ROOT="maps", NAVSIM_DEVKIT_ROOT="/opt/navsim")
    found = settings({"HOME": str(tmp_path)})
    assert found["NUPLAN_MAPS_ROOT"] == str(tmp_path / ".config" / "openpair" / "maps")
    assert found["NAVSIM_DEVKIT_ROOT"] == "/opt/navsim"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("OPENSCENE_DATA: /data", "Did you mean 'OPENSCENE_DATA_ROOT'"),
        ("NUPLAN_MAPS_ROOT: 3", "is 3, not text"),
        ("- a", "no list of NAME: VALUE"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    path = write_config(tmp_path)
    path.write_text(content)
    with pytest.raises(OpenPairError, match=complaint):
        settings({"HOME": str(tmp_path)})
    (check,) = data_checks(None, None, 1, {"HOME": str(tmp_path)})
    assert check.status == "missing" and str(path) in check.finding


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="OPENPAIR_CONFIG"):
        settings({"OPENPAIR_CONFIG": str(tmp_path / "no.yaml")})


def test_the_doctor_looks_where_the_file_says(navsim_root: Path, tmp_path: Path) -> None:
    path = write_config(tmp_path, OPENSCENE_DATA_ROOT=str(navsim_root))
    checks = {check.subject: check for check in data_checks(None, None, 1, {"HOME": str(tmp_path)})}
    assert checks["settings"].finding == str(path)
    assert checks["OPENSCENE_DATA_ROOT"].status == checks["logs, mini"].status == "ok"


@pytest.fixture
def devkit(navsim_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's split files: navmini with three golden scenes, warmup_two_stage with the golden mapping."""
    folder = tmp_path / "devkit" / DEVKIT_FOLDER
    (folder / "scene_filter").mkdir(parents=True)
    tokens = [row.split(",")[2] for row in (navsim_root / "golden" / "scenes.csv").read_text().splitlines()[1:4]]
    scene_filter = {"_target_": "navsim.common.dataclasses.SceneFilter", "frame_interval": 1, "tokens": tokens}
    (folder / "scene_filter" / "navmini.yaml").write_text(yaml.safe_dump(scene_filter))
    entries = json.loads((navsim_root / "golden" / "two_stage" / "mapping.json").read_text())
    (folder / "warmup_two_stage.yaml").write_text(yaml.safe_dump({"reactive_all_mapping": entries}))
    monkeypatch.setenv("NAVSIM_DEVKIT_ROOT", str(tmp_path / "devkit"))
    monkeypatch.setattr("openpair.datasets.navsim.dataset.cache_folder", lambda: tmp_path / "cache")
    return folder


def test_eval_takes_navsims_splits_by_name(navsim_root: Path, devkit: Path, tmp_path: Path) -> None:
    """Not the whole folder of logs that the split is cut from."""
    out = tmp_path / "out"
    where = ["--dataset", "navsim", "--root", str(navsim_root), "--split", "navmini", "--workers", "1"]
    with pytest.raises(SystemExit) as stop:
        main(["eval", *where, "--agent", "human", "--out", str(out)])
    assert not stop.value.code
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["split"], summary["scenes"]["scored"]) == ("navmini", 3)


def test_two_stage_sets_by_name(navsim_root: Path, devkit: Path, tmp_path: Path) -> None:
    assert mapping_file("warmup_two_stage") == devkit / "warmup_two_stage.yaml"
    root = tmp_path / "data"
    shutil.copytree(navsim_root / "navsim_logs" / "mini", root / "navsim_logs" / "test", copy_function=shutil.copyfile)
    (root / "maps").symlink_to(navsim_root / "maps")
    (root / "warmup_two_stage").symlink_to(navsim_root / "navhard_two_stage")
    dataset = TwoStageDataset(root, split="warmup_two_stage", mapping=mapping_file("warmup_two_stage"))
    assert len(dataset) == 24
    assert dataset.load_scene(dataset.keys()[-1].token).is_synthetic


def test_what_the_checkout_lacks_is_named(devkit: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="navtest"):
        scene_filter_file("navtest")
    with pytest.raises(OpenPairError, match=r"--mapping navhard_two_stage\.yaml"):
        mapping_file("navhard_two_stage", {})
    options = ["--dataset", "navsim", "--protocol", "v2.2", "--stages", "2", "--split", "navhard_two_stage"]
    with pytest.raises(SystemExit) as stop:
        main(["eval", *options, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2 and "navhard_two_stage.yaml" in capsys.readouterr().err
