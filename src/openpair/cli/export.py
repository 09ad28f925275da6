"""``openpair export``: a planner as one graph without Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openpair.errors import OpenPairError

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Export:
    """Write policy, tree and reward model as one graph by torch.export, and check that it plans what they plan.

    The graph maps camera_feature, lidar_feature and status_feature of a fixed number of scenes to plans (B, 8, 3):
    x [m], y [m], heading [rad] at 0.5 s ... 4.0 s. `torch.export.load(FILE).module()` runs it, on the device type that
    it was made on. What a diffusion policy draws at random is part of the graph.

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

    def run(self) -> int:
        """Export, compare, say what was written."""
        import torch

        from openpair.interop.export import PlannerGraph, example_features, export_planner
        from openpair.planning.networks import NetworkFiles, load_networks

        given = NetworkFiles(self.base, self.tree, self.rwm, "plain")
        if (self.run_folder is None) == (not given.by_part()):
            raise OpenPairError(
                "the networks are not given, or given twice",
                where="--run-folder",
                fix="Give --run-folder, or --base, --tree and --rwm",
            )
        files = given if self.run_folder is None else NetworkFiles.find(self.run_folder)
        networks = load_networks(files)
        export_planner(networks, self.out, batch=self.batch, seed=self.seed)
        torch.manual_seed(self.seed)
        features = example_features(networks.features, self.batch)
        with torch.no_grad():
            expected = PlannerGraph(networks, self.seed)(*features)
            apart = float((torch.export.load(self.out).module()(*features) - expected).abs().max())
        if not apart <= TOLERANCE:
            self.out.unlink()
            raise OpenPairError(f"the graph's plan lies {apart:.1e} from the planner's", where=self.out)
        print(f"{self.out}: {self.batch} scene(s) at once, plans within {apart:.1e} of the planner's")
        return 0
