"""Agents say which sensors they read; nothing else is opened (shared/cases, field 01)."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from openpair.cli.main import main
from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError
from openpair.evaluation.plugins import agent_of
from openpair.evaluation.sources import AgentContext
from openpair.features.build import build_features
from openpair.features.config import FeatureConfig
from openpair.planning.inputs import features_of, see

CASES = Path(__file__).parents[3] / "shared" / "cases" / "field"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The field cases, copied and with maps beside them."""
    out = tmp_path_factory.mktemp("field")
    subprocess.run(["bash", str(CASES / "prepare.sh"), str(out)], check=True)
    return out


def test_a_camera_only_network_runs_where_there_are_no_point_clouds(cases: Path, tmp_path: Path) -> None:
    command = ["eval", "--dataset", "navsim", "--root", str(cases / "01_camera_only_no_lidar"), "--split", "mini"]
    command += ["--tokens", str(cases / "one_token.txt"), "--protocol", "v2.2", "--workers", "1"]
    command += ["--agent", str(cases / "01_latent_transfuser_zero_weights.ckpt"), "--out", str(tmp_path / "o1")]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0


def test_only_what_is_read_is_opened(cases: Path) -> None:
    dataset = open_dataset("navsim", cases / "01_camera_only_no_lidar", split="mini")
    scene = dataset.load_scene((cases / "one_token.txt").read_text().split()[0])
    camera = replace(FeatureConfig.published(), lidar=False)
    assert set(features_of(dataset, [scene], camera)) == {"camera_feature", "status_feature"}
    nothing = replace(camera, cameras=False)
    assert see(dataset, scene, nothing).images is None
    assert set(build_features(scene, see(dataset, scene, nothing), nothing)) == {"status_feature"}
    with pytest.raises(OpenPairError, match="point cloud"):
        features_of(dataset, [scene], FeatureConfig.published())


class FromCameras(nn.Module):
    """A plug-in network that says it reads cameras alone."""

    features = replace(FeatureConfig.published(), lidar=False)

    def forward(self, camera_feature: Tensor, status_feature: Tensor) -> Tensor:
        return torch.zeros(len(camera_feature), 8, 3)


def test_a_plug_in_network_says_what_it_reads(cases: Path) -> None:
    dataset = open_dataset("navsim", cases / "01_camera_only_no_lidar", split="mini")
    scene = dataset.load_scene((cases / "one_token.txt").read_text().split()[0])
    context = AgentContext(dataset=dataset, prepare=lambda scene: pytest.fail("no scores are needed"), seed=0)
    assert np.array_equal(agent_of(FromCameras(), context, "cameras").plan(scene), np.zeros((8, 3)))
