"""NavsimDataset: which scenes it offers, what it says about missing things, sensors from files."""

from __future__ import annotations

import csv
import pickle
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from openpair.datasets.base import Dataset
from openpair.datasets.environment import NavsimFolders, cache_folder, navsim_folders
from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.log_index import build_index, number_of_readers
from openpair.datasets.navsim.scene_filter import SceneFilter, read_scene_filter
from openpair.datasets.navsim.sensor_files import read_image, read_pcd
from openpair.errors import OpenPairError


@pytest.fixture
def workspace(navsim_root: Path, tmp_path: Path) -> Path:
    """A dataset folder of two golden logs that a test may change."""
    root = tmp_path / "dataset"
    (root / "navsim_logs/mini").mkdir(parents=True)
    for path in sorted((navsim_root / "navsim_logs/mini").glob("*.pkl"))[:2]:
        shutil.copyfile(path, root / "navsim_logs/mini" / path.name)
    (root / "maps").symlink_to(navsim_root / "maps")
    return root


def test_golden_scenes(navsim_root: Path) -> None:
    dataset = NavsimDataset(navsim_root, scene_filter=read_scene_filter(navsim_root / "golden/scenes.csv"))
    assert isinstance(dataset, Dataset)
    rows = list(csv.DictReader((navsim_root / "golden/scenes.csv").open()))
    assert {(key.log_name, key.token) for key in dataset.keys()} == {(row["log_name"], row["token"]) for row in rows}
    golden = np.load(navsim_root / "golden/trajectories.npz")
    human = dict(zip(golden["token"].tolist(), golden["human"], strict=True))
    for key in dataset.keys():
        scene = dataset.load_scene(key.token)
        assert scene.token == key.token
        assert scene.log_name == key.log_name
        assert len(scene.history) == 4
        assert len(scene.future) == 10
        np.testing.assert_allclose(scene.human_trajectory(), human[key.token], atol=2e-9, rtol=0)
        assert set(scene.current.route_roadblock_ids) <= set(scene.road_map.roadblocks)
    times = [dataset.load_scene(key.token).current.ego.timestamp_us for key in dataset.keys()[:15]]
    assert times == sorted(times)


def test_predecessors_are_the_frames_before(navsim_root: Path) -> None:
    """Whatever the filter lets through: every frame with enough history has its predecessor, and no other."""
    sparse = NavsimDataset(navsim_root, scene_filter=read_scene_filter(navsim_root / "golden/scenes.csv"))
    every = NavsimDataset(navsim_root, scene_filter=SceneFilter(frame_interval=1, has_route=False))
    position = {key.token: place for place, key in enumerate(every.keys())}
    added = 0
    for key in sparse.keys():
        earlier = sparse.predecessor(key.token)
        assert earlier == every.predecessor(key.token)
        place = position[key.token]
        first_of_log = place == 0 or every.keys()[place - 1].log_name != key.log_name
        assert earlier == (None if first_of_log else every.keys()[place - 1].token)
        if earlier is not None and earlier not in {k.token for k in sparse.keys()}:
            scene, now = sparse.load_scene(earlier), sparse.load_scene(key.token)
            assert scene.token == earlier and np.array_equal(scene.future[0].ego.pose, now.current.ego.pose)
            added += 1
    assert added
    assert sparse.predecessor("nothing") is None


def reference_selection(root: Path, scene_filter: SceneFilter) -> list[str]:
    """The filter's meaning, written down a second time with slices and loops."""
    tokens = []
    for path in sorted((root / "navsim_logs/mini").glob("*.pkl")):
        frames = pickle.loads(path.read_bytes())
        if scene_filter.log_names is not None and path.stem not in scene_filter.log_names:
            continue
        for start in range(0, len(frames), scene_filter.frame_interval or scene_filter.num_frames):
            window = frames[start : start + scene_filter.num_frames]
            if len(window) < scene_filter.num_frames:
                continue
            current = window[scene_filter.num_history_frames - 1]
            if scene_filter.has_route and not current["roadblock_ids"]:
                continue
            if scene_filter.tokens is None or current["token"] in scene_filter.tokens:
                tokens.append(current["token"])
    return tokens[: scene_filter.max_scenes]


