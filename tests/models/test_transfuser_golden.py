"""The published TransFuser, against golden outputs, losses and gradients."""

from __future__ import annotations

import statistics

import model_goldens as golden
import pytest
import torch

from openpair.policies.transfuser import Transfuser
from openpair.policies.transfuser_config import TransfuserConfig

pytestmark = golden.needs_goldens


@pytest.fixture(scope="module")
def network() -> Transfuser:
    module = Transfuser(TransfuserConfig.published()).eval()
    module.load_state_dict(golden.seeded_state("transfuser"), strict=True)
    return module


def test_parameters_have_the_published_names_and_shapes(network: Transfuser) -> None:
    golden.assert_same_state_names(network, "transfuser")


def test_latent_variant_adds_one_raster() -> None:
    latent = Transfuser(TransfuserConfig.published_latent())
    assert latent.state_dict()["_backbone.lidar_latent"].shape == (1, 1, 256, 256)
    published = golden.read_json("listings/transfuser.json")["parameters"]
    assert sum(p.numel() for p in latent.parameters()) == published + 65_536
    features = golden.inputs()
    del features["lidar_feature"]
    with torch.no_grad():
        assert latent.eval().plan(**features).shape == (3, 8, 3)


def test_outputs_losses_and_gradients_are_the_golden_ones(network: Transfuser) -> None:
    features = golden.inputs()
    with golden.captured(network, "_tf_decoder") as inner, golden.captured(network, "_backbone") as maps:
        outputs = network(**features)
    for i, (image, lidar) in enumerate(maps[0].stages):
        golden.assert_close("transfuser", f"stage{i}_img", golden.stage_sample(image))
        golden.assert_close("transfuser", f"stage{i}_lidar", golden.stage_sample(lidar))
    golden.assert_close("transfuser", "bev_upscale", maps[0].bev[:, ::8, ::4, ::4])
    golden.assert_close("transfuser", "fused", maps[0].fused[:, ::16])
    golden.assert_close("transfuser", "query_out", inner[0])
    for key in ("trajectory", "agent_states", "agent_labels"):
        golden.assert_close("transfuser", key, outputs[key])
    golden.assert_close("transfuser", "bev_semantic_map", outputs["bev_semantic_map"][:, :, ::4, ::4])
    argmax = outputs["bev_semantic_map"].argmax(1)[:, ::2, ::2].numpy()
    assert (argmax == golden.arrays("transfuser.npz")["bev_semantic_argmax"]).all()

    expected = golden.read_json("transfuser_train.json")
    terms = network.loss(outputs, golden.targets())
    # Predictions of seeded weights crowd in one place, so that many matchings cost the same to the last digit: which of
    # them is found depends on rounding and moves the box loss by up to 1.5e-3. The other terms are sharp.
    tolerance = {"agent_box": 2e-3, "loss": 4e-4}
    for name, value in expected["losses"].items():
        assert terms[name].item() == pytest.approx(value, rel=tolerance.get(name, 1e-6)), name
    network.zero_grad()
    terms["loss"].backward()
    norms = {k: p.grad.norm().item() for k, p in network.named_parameters() if p.grad is not None}
    assert set(norms) == set(expected["grad_norm"])
    deviation = {k: abs(norms[k] - v) / max(v, 1e-3) for k, v in expected["grad_norm"].items()}
    independent_of_matching = [k for k in norms if k.startswith(("_bev_semantic_head", "_trajectory_head"))]
    assert max(deviation[k] for k in independent_of_matching) < 1e-4
    assert max(deviation.values()) < 0.15
    assert statistics.median(deviation.values()) < 5e-3
