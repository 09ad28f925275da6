"""``openpair export``: a planner as one graph without Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges

TOLERANCE = 1e-4
"""[m], [rad]"""

CHECKS = 3
"""Times that the graph plans other scenes than those it was made with."""


@dataclass(frozen=True)
class Export:
    """Write policy, tree and reward model as one graph by torch.export, and check that it plans what they plan.

    The graph maps camera_feature, lidar_feature and status_feature of a fixed number of scenes, in this order and
    without those of sensors that no network reads, to plans (B, 8, 3): x [m], y [m], heading [rad] at 0.5 s ... 4.0 s.
    `torch.export.load(FILE).module()` runs it, on the device type that it was made on. What a diffusion policy draws at
    random is part of the graph.

    Example: openpair export --run-folder demo/run --out planner.pt2
    """

    out: Path
    """File to write; ends in .pt2."""

    run_folder: Path | None = None
    """Folder of 'openpair train' or 'openpair demo' with all three networks."""

    base: Path | None = None
    """Instead of a folder: the imitation policy, as downloaded or imported."""

    tree: Path | None = None
    """The tree sampler."""

    rwm: Path | None = None
    """The reward world model."""

    batch: int = 1
    """Scenes at once; fixed in the graph."""

    seed: int = 0
    """Of a policy that draws at random."""

    mode: str | None = None
    """How the networks plan: pair, il_rwm, il_rwm_wide, pair_search ...; default: as stored beside them."""

    planner: PlannerChanges = NO_CHANGES
    """Changes to how the networks plan, as for 'openpair eval'. The graph has no memory of a previous plan."""

    def run(self) -> int:
        """Export, compare, say what was written."""
        import torch

        from openpair.interop.export import PlannerGraph, example_features, export_planner
        from openpair.planning.network_files import NetworkFiles, planner_of
        from openpair.planning.networks import load_networks

        given = NetworkFiles(self.base, self.tree, self.rwm, "plain")
        if (self.run_folder is None) == (not given.by_part()):
            raise OpenPairError(
                "the networks are not given, or given twice",
                where="--run-folder",
                fix="Give --run-folder, or --base, --tree and --rwm",
            )
        files = given if self.run_folder is None else NetworkFiles.find(self.run_folder)
        networks = load_networks(files)
        mode, config = planner_of(files, self.mode, self.planner, where=self.run_folder or "networks")
        config = replace(config, previous_plan_bonus=None)
        export_planner(networks, self.out, config, batch=self.batch, seed=self.seed)
        planner, graph = PlannerGraph(networks, config, self.seed), torch.export.load(self.out).module()
        with torch.no_grad():
            others = [example_features(networks.features, self.batch, skip) for skip in range(1, 1 + CHECKS)]
            apart = max(float((graph(*features) - planner(*features)).abs().max()) for features in others)
        if not apart <= TOLERANCE:
            self.out.unlink()
            raise OpenPairError(f"the graph's plan lies {apart:.1e} from the planner's", where=self.out)
        print(f"{self.out}: '{mode}', {self.batch} scene(s) at once, plans within {apart:.1e} of the planner's")
        print(f"inputs: {', '.join(networks.features.inputs)}")
        return 0
