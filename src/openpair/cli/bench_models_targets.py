"""What evaluating the released pipeline cleverly saves: the same graphs, plainly and as OpenPaIR runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from openpair.cli.bench_networks import example_inputs, fresh_network
from openpair.nn.trunk import TrunkOutput
from openpair.policies.diffusion_drive import DiffusionDrive
from openpair.rewards.base import RewardModel
from openpair.samplers.base import SamplerContext
from openpair.samplers.parallel_ir import ALL_CODES, ParallelIR
from openpair.selection.planner import choose

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

    def project_context(self, context: Tensor) -> Tensor:
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


def refined_plans(network: DiffusionDrive, output: TrunkOutput, noise: Tensor, *, plain: bool) -> Tensor:
    """DiffusionDrive's head: scene map, then denoising, to all plans (B, 20, 8, 3)."""
    scene = network._scene_map(output)
    values = RecomputedValues(network, scene) if plain else network._trajectory_head.diff_decoder.values(scene)
    return network.denoised(noise, values, output.queries)[0]


def pipeline_plan(
    base: DiffusionDrive, tree: ParallelIR, model: RewardModel, features: Mapping[str, Tensor], *, plain: bool
) -> Tensor:
    """The whole released pipeline: the value of each of the 16 candidates (B, 16)."""
    noise = torch.zeros(len(features["status_feature"]), *base._trajectory_head.plan_anchor.shape)
    noise = noise.to(features["status_feature"].device)
    if not plain:
        root = base.plan(**features, noise=noise)
        return choose(features, root, lambda f, r: tree.expand(tree.encode(f), r).leaves[:, 0], model).predicted
    output = base.trunk(features["camera_feature"], features["lidar_feature"], features["status_feature"])
    scene = base._scene_map(output)
    plans, logits = base.denoised(noise, RecomputedValues(base, scene), output.queries)
    base.perceive(output)
    root = plans[torch.arange(len(plans), device=plans.device), logits.argmax(dim=1)]
    leaves = tree_leaves(tree, tree.encode(features), root, plain=True)
    candidates = torch.cat((leaves, root[:, None]), dim=1)
    return model(**features, agent_trajectory=candidates)["sim_logits"][:, 0]


def compare(what: str, limit: float, words: tuple[str, str], run: Callable[[bool], Tensor], fastest: Fastest) -> Target:
    """Measure ``run(plain)`` both ways, side by side."""
    with torch.no_grad():
        flops = []
        results = []
        for plain in (True, False):
            counter = FlopCounterMode(display=False)
            with counter:
                results.append(run(plain))
            flops.append(float(counter.get_total_flops()))
        seconds = [fastest(lambda plain=plain: run(plain)) for plain in (True, False)]  # type: ignore[misc]
    difference = float((results[0] - results[1]).abs().max())
    plain_words, our_words = words
    return Target(what, limit, plain_words, our_words, seconds[0], seconds[1], flops[0], flops[1], difference)


def measure_tree(tree: ParallelIR, features: Mapping[str, Tensor], root: Tensor, fastest: Fastest) -> Target:
    """The tree alone, from its encoder's tokens on."""
    with torch.no_grad():
        context = tree.encode(features)
    words = ("85 parents, the context projected for each", "23 parents, the context projected once")
    return compare("tree", 0.35, words, lambda plain: tree_leaves(tree, context, root, plain=plain), fastest)


def measure_head(base: DiffusionDrive, features: Mapping[str, Tensor], fastest: Fastest) -> Target:
    """DiffusionDrive's head alone, from the trunk's output on."""
    with torch.no_grad():
        output = base.trunk(features["camera_feature"], features["lidar_feature"], features["status_feature"])
    noise = torch.randn(len(output.queries), *base._trajectory_head.plan_anchor.shape, device=output.queries.device)
    words = ("value maps at every denoising step", "value maps once")
    return compare(
        "DiffusionDrive head", 0.6, words, lambda plain: refined_plans(base, output, noise, plain=plain), fastest
    )


def measure_pipeline(
    base: DiffusionDrive, tree: ParallelIR, model: RewardModel, features: Mapping[str, Tensor], fastest: Fastest
) -> Target:
    """DiffusionDrive, tree and reward world model."""
    words = ("three networks, each plainly", "the same three encoders; work within each shared")
    return compare(
        "whole pipeline", 0.8, words, lambda plain: pipeline_plan(base, tree, model, features, plain=plain), fastest
    )


def measure_targets(size: str, device: str, fastest: Fastest) -> list[Target]:
    """All targets for one scene, with random parameters and inputs."""
    torch.manual_seed(0)
    base, tree = fresh_network("diffusiondrive", size), fresh_network("parallel_ir", size)
    model = fresh_network("rwm", size)
    assert isinstance(base, DiffusionDrive) and isinstance(tree, ParallelIR) and isinstance(model, RewardModel)
    base._trajectory_head.plan_anchor.data = torch.randn_like(base._trajectory_head.plan_anchor) * 5
    for network in (base, tree, model):
        network.eval().to(device)
    features = {name: value.to(device) for name, value in example_inputs(tree, 1).items()}
    root = features.pop("expert_feature")
    return [
        measure_tree(tree, features, root, fastest),
        measure_head(base, features, fastest),
        measure_pipeline(base, tree, model, features, fastest),
    ]


def markdown(targets: list[Target], heading: str) -> str:
    """The section of docs/performance.md."""
    lines = [
        "## Models",
        "",
        f"{heading}. The same graph with the same parameters, evaluated plainly and as OpenPaIR evaluates it, side by",
        "side in one run; `openpair bench models --report docs/performance.md` writes this section.",
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