@pytest.mark.parametrize(
    "scene_filter",
    [
        SceneFilter(),
        SceneFilter(frame_interval=1),
        SceneFilter(frame_interval=3, num_history_frames=2, num_future_frames=8),
        SceneFilter(frame_interval=1, has_route=False),
        SceneFilter(frame_interval=1, max_scenes=11),
    ],
)
def test_filter_semantics(workspace: Path, scene_filter: SceneFilter) -> None:
    path = sorted((workspace / "navsim_logs/mini").glob("*.pkl"))[0]
    frames = pickle.loads(path.read_bytes())
    for frame in frames[5:20:2]:
        frame["roadblock_ids"] = []
    path.write_bytes(pickle.dumps(frames, protocol=4))
    dataset = NavsimDataset(workspace, scene_filter=scene_filter)
    expected = reference_selection(workspace, scene_filter)
    assert [key.token for key in dataset.keys()] == expected
    assert len(dataset) == len(expected) >= 3
    scene = dataset.load_scene(expected[0])
    assert scene.token == expected[0]
    assert len(scene.frames) == scene_filter.num_frames


def test_filter_by_log_and_token(workspace: Path) -> None:
    names = sorted(path.stem for path in (workspace / "navsim_logs/mini").glob("*.pkl"))
    dataset = NavsimDataset(workspace, scene_filter=SceneFilter(frame_interval=1, log_names=(names[1],)))
    assert {key.log_name for key in dataset.keys()} == {names[1]}
    some = [key.token for key in dataset.keys()][3:6]
    assert [
        key.token for key in NavsimDataset(workspace, scene_filter=SceneFilter.of_tokens(some[::-1])).keys()
    ] == some
    with pytest.raises(OpenPairError, match="1 of the 2 tokens"):
        NavsimDataset(workspace, scene_filter=SceneFilter.of_tokens([some[0], "0" * 16]))
    lenient = NavsimDataset(workspace, scene_filter=SceneFilter.of_tokens([some[0], "0" * 16]), missing="per_scene")
    assert [key.token for key in lenient.keys()] == [some[0], "0" * 16]
    with pytest.raises(OpenPairError, match="no scene '0000000000000000'"):
        lenient.load_scene("0" * 16)
    with pytest.raises(OpenPairError, match="1 of the 2 logs"):
        NavsimDataset(workspace, scene_filter=SceneFilter(log_names=(names[0], "other")))
    with pytest.raises(OpenPairError, match="none of the 1 logs"):
        NavsimDataset(workspace, scene_filter=SceneFilter(log_names=("other",)))


def test_why_a_token_is_no_scene(workspace: Path) -> None:
    """Frames that are missing around it, a route, the filter: each is said."""
    path = sorted((workspace / "navsim_logs/mini").glob("*.pkl"))[0]
    rows = pickle.loads(path.read_bytes())[:20]  # the rest of the recording is missing
    rows[6]["roadblock_ids"] = []
    path.write_bytes(pickle.dumps(rows, protocol=4))
    tokens = [row["token"] for row in rows]
    reasons = {
        tokens[1]: "frame 1 of log .* has 1 frames before it and 18 after it; a scene needs 3 and 10",
        tokens[10]: "has 10 frames before it and 9 after it",
        tokens[6]: "frame 6 of log .* has no route",
        tokens[5]: "frame 5 of log .* is left out by the filter",
        "0" * 16: "no frame of the logs has this token",
    }
    scene_filter = SceneFilter(frame_interval=4, tokens=(tokens[3], *reasons))
    dataset = NavsimDataset(workspace, scene_filter=scene_filter, missing="per_scene")
    assert dataset.load_scene(tokens[3]).token == tokens[3]
    for token, reason in reasons.items():
        with pytest.raises(OpenPairError, match=reason):
            dataset.load_scene(token)


def test_damaged_log_is_one_sentence(workspace: Path) -> None:
    dataset = NavsimDataset(workspace)
    token = dataset.keys()[0].token
    path = workspace / "navsim_logs/mini" / f"{dataset.keys()[0].log_name}.pkl"
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(OpenPairError, match="not a complete pickle"):
        NavsimDataset(workspace)
    with pytest.raises(OpenPairError, match="not a complete pickle"):
        dataset.load_scene(token)
    path.write_bytes(pickle.dumps(pickle.loads(content)[1:], protocol=4))
    with pytest.raises(OpenPairError, match="changed since"):
        dataset.load_scene(token)
    path.write_bytes(pickle.dumps([{"a": 1}]))
    with pytest.raises(OpenPairError, match="lack token and roadblock_ids"):
        NavsimDataset(workspace)


