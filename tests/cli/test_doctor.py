"""``openpair doctor``: finds what is broken and says what to do."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from openpair.cli.doctor_data import data_checks
from openpair.cli.main import main

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "navsim"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden NAVSIM logs are not at ../shared/golden/navsim")


def statuses(checks) -> dict[str, str]:
    return {check.subject: check.status for check in checks}


def test_without_data_the_embedded_world_is_named():
    (check,) = data_checks(None, None, 1, {})
    assert check.status == "note" and "openpair demo" in check.fix


@pytest.fixture
def root(tmp_path) -> Path:
    for part in ("navsim_logs", "maps", "navhard_two_stage"):
        shutil.copytree(GOLDEN / part, tmp_path / "data" / part, copy_function=shutil.copyfile)
    return tmp_path / "data"


@needs_golden
def test_a_whole_folder_is_fine(root):
    found = statuses(data_checks(root, None, 2, {}))
    assert found.pop("sensors, mini") == "note" and set(found.values()) == {"ok"}
    assert {"logs, mini", "map us-ma-boston", "second stage"} <= set(found)


def break_log(root: Path) -> None:
    log = sorted((root / "navsim_logs" / "mini").glob("*.pkl"))[0]
    log.write_bytes(log.read_bytes()[:1000])


def break_map(root: Path) -> None:
    next((root / "maps" / "us-ma-boston").glob("*/map.gpkg")).write_bytes(b"not a map")


def remove_map(root: Path) -> None:
    shutil.rmtree(root / "maps" / "sg-one-north")


def break_scene(root: Path) -> None:
    sorted((root / "navhard_two_stage" / "synthetic_scene_pickles").glob("*.pkl"))[0].write_bytes(b"\x80\x04.")


def empty_sensors(root: Path) -> None:
    (root / "sensor_blobs" / "mini").mkdir(parents=True)


BROKEN = [
    (break_log, "logs, mini"),
    (break_map, "map us-ma-boston"),
    (remove_map, "map sg-one-north"),
    (break_scene, "second stage"),
    (empty_sensors, "sensors, mini"),
]


@needs_golden
@pytest.mark.parametrize(("damage", "subject"), BROKEN)
def test_what_is_broken_is_found_with_its_place(root, damage, subject):
    damage(root)
    missing = [check for check in data_checks(root, None, 2, {}) if check.status == "missing"]
    assert [check.subject for check in missing] == [subject]
    assert str(root) in missing[0].finding and missing[0].fix


@needs_golden
def test_variables_count_as_navsims_users_set_them(root, tmp_path):
    environment = {"OPENSCENE_DATA_ROOT": str(root), "NUPLAN_MAPS_ROOT": str(root / "maps"), "NAVSIM_EXP_ROOT": "/no/x"}
    found = statuses(data_checks(None, None, 1, environment))
    assert found["OPENSCENE_DATA_ROOT"] == found["NUPLAN_MAPS_ROOT"] == "ok" and found["NAVSIM_EXP_ROOT"] == "missing"
    assert found["logs, mini"] == "ok"


def test_the_command_says_what_it_found(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENSCENE_DATA_ROOT", raising=False)
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--cache", str(tmp_path / "not" / "yet")])
    assert stop.value.code == 0 and "All that is needed is there" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--root", str(tmp_path)])
    text = capsys.readouterr().out
    assert stop.value.code == 2 and "MISSING" in text and "navsim_logs" in text


def test_sensors_of_some_frames_are_enough(tmp_path):
    """navtrain's downloads hold the frames of its scenes, not those at the beginning of a log."""
    from openpair.benchmarks.data import write_navsim_files

    write_navsim_files(tmp_path, 2)
    found = {check.subject: check for check in data_checks(tmp_path, None, 1, {})}
    assert found["sensors, test"].status == "ok" and "1920x1080" in found["sensors, test"].finding
    for image in tmp_path.rglob("*.jpg"):
        image.write_bytes(image.read_bytes()[:100])
    found = {check.subject: check for check in data_checks(tmp_path, None, 1, {})}
    assert found["sensors, test"].status == "missing" and "cannot be decoded" in found["sensors, test"].finding


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed, so doctor has nothing to say of it")
def test_extras_are_printed_whole(capsys):
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "pip install 'openpair[ray]'" in capsys.readouterr().out
