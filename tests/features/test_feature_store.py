"""The store gives back what was built, whatever the number of workers and interruptions."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from toy_scene import agents_at, scene_at, street

from openpair.checksums import read_sealed_json
from openpair.datatypes.columns import AgentCategory
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.errors import OpenPairError
from openpair.features import FeatureConfig, build_features, build_targets, cache
from openpair.features.cache import CHUNK, FeatureStore, LoadScene, build_store
from openpair.sensors.render import render_front_view

CONFIG = FeatureConfig(camera_size=(64, 16), lidar_cells=32, bev_pixel_m=1.0, bev_rows=32, bev_columns=64)
TOKENS = [f"scene{i}" for i in range(2 * CHUNK + 5)]
BROKEN = "scene7"


def toy_loader(broken: tuple[str, ...], stop_at: str | None) -> LoadScene:
    """Scenes that differ by their number; some are broken, one may interrupt the work."""
    town = street()

    def load(token: str) -> tuple[Scene, SensorFrame]:
        if token in broken:
            raise OpenPairError("the log is damaged", where=token)
        if token == stop_at:
            raise KeyboardInterrupt
        i = int(token.removeprefix("scene"))
        car = agents_at([(AgentCategory.VEHICLE, (15.0 + 0.1 * i, -1.75, 0.0, 4.5, 1.9, 1.6))])
        scene = scene_at((0.2 * i, -1.75, 0.01 * i), car, town)
        return scene, render_front_view(scene, size=CONFIG.camera_size)

    return load


def source(*broken: str, stop_at: str | None = None) -> partial[LoadScene]:
    return partial(toy_loader, broken, stop_at)


def build(root: Path, workers: int = 1, **options: object) -> FeatureStore:
    defaults: dict = {"tokens": TOKENS, "open_source": source(BROKEN), "data_fingerprint": "toy", "config": CONFIG}
    return build_store(root, workers=workers, **(defaults | options))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_gives_back_what_the_builders_give(tmp_path: Path) -> None:
    store = build(tmp_path)
    assert len(store) == len(TOKENS) - 1 and BROKEN not in store.tokens
    load = source()()
    for token in ("scene0", "scene8", TOKENS[-1]):
        scene, sensors = load(token)
        expected = build_features(scene, sensors, CONFIG) | build_targets(scene, CONFIG)
        got = store[store.index(token)]
        assert set(got) == set(expected)
        for name, value in expected.items():
            assert got[name].dtype == value.dtype and np.array_equal(got[name], value), name
    batch = store.batch(np.array([3, 0, 3]))
    assert batch["camera_feature"].shape == (3, 3, 16, 64)
    assert np.array_equal(batch["camera_feature"][0], batch["camera_feature"][2])
    assert not np.array_equal(batch["camera_feature"][0], batch["camera_feature"][1])


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """New stores are compressed, as those of the published size are."""
    monkeypatch.setattr(cache, "PACKED_FROM_BYTES", 0)


def contents(store: FeatureStore) -> list[dict[str, np.ndarray]]:
    return [store[i] for i in range(len(store))]


def test_a_packed_store_holds_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TOKENS[:9]
    plain = build(tmp_path / "plain", tokens=tokens)
    monkeypatch.setattr(cache, "PACKED_FROM_BYTES", 0)
    store = build(tmp_path / "packed", tokens=tokens)
    assert not (plain.folder / "packed").exists() and not (store.folder / "camera_feature.npy").exists()
    assert store.tokens == plain.tokens and store.failures == plain.failures
    order = np.array([len(store) - 1, 3, 0, 3])
    ours, theirs = store.batch(order), plain.batch(order)
    assert ours.keys() == theirs.keys()
    assert all(ours[k].dtype == theirs[k].dtype and np.array_equal(ours[k], theirs[k]) for k in theirs)
    # A plain store of before stays as it is, whatever new ones are like.
    assert contents(build(tmp_path / "plain", tokens=tokens)) and not (plain.folder / "packed").exists()


def test_a_packed_store_goes_on_where_it_stopped(tmp_path: Path, packed: None) -> None:
    tokens = TOKENS[: CHUNK + 3]
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", tokens=tokens, open_source=source("scene0", BROKEN, stop_at=tokens[-1]))
    resumed, whole = build(tmp_path / "a", tokens=tokens), build(tmp_path / "b", tokens=tokens)
    assert resumed.tokens == whole.tokens
    for ours, theirs in zip(contents(resumed), contents(whole), strict=True):
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_damage_of_a_packed_store_is_refused(tmp_path: Path, packed: None) -> None:
    store = build(tmp_path, tokens=TOKENS[:3])
    (path,) = (store.folder / "packed").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(OpenPairError, match="checksum of scene scene2 is wrong"):
        contents(FeatureStore(store.folder))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OpenPairError, match=r"0000000.bin: .*cannot be read"):
        contents(FeatureStore(store.folder))
    path.unlink()
    with pytest.raises(OpenPairError, match=r"0000000.bin: .*No such file"):
        contents(FeatureStore(store.folder))


def test_only_large_scenes_are_packed() -> None:
    assert cache.packed_arrays(FeatureConfig.published()) == ("camera_feature", "lidar_feature", "bev_semantic_map")
    for config in (FeatureConfig.demo(), FeatureConfig.near(), FeatureConfig.truth()):
        assert not cache.packed_arrays(config)


def test_failed_scenes_are_listed_with_their_reason(tmp_path: Path) -> None:
    store = build(tmp_path)
    assert list(store.failures) == [BROKEN] and "damaged" in store.failures[BROKEN]
    with pytest.raises(OpenPairError, match="damaged"):
        store.index(BROKEN)
    healed = build(tmp_path, open_source=source())
    assert len(healed) == len(TOKENS) and not healed.failures
    with pytest.raises(OpenPairError, match="not one of 3"):
        build(tmp_path, tokens=TOKENS[:3], open_source=source(*TOKENS))


def test_two_workers_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    one, two = build(tmp_path / "one"), build(tmp_path / "two", workers=2)
    assert files(one.folder) == files(two.folder)


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    interrupted = source(BROKEN, stop_at=TOKENS[CHUNK + 3])
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", open_source=interrupted, on_progress=lambda _, *told: seen.append(told))
    assert seen == [(0, len(TOKENS)), (CHUNK, len(TOKENS))]
    folder = next((tmp_path / "a").iterdir())
    with pytest.raises(OpenPairError, match=f"{CHUNK} of {len(TOKENS)}"):
        FeatureStore(folder)
    seen.clear()
    resumed = build(tmp_path / "a", on_progress=lambda _, *told: seen.append(told))
    assert seen[0][0] == CHUNK - 1 and seen[-1] == (len(TOKENS), len(TOKENS))  # the broken one is tried again
    assert files(resumed.folder) == files(build(tmp_path / "b").folder)


def test_a_finished_store_is_opened_without_touching_the_data(tmp_path: Path) -> None:
    build(tmp_path, open_source=source())

    def must_not_be_called() -> LoadScene:
        raise AssertionError("opened the data")

    assert len(build(tmp_path, open_source=must_not_be_called)) == len(TOKENS)


def test_other_sizes_data_or_scenes_have_stores_of_their_own(tmp_path: Path) -> None:
    folders = {
        build(tmp_path, tokens=TOKENS[:4]).folder,
        build(tmp_path, tokens=TOKENS[:3]).folder,
        build(tmp_path, tokens=TOKENS[:3], data_fingerprint="other").folder,
        build(tmp_path, tokens=TOKENS[:3], config=FeatureConfig(camera_size=(64, 16), lidar_cells=64)).folder,
    }
    assert len(folders) == 4


def test_damage_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="no feature store"):
        FeatureStore(tmp_path / "nothing")
    folder = build(tmp_path, tokens=TOKENS[:3]).folder
    camera = folder / "camera_feature.npy"
    whole = camera.read_bytes()
    camera.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OpenPairError, match="cannot be read"):
        FeatureStore(folder)
    camera.write_bytes(whole)
    meta = read_sealed_json(folder / "store.json")
    (folder / "store.json").write_text(json.dumps(meta | {"version": 0}))
    with pytest.raises(OpenPairError, match="version 0"):
        FeatureStore(folder)
    (folder / "store.json").write_text("{")
    with pytest.raises(OpenPairError, match="cannot be read"):
        FeatureStore(folder)


def test_the_same_scene_twice_or_none_is_refused(tmp_path: Path) -> None:
    for tokens in ([], ["scene1", "scene1"]):
        with pytest.raises(OpenPairError, match="at least one"):
            build(tmp_path, tokens=tokens)
