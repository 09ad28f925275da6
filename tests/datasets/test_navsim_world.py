"""The embedded world in NAVSIM's format: obeys every rule of it, and reads back as the world itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from navsim_rules import check_log, check_maps

from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.scene_filter import read_scene_filter
from openpair.datasets.world.dataset import WorldDataset
from openpair.datasets.world.unpack import unpack_world
from openpair.geometry.poses import wrap_angle


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of the validation towns, four towns each at most."""
    out = tmp_path_factory.mktemp("world")
    return [out / part.folder for part in unpack_world(out, splits=("val",))]


def test_obeys_the_format(unpacked: list[Path]) -> None:
    for folder in unpacked:
        check_maps(folder / "maps")
        paths = sorted((folder / "navsim_logs/val").glob("*.pkl"))
        assert len(paths) > 10
        for path in paths[::8]:
            rows = check_log(path)
            assert all(row["roadblock_ids"] for row in rows)


def test_reads_back_as_the_world(unpacked: list[Path]) -> None:
    world = WorldDataset("val")
    parts = [NavsimDataset(folder, scene_filter=read_scene_filter(folder / "scene_filter.yaml")) for folder in unpacked]
    part_of = {key.token: part for part in parts for key in part.keys()}
    assert set(part_of) == {key.token for key in world.keys()}
    for key in list(world.keys())[::40]:
        ours, theirs = world.load_scene(key.token), part_of[key.token].load_scene(key.token)
        assert ours.log_name == theirs.log_name
        for a, b in zip(ours.frames, theirs.frames, strict=True):
            assert (a.token, a.ego.timestamp_us) == (b.token, b.ego.timestamp_us)
            np.testing.assert_allclose(a.ego.state_vector(), b.ego.state_vector(), rtol=1e-6, atol=1e-9)
            assert a.agents.track_tokens == b.agents.track_tokens
            difference = a.agents.box - b.agents.box
            difference[:, 2] = wrap_angle(difference[:, 2])
            np.testing.assert_allclose(difference, 0, atol=1e-8)
            np.testing.assert_allclose(a.agents.velocity, b.agents.velocity, rtol=0, atol=1e-8)
            assert np.array_equal(a.driving_command, b.driving_command)
            assert (a.route_roadblock_ids, a.traffic_lights) == (b.route_roadblock_ids, b.traffic_lights)
        np.testing.assert_allclose(ours.human_trajectory(), theirs.human_trajectory(), atol=1e-8)
