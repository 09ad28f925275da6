"""``openpair fit-anchors``: typical plans of a training set, DiffusionDrive's anchors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FitAnchors:
    """Fit DiffusionDrive's anchors to what humans drove: k-means over the points of their next four seconds.

    'openpair train' with a DiffusionDrive preset does so by itself; --anchors FILE gives it a file of this command.

    Example: openpair fit-anchors --dataset navsim --root DIR --split trainval --out anchors.npy
    """

    out: Path
    """File to write (.npy): (count, 8, 2) x, y [m], by distance driven."""

    dataset: str = "world"
    """What kind of data: world, navsim, argoverse2, or what an installed package registers."""

    root: Path | None = None
    """Folder of the dataset; may be left out for the world that comes with OpenPaIR."""

    split: str | None = None
    """Part of the dataset, as for 'openpair train'."""

    count: int = 20
    """How many anchors."""

    max_scenes: int | None = None
    """Look at so many scenes alone, spread evenly."""

    seed: int = 0
    """Of the first choice of centres."""

    def run(self) -> int:
        """Fit and write; say how well the anchors cover the plans."""
        import numpy as np
        import torch

        from openpair.datasets.choice import SceneChoice, choose_scenes
        from openpair.datasets.registry import open_dataset
        from openpair.errors import OpenPairError
        from openpair.evaluation.agents import HumanAgent
        from openpair.policies.anchors import fit_anchors, write_anchors
        from openpair.progress import ProgressView

        name, options = choose_scenes(self.dataset, self.root, SceneChoice(self.split), use="train")
        dataset = open_dataset(name, self.root, **options)
        keys = list(dataset.keys())
        if self.max_scenes is not None and self.max_scenes < len(keys):
            keys = [keys[i] for i in np.linspace(0, len(keys) - 1, self.max_scenes).round().astype(int)]
        human, plans, without = HumanAgent(), [], 0
        with ProgressView() as view:
            for done, key in enumerate(keys, 1):
                scene = dataset.load_scene(key.token)
                try:
                    plans.append(np.asarray(human.plan(scene), np.float32))
                except OpenPairError:  # the log ends within the next 4 s: counted and said below
                    without += 1
                view.update("human plans", done, len(keys))
        if not plans:
            raise OpenPairError("no scene has a human plan", where=self.root or self.dataset, fix="Check --split")
        trajectories = torch.from_numpy(np.stack(plans))
        anchors = fit_anchors(trajectories, self.count, seed=self.seed)
        write_anchors(self.out, anchors)
        apart = (trajectories[:, None, :, :2] - anchors).norm(dim=-1).mean(dim=-1).amin(dim=1)
        left_out = f"; {without} scenes without a human plan left out" if without else ""
        print(f"{self.out}: {self.count} anchors of {len(plans)} plans, mean distance {apart.mean():.2f} m{left_out}")
        return 0