BREAKAGES = {
    "not a complete pickle": lambda content: content[: len(content) // 2],
    "lack token and roadblock_ids": lambda content: pickle.dumps([{"a": 1}]),
    "which NAVSIM's files do not contain": lambda content: pickle.dumps(Path("x")),
}


@pytest.mark.parametrize("reason", BREAKAGES)
def test_broken_log_among_good_ones_fails_alone(workspace: Path, reason: str) -> None:
    whole = NavsimDataset(workspace, scene_filter=SceneFilter(frame_interval=1))
    broken, good = sorted({key.log_name for key in whole.keys()})
    path = workspace / f"navsim_logs/mini/{broken}.pkl"
    path.write_bytes(BREAKAGES[reason](path.read_bytes()))

    every_scene = NavsimDataset(workspace, scene_filter=SceneFilter(frame_interval=1), missing="per_scene")
    *known, last = every_scene.keys()
    assert [key.token for key in known] == [key.token for key in whole.keys() if key.log_name == good]
    assert (last.log_name, last.token, last.is_whole_log) == (broken, path.name, True)
    assert every_scene.load_scene(known[0].token).log_name == good
    with pytest.raises(OpenPairError, match=f"none of the log's scenes.*{broken}.*{reason}"):
        every_scene.load_scene(last.token)
    assert len(every_scene.fingerprint()) == 64

    tokens = [next(key.token for key in whole.keys() if key.log_name == name) for name in (broken, good)]
    by_token = NavsimDataset(workspace, scene_filter=SceneFilter.of_tokens(tokens), missing="per_scene")
    assert [(key.token, key.is_whole_log) for key in by_token.keys()] == [(tokens[1], False), (tokens[0], False)]
    with pytest.raises(OpenPairError, match=f"1 cannot be: .*{broken}.*{reason}"):
        by_token.load_scene(tokens[0])

    with pytest.raises(OpenPairError, match=reason):
        NavsimDataset(workspace, scene_filter=SceneFilter.of_tokens(tokens))
    (workspace / f"navsim_logs/mini/{good}.pkl").write_bytes(b"")
    with pytest.raises(OpenPairError, match="none of the 2 logs can be read"):
        NavsimDataset(workspace, missing="per_scene")


def test_readers_share_a_gigabyte() -> None:
    assert number_of_readers([5_000_000] * 1000, cores=4) == 4
    assert number_of_readers([5_000_000] * 1000, cores=64) == 11  # 70 MB each
    assert number_of_readers([5_000_000] * 1000 + [110_000_000], cores=64) == 1
    assert number_of_readers([2_000_000_000] * 20, cores=8) == 1
    assert number_of_readers([1000] * 7, cores=8) == number_of_readers([], cores=8) == 1


def test_broken_logs_are_never_kept_in_the_index(workspace: Path, tmp_path: Path) -> None:
    folder = workspace / "navsim_logs/mini"
    source = sorted(folder.glob("*.pkl"))[0].read_bytes()
    for i in range(40):
        (folder / f"log{i:02d}.pkl").write_bytes(source if i != 7 else source[:1000])
    paths = sorted(folder.glob("log*.pkl"))
    for _ in range(2):
        index = build_index(paths, tmp_path / "cache", keep_broken=True)
        assert list(index.broken) == ["log07"] and len(index.log_names) == 39
    with pytest.raises(OpenPairError, match="not a complete pickle"):
        build_index(paths, tmp_path / "cache")
    paths[7].write_bytes(source)
    mended = build_index(paths, tmp_path / "cache", keep_broken=True)
    assert mended.broken == {} and len(mended.log_names) == 40


def test_folders_and_environment(workspace: Path, tmp_path: Path) -> None:
    environment = {"OPENSCENE_DATA_ROOT": str(workspace), "NUPLAN_MAPS_ROOT": str(tmp_path)}
    assert navsim_folders(None, environment) == NavsimFolders(
        workspace / "navsim_logs", workspace / "maps", workspace / "sensor_blobs", "nuplan-maps-v1.0"
    )
    assert navsim_folders(None, {**environment, "NUPLAN_MAP_VERSION": "v2"}).map_version == "v2"
    (workspace / "maps").unlink()
    assert navsim_folders(workspace, environment).maps == tmp_path
    for root, variables, message in [
        (None, {}, "no dataset folder"),
        (tmp_path / "absent", {}, "no such dataset folder"),
        (tmp_path, {}, "no navsim_logs"),
        (workspace, {}, "no maps"),
        (workspace, {"NUPLAN_MAPS_ROOT": str(tmp_path / "absent")}, "NUPLAN_MAPS_ROOT"),
    ]:
        with pytest.raises(OpenPairError, match=message):
            navsim_folders(root, variables)
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/openpair")


def test_splits(workspace: Path) -> None:
    with pytest.raises(OpenPairError, match="Did you mean 'mini'"):
        NavsimDataset(workspace, split="minni")
    (workspace / "navsim_logs/test").mkdir()
    with pytest.raises(OpenPairError, match="several splits: mini, test"):
        NavsimDataset(workspace)
    with pytest.raises(OpenPairError, match="holds no logs"):
        NavsimDataset(workspace, split="test")


def test_named_splits(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NAVSIM's "navmini" is the folder "mini" and a filter below NAVSIM_DEVKIT_ROOT, or a file that is given."""
    tokens = [key.token for key in NavsimDataset(workspace).keys()]
    filters = tmp_path / "navsim/planning/script/config/common/train_test_split/scene_filter"
    filters.mkdir(parents=True)
    (filters / "navmini.yaml").write_text(f"frame_interval: null\ntokens:\n- '{tokens[1]}'\n")
    monkeypatch.delenv("NAVSIM_DEVKIT_ROOT", raising=False)
    with pytest.raises(OpenPairError, match="set NAVSIM_DEVKIT_ROOT"):
        NavsimDataset(workspace, split="navmini")
    by_file = NavsimDataset(workspace, split="navmini", scene_filter=filters / "navmini.yaml")
    monkeypatch.setenv("NAVSIM_DEVKIT_ROOT", str(tmp_path))
    by_name = NavsimDataset(workspace, split="navmini")
    assert by_name.split == by_file.split == "mini"
    assert [key.token for key in by_name.keys()] == [key.token for key in by_file.keys()] == tokens[1:2]
    with pytest.raises(OpenPairError, match=r"no scene_filter/navtest\.yaml"):
        NavsimDataset(workspace, split="navtest")


def test_kept_index_is_used_and_renewed(workspace: Path, tmp_path: Path) -> None:
    folder = workspace / "navsim_logs/mini"
    source = sorted(folder.glob("*.pkl"))[0].read_bytes()
    for i in range(40):
        (folder / f"log{i:02d}.pkl").write_bytes(source)
    paths = sorted(folder.glob("log*.pkl"))
    told: list[tuple[str, int, int]] = []

    def on_progress(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    first = build_index(paths, tmp_path / "cache", on_progress=on_progress)
    assert told == [("read logs", done, 40) for done in range(41)]
    assert first.log_names == tuple(path.stem for path in paths)
    told.clear()
    second = build_index(paths, tmp_path / "cache", on_progress=on_progress)
    assert told == []
    assert np.array_equal(first.tokens, second.tokens)
    assert first.log_names == second.log_names
    assert np.array_equal(first.has_route, second.has_route)

    paths[7].write_bytes(pickle.dumps(pickle.loads(source)[:20], protocol=4))
    third = build_index(paths, tmp_path / "cache", on_progress=on_progress)
    assert told == [("read logs", 0, 1), ("read logs", 1, 1)]
    assert third.offset[-1] == first.offset[-1] - 20
    told.clear()
    (file,) = (tmp_path / "cache/navsim_index").glob("*")
    file.write_bytes(file.read_bytes()[:50])
    build_index(paths, tmp_path / "cache", on_progress=on_progress)
    assert told[-1] == ("read logs", 40, 40)


@pytest.mark.parametrize(
    ("name", "logs", "tokens", "interval", "future"),
    [
        ("navtrain", 1192, 103288, 1, 10),
        ("navtest", 136, 12146, 1, 10),
        ("navmini", 62, 396, None, 10),
        ("navhard_two_stage", 76, 450, 1, 8),
    ],
)
def test_published_filters(
    navsim_splits: Path, name: str, logs: int, tokens: int, interval: int | None, future: int
) -> None:
    scene_filter = read_scene_filter(navsim_splits / f"{name}.yaml")
    assert scene_filter.log_names is not None
    assert scene_filter.tokens is not None
    assert len(set(scene_filter.log_names)) == len(scene_filter.log_names) == logs
    assert len(set(scene_filter.tokens)) == tokens
    assert all(len(token) == 16 for token in scene_filter.tokens)
    assert (scene_filter.frame_interval, scene_filter.num_future_frames) == (interval, future)


def test_filter_files(tmp_path: Path) -> None:
    def of(name: str, text: str) -> SceneFilter:
        (tmp_path / name).write_text(text)
        return read_scene_filter(tmp_path / name)

    text = "frame_interval: 2\nlog_names: [a, 'b']\ntokens:  \n- 0123\n-  '1e5'  \n- \"ab\"\n# done\nmax_scenes: null\n"
    assert of("f.yaml", text) == SceneFilter(frame_interval=2, log_names=("a", "b"), tokens=("0123", "1e5", "ab"))
    assert of("f.txt", "a\n\nb\na\n") == SceneFilter.of_tokens(["a", "b"])
    assert of("f.csv", "log,token\nx,a\nx,b\n") == SceneFilter.of_tokens(["a", "b"])
    for name, bad in [
        ("f.yaml", "tokens: [a"),
        ("f.yaml", "- a\n- b\n"),
        ("f.yaml", "epochs: 3\n"),
        ("f.yaml", "max_scenes: many\n"),
        ("f.yaml", "max_scenes: 0\n"),
        ("f.yaml", "tokens: 3\n"),
        ("f.csv", "log\nx\n"),
        ("f.json", "{}"),
    ]:
        with pytest.raises(OpenPairError):
            of(name, bad)
    with pytest.raises(OpenPairError, match="cannot be read"):
        read_scene_filter(tmp_path / "absent.yaml")


def pcd_bytes(points: np.ndarray, declared: int | None = None) -> bytes:
    count = len(points) if declared is None else declared
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z intensity ring lidar_info\n"
        "SIZE 4 4 4 1 1 1\nTYPE F F F U U U\nCOUNT 1 1 1 1 1 1\n"
        f"WIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA binary\n"
    )
    rows = b"".join(struct.pack("<3f3B", *point[:3], int(point[3]), 7, 1) for point in points)
    return header.encode() + rows


def test_point_clouds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.normal(size=(50, 3)), rng.integers(0, 255, 50)]).astype(np.float32)
    path = tmp_path / "a.pcd"
    path.write_bytes(pcd_bytes(points))
    assert np.array_equal(read_pcd(path), points)
    path.write_bytes(pcd_bytes(points[:0]))
    assert read_pcd(path).shape == (0, 4)
    for content, message in [
        (pcd_bytes(points)[:-1], "cut off"),
        (pcd_bytes(points, declared=51), "cut off"),
        (pcd_bytes(points).replace(b"DATA binary", b"DATA ascii"), "stored as ascii"),
        (pcd_bytes(points).replace(b"FIELDS x", b"FIELDS u"), "no x, y, z"),
        (b"", "cannot be read"),
        (b"\xff" * 5000, "cannot be read"),
    ]:
        path.write_bytes(content)
        with pytest.raises(OpenPairError, match=message):
            read_pcd(path)


