"""Figures of ``openpair bench samplers``: leaves of untrained trees, scored exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from openpair.benchmarks.models_targets import replace_section
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES
from openpair.samplers.perturbation_config import PerturbationConfig, RootNoise
from openpair.samplers.perturbations import noisy_roots

if TYPE_CHECKING:
    from openpair.benchmarks.samplers import BenchSamplers

Sampler = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Features and roots (B, 8, 3) -> leaves (B, L, 8, 3)."""

STANDING_MPS = 0.5
"""Slower egos stand."""

DRIVES_OFF_M = 5.0
"""The human drives off where he comes at least this far in 4 s."""

MOVED = RootNoise(PerturbationConfig(0.8, 0.8, 0.3), unchanged_share=0.0)
"""Roots that err as an imitation policy errs."""

ROOTS = ("human", "moved", "standing")
COLUMNS = ("root", "tree", "scenes", "PDMS", "best of set", "EPDMS", "NC", "DAC", "DDC", "EP", "TTC", "LK", "HC", "EC")
SECTION = "## Leaves of the tree samplers"


@dataclass(frozen=True)
class LeafScores:
    """Leaves of one scene, scored.

    Attributes:
        pdms: (L,) of each leaf, v1.1.
        root_pdms: of the root.
        epdms: (L,) of each leaf, v2.2, extended comfort included.
        metrics: sub-metrics of v2.2 by name, (L,) each. Extended comfort compares a leaf with the leaf of the same code
            half a second before.
        reach_m: distance to the end of the leaf that goes farthest.
    """

    pdms: NDArray[np.float64]
    root_pdms: float
    epdms: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    reach_m: float


def run(bench: BenchSamplers) -> None:
    """Score, print, write."""
    torch.set_num_threads(1)
    rows = [row for root in ROOTS for row in rows_of(bench, root)]
    text = markdown(rows, bench)
    Console().print(text, soft_wrap=True, highlight=False, markup=False)
    if bench.report is not None:
        before = bench.report.read_text() if bench.report.exists() else ""
        bench.report.write_text(replace_section(before, text))


def rows_of(bench: BenchSamplers, root: str) -> Iterator[tuple[str, ...]]:
    """A row per sampler, for one kind of root."""
    from openpair.progress import ProgressView

    samplers = untrained_samplers(bench.seed)
    found: dict[str, list[LeafScores]] = {name: [] for name in samplers}
    with ProgressView() as view:
        pairs = list(scene_pairs(bench.standing_scenes if root == "standing" else bench.scenes, root == "standing"))
        for done, (dataset, scene, before) in enumerate(pairs, 1):
            generator = torch.Generator().manual_seed(bench.seed + done)
            for name, scores in score_scene(dataset, scene, before, samplers, root, generator).items():
                found[name].append(scores)
            view.update(f"leaves ({root} roots)", done, len(pairs))
    for name, every in found.items():
        if every:
            yield (root, name, str(len(every)), *figures(every))


def untrained_samplers(seed: int) -> dict[str, Sampler]:
    """The published tree (as it starts, and with the gentle start that we give it) and ours, at the demo's size."""
    from dataclasses import replace

    from openpair.samplers.base import Sampler as Network
    from openpair.samplers.kinematic_config import KinematicTreeConfig
    from openpair.samplers.kinematic_tree import KinematicTree
    from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig

    def leaves(network: Network) -> Sampler:
        network.eval()
        return lambda features, root: network.mean_leaves(network.encode(features, perceive=False), root)

    torch.manual_seed(seed)
    published = ParallelIRConfig.small()
    return {
        "published": leaves(ParallelIR(replace(published, initial_bias=None))),
        "published, bias -2": leaves(ParallelIR(published)),
        "kinematic": leaves(KinematicTree(KinematicTreeConfig.small())),
    }


def scene_pairs(count: int, standing: bool) -> Iterator[tuple[Any, Any, Any]]:
    """(dataset, scene, the scene half a second before) in the validation towns; where the human starts, if asked."""
    from openpair.datasets.world.dataset import WorldDataset

    dataset = WorldDataset("val", predecessors=True, max_scenes=None if standing else count)
    found = 0
    for key in dataset.chosen_keys():
        earlier = dataset.predecessor(key.token)
        if earlier is None or found == count:
            continue
        scene, before = dataset.load_scene(key.token), dataset.load_scene(earlier)
        if standing and not all(starts(one) for one in (scene, before)):
            continue
        found += 1
        yield dataset, scene, before


