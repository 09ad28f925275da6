"""What evaluating the released pipeline cleverly saves: the same graphs, plainly and as OpenPaIR runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.benchmarks.networks import count_operations, example_inputs, fresh_network
from openpair.nn.inference import optimised_for_inference
from openpair.nn.trunk import TrunkOutput
from openpair.planning.planner import choose
from openpair.policies.diffusion_drive import DiffusionDrive, likeliest
from openpair.rewards.base import RewardModel
from openpair.samplers.base import SamplerContext
from openpair.samplers.parallel_ir import ALL_CODES, ParallelIR

Fastest = Callable[[Callable[[], Any]], float]
"""Seconds of the fastest of some calls."""


@dataclass(frozen=True)
class Target:
    """A ratio that must not be exceeded.

    Attributes:
        what: the part that is measured.
        limit: greatest share of the plain evaluation's time.
        plain, ours: what is compared, in words.
        plain_s, ours_s: seconds for one scene.
        plain_flops, ours_flops: operations, which do not depend on the machine.
        difference: greatest difference of the results.
    """

    what: str
    limit: float
    plain: str
    ours: str
    plain_s: float
    ours_s: float
    plain_flops: float
    ours_flops: float
    difference: float

    @property
    def ratio(self) -> float:
        """Our time over the plain time."""
        return self.ours_s / self.plain_s


class PlainSiblings(nn.Module):
    """The tree's decoder as torch's layers compute it: every group projects the context anew."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def project_context(self, context: Tensor, there: None = None) -> Tensor:
        return context

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """As :class:`openpair.nn.sibling_decoder.SiblingDecoder`, from the context's tokens (B, K, D)."""
        x = queries.flatten(0, 1)
        memory = context.repeat_interleave(queries.shape[1], dim=0)
        for layer in self.layers:
            x = layer(x, memory)
        return x.view_as(queries)


class RecomputedValues(list[Tensor]):
    """The layers' value maps, computed again whenever a denoising step goes through them."""

    def __init__(self, network: DiffusionDrive, scene: Tensor) -> None:
        super().__init__()
        self._network, self._scene = network, scene

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._network._trajectory_head.diff_decoder.values(self._scene))


@contextmanager
def plain_tree(network: ParallelIR) -> Iterator[None]:
    """All 85 parents are expanded, each with a context of its own, while this lasts."""
    decoder = network.branch_tree.shared_attn
    network.branch_tree.shared_attn = PlainSiblings(decoder.layers)  # type: ignore[assignment]
    network.set_codes(ALL_CODES)
    try:
        yield
    finally:
        network.branch_tree.shared_attn = decoder
        network.set_codes(network.config.codes)


def tree_leaves(network: ParallelIR, context: SamplerContext, root: Tensor, *, plain: bool) -> Tensor:
    """The 15 leaves (B, 15, 8, 3), evaluated plainly (and picked from all 256) or as usual."""
    if not plain:
        return network.grow(context, root).tree.leaves[:, 0]
    with plain_tree(network):
        every = network.grow(context, root).tree.leaves[:, 0]
    return every[:, [ALL_CODES.index(code) for code in network.config.codes]]


def scene_map(network: DiffusionDrive, output: TrunkOutput, *, plain: bool) -> Tensor:
    """DiffusionDrive's scene map (B, D, X, Y); plainly, coarse and fine map are put side by side first."""
    if not plain:
        return network._scene_map(output)
    rows, columns = network._backbone.fused_size
    tokens = output.keyval[:, : rows * columns].transpose(1, 2).unflatten(2, (rows, columns))
    fine = output.bev
    coarse = F.interpolate(tokens, size=fine.shape[-2:], mode="bilinear", align_corners=False)
    scene: Tensor = network.bev_proj(torch.cat((coarse, fine), dim=1).permute(0, 2, 3, 1))
    return scene.permute(0, 3, 1, 2)


def refined_plans(network: DiffusionDrive, output: TrunkOutput, noise: Tensor, *, plain: bool) -> Tensor:
    """DiffusionDrive's head: scene map, then denoising, to all plans (B, 20, 8, 3)."""
    scene = scene_map(network, output, plain=plain)
    values = RecomputedValues(network, scene) if plain else network._trajectory_head.diff_decoder.values(scene)
    return network.denoised(noise, values, output.queries)[0]


@dataclass(frozen=True)
class Pipeline:
    """The networks of the released pipeline.

    Attributes:
        base, tree, model: imitation policy, sampler, reward model.
    """

    base: DiffusionDrive
    tree: ParallelIR
    model: RewardModel

    def optimised(self) -> Pipeline:
        """The same, made ready for inference."""
        networks = (self.base, self.tree, self.model)
        return Pipeline(*(optimised_for_inference(network) for network in networks))  # type: ignore[arg-type]


def pipeline_values(networks: Pipeline, features: Mapping[str, Tensor], noise: Tensor, *, plain: bool) -> Tensor:
    """The whole released pipeline: the value of each of the 16 candidates (B, 16)."""
    base, tree, model = networks.base, networks.tree, networks.model
    if not plain:
        root = base.plan(**features, noise=noise)
        context = tree.encode(features, perceive=False)
        return choose(features, root, lambda _, around: tree.mean_leaves(context, around), model).predicted
    output = base.trunk(features)
    scene = scene_map(base, output, plain=True)
    root = likeliest(*base.denoised(noise, RecomputedValues(base, scene), output.queries))[1]
    base.perceive(output)
    context = tree.encode(features)
    candidates = torch.cat((tree_leaves(tree, context, root, plain=True), root[:, None]), dim=1)
    return model(**features, agent_trajectory=candidates)["sim_logits"][:, 0]