def test_sensors_from_files(workspace: Path) -> None:
    dataset = NavsimDataset(workspace)
    scene = dataset.load_scene(dataset.keys()[0].token)
    with pytest.raises(OpenPairError, match="no such camera image"):
        dataset.load_sensors(scene, size=(64, 36))
    assert scene.current.lidar_path is not None
    image = np.zeros((36, 64, 3), dtype=np.uint8)
    for name, colour in [("cam_l0", (250, 0, 0)), ("cam_f0", (0, 250, 0)), ("cam_r0", (0, 0, 250))]:
        path = Path(scene.current.cameras[name].image_path or "")
        path.parent.mkdir(parents=True)
        image[:] = colour
        assert cv2.imwrite(str(path), image[:, :, ::-1])
    with pytest.raises(OpenPairError, match="no such point cloud"):
        dataset.load_sensors(scene, size=(64, 36))
    Path(scene.current.lidar_path).parent.mkdir(parents=True)
    Path(scene.current.lidar_path).write_bytes(pcd_bytes(np.ones((3, 4))))
    sensors = dataset.load_sensors(scene, size=(64, 36))
    assert sensors.lidar_points.shape == (3, 3)
    assert [int(np.argmax(sensors.images[name][0, 0])) for name in ("cam_l0", "cam_f0", "cam_r0")] == [0, 1, 2]
    path.write_bytes(b"not a jpg")
    with pytest.raises(OpenPairError, match="cannot be decoded"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(OpenPairError, match="cannot be decoded"):
        read_image(path)