def starts(scene: Any) -> bool:
    """Whether the ego stands and the human drives off."""
    stands = np.hypot(*scene.current.ego.velocity) < STANDING_MPS
    return bool(stands and np.hypot(*scene.human_trajectory()[-1, :2]) >= DRIVES_OFF_M)


@torch.no_grad()
def score_scene(
    dataset: Any, scene: Any, before: Any, samplers: Mapping[str, Sampler], root: str, generator: torch.Generator
) -> dict[str, LeafScores]:
    """Leaves of each sampler around one kind of root, scored in the scene."""
    from openpair.features.config import FeatureConfig
    from openpair.planning.inputs import features_of
    from openpair.preparation.prepare import prepare_scene
    from openpair.scoring import score_prepared

    features = [features_of(dataset, [one], FeatureConfig.near()) for one in (scene, before)]
    human = [torch.from_numpy(np.asarray(one.human_trajectory())).float()[None] for one in (scene, before)]
    roots = [torch.zeros_like(plan) for plan in human] if root == "standing" else human
    if root == "moved":
        roots = [
            noisy_roots(plan, seen["status_feature"], MOVED, generator)
            for plan, seen in zip(human, features, strict=True)
        ]
    first = prepare_scene(scene, Protocol.V1_1)
    now, earlier = (prepare_scene(one, Protocol.V2_2) for one in (scene, before))
    gap_s = 1e-6 * (scene.current.ego.timestamp_us - before.current.ego.timestamp_us)
    out = {}
    for name, sampler in samplers.items():
        leaves = [sampler(seen, around)[0] for seen, around in zip(features, roots, strict=True)]
        plans = torch.cat((leaves[0], roots[0]))
        pdms = score_prepared(first, plans.double().numpy()).score
        out[name] = leaf_scores(
            score_prepared(now, leaves[0].double().numpy()),
            score_prepared(earlier, leaves[1].double().numpy()),
            pdms,
            gap_s,
            float(leaves[0][:, -1, :2].norm(dim=-1).max()),
        )
    return out


def leaf_scores(now: Any, earlier: Any, pdms: NDArray[np.float64], gap_s: float, reach_m: float) -> LeafScores:
    """Scores of the leaves (v2.2) in a scene and in the one before, and PDMS of leaves and root, put together."""
    from openpair.scoring.epdms import with_extended_comfort
    from openpair.scoring.extended_comfort import extended_comfort

    comfort = extended_comfort(earlier.evidence["simulated_states"], now.evidence["simulated_states"], gap_s)
    complete = with_extended_comfort(now, comfort)
    return LeafScores(pdms[:-1], float(pdms[-1]), complete.score, complete.metrics, reach_m)


def figures(scores: list[LeafScores]) -> tuple[str, ...]:
    """Means over leaves and scenes, in the order of :data:`COLUMNS`, and the farthest reach."""
    best = np.mean([max(one.pdms.max(), one.root_pdms) for one in scores])
    short = {SHORT_NAMES[name]: np.mean([one.metrics[name] for one in scores]) for name in scores[0].metrics}
    pdms, epdms = np.mean([one.pdms for one in scores]), np.mean([one.epdms for one in scores])
    values = (pdms, best, epdms, *(short[name] for name in COLUMNS[6:]))
    return (*(f"{value:.3f}" for value in values), f"{np.mean([one.reach_m for one in scores]):.1f}")


def markdown(rows: list[tuple[str, ...]], bench: BenchSamplers) -> str:
    """The table, with the command that makes it."""
    options = "".join(
        f" --{name.replace('_', '-')} {value}"
        for name, value in (("scenes", bench.scenes), ("standing-scenes", bench.standing_scenes), ("seed", bench.seed))
    )
    headings = (*COLUMNS, "farthest leaf [m]")
    lines = [
        SECTION,
        "",
        f"`openpair bench samplers{options}`: untrained networks of the demo's size, validation towns, exact scores. "
        "Means over all 15 leaves; best of set: leaves and root, PDMS. EC compares each leaf with the one of the same "
        "code half a second before. Standing: the ego stands and would drive off, the root stays. The published tree "
        "starts as torch initialises it, or with action heads biased to -2, as we start its training.",
        "",
        f"| {' | '.join(headings)} |",
        "|---|---|" + "---:|" * (len(headings) - 2),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