Run = Callable[[Pipeline, bool], Tensor]
"""A part of the pipeline with these networks, evaluated plainly or not."""


def compare(what: str, limit: float, words: tuple[str, str], pipeline: Pipeline, run: Run, fastest: Fastest) -> Target:
    """Measure ``run`` both ways, one after the other: plainly with the networks as they are, ours with optimised ones.

    Operations are counted on the networks as they are: an optimised one does part of them under other names.
    """
    fast = pipeline.optimised()
    with torch.no_grad():
        plain_flops, expected = count_operations(lambda: run(pipeline, True))
        our_flops, _ = count_operations(lambda: run(pipeline, False))
        difference = float((expected - run(fast, False)).abs().max())
        plain_s = fastest(lambda: run(pipeline, True))
        our_s = fastest(lambda: run(fast, False))
    return Target(what, limit, *words, plain_s, our_s, plain_flops, our_flops, difference)


def measure_tree(pipeline: Pipeline, features: Mapping[str, Tensor], root: Tensor, fastest: Fastest) -> Target:
    """The tree alone, from its encoder's tokens on."""
    with torch.no_grad():
        context = pipeline.tree.encode(features, perceive=False)

    def run(networks: Pipeline, plain: bool) -> Tensor:
        return tree_leaves(networks.tree, context, root, plain=plain)

    words = ("85 parents, the context projected for each", "23 parents, the context projected once")
    return compare("tree", 0.35, words, pipeline, run, fastest)


def measure_head(pipeline: Pipeline, features: Mapping[str, Tensor], noise: Tensor, fastest: Fastest) -> Target:
    """DiffusionDrive's head alone, from the trunk's output on."""
    names = ("camera_feature", "lidar_feature", "status_feature")
    with torch.no_grad():
        output = pipeline.base.trunk({name: features[name] for name in names})
        output.bev  # noqa: B018  (computed here, not in the head's time)

    def run(networks: Pipeline, plain: bool) -> Tensor:
        return refined_plans(networks.base, output, noise, plain=plain)

    words = ("value maps at every denoising step", "value maps once, the coarse map projected before it is resized")
    return compare("DiffusionDrive head", 0.6, words, pipeline, run, fastest)


def measure_pipeline(pipeline: Pipeline, features: Mapping[str, Tensor], noise: Tensor, fastest: Fastest) -> Target:
    """DiffusionDrive, tree and reward world model."""

    def run(networks: Pipeline, plain: bool) -> Tensor:
        return pipeline_values(networks, features, noise, plain=plain)

    words = ("three networks, each plainly", "the same three, without heads nobody asks, optimised for inference")
    return compare("whole pipeline", 0.8, words, pipeline, run, fastest)


def measure_targets(size: str, device: str, fastest: Fastest) -> list[Target]:
    """All targets for one scene, with random parameters and inputs."""
    torch.manual_seed(0)
    base, tree, model = (fresh_network(kind, size) for kind in ("diffusiondrive", "parallel_ir", "rwm"))
    assert isinstance(base, DiffusionDrive) and isinstance(tree, ParallelIR) and isinstance(model, RewardModel)
    inputs = {name: value.to(device) for name, value in {**example_inputs(base, 1), **example_inputs(tree, 1)}.items()}
    noise, root = inputs.pop("noise"), inputs.pop("expert_feature")
    pipeline = Pipeline(base.to(device), tree.to(device), model.to(device))
    return [
        measure_tree(pipeline, inputs, root, fastest),
        measure_head(pipeline, inputs, noise, fastest),
        measure_pipeline(pipeline, inputs, noise, fastest),
    ]


def markdown(targets: list[Target], heading: str) -> str:
    """What the pipeline saves, as a Markdown table."""
    lines = [
        heading,
        "",
        "| part | plainly | ours | GFLOP | ms | time, ours / plain | target | greatest difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for t in targets:
        verdict = "met" if t.ratio <= t.limit else "missed"
        lines.append(
            f"| {t.what} | {t.plain} | {t.ours} | {t.plain_flops / 1e9:.1f} -> {t.ours_flops / 1e9:.1f} "
            f"| {t.plain_s * 1e3:.0f} -> {t.ours_s * 1e3:.0f} | {t.ratio:.2f} | {t.limit:.2f}, {verdict} "
            f"| {t.difference:.1e} |"
        )
    return "\n".join(lines) + "\n"


def replace_section(text: str, section: str) -> str:
    """A Markdown text with its section of the same heading replaced, or the section at its end."""
    heading = section.splitlines()[0]
    before, found, after = f"\n{text}".partition(f"\n{heading}\n")
    if not found:
        return f"{text.rstrip()}\n\n{section}".lstrip()
    _, following, rest = after.partition("\n## ")
    return f"{before[1:]}\n{section}" + (f"\n## {rest}" if following else "")
