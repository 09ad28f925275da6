"""The comparison of tree samplers: one standing scene, where the published tree cannot drive off and ours can."""

from __future__ import annotations

import numpy as np
import torch

from openpair.benchmarks.samplers import BenchSamplers
from openpair.benchmarks.samplers_figures import COLUMNS, figures, markdown, scene_pairs, score_scene
from openpair.benchmarks.samplers_figures import untrained_samplers as samplers_of


def test_from_standstill_only_our_leaves_get_away() -> None:
    ((dataset, scene, before),) = scene_pairs(1, standing=True)
    assert scene.current.ego.timestamp_us - before.current.ego.timestamp_us == 500_000
    scores = score_scene(dataset, scene, before, samplers_of(0), "standing", torch.Generator())
    published, ours = scores["published"], scores["kinematic"]
    assert published.reach_m < 0.01 and ours.reach_m > 3.0
    np.testing.assert_allclose(published.pdms, published.root_pdms)
    assert ours.pdms.max() > published.pdms.max()
    assert set(ours.metrics["two_frame_extended_comfort"]) <= {0.0, 1.0}

    row = ("standing", "kinematic", "1", *figures([ours]))
    assert len(row) == len(COLUMNS) + 1
    assert row[COLUMNS.index("PDMS")] == f"{ours.pdms.mean():.3f}"
    text = markdown([row], BenchSamplers())
    assert "openpair bench samplers --scenes 60 --standing-scenes 30 --seed 0" in text and " | ".join(row) in text
