"""Golden data of the whole path; tests that need them skip where they are absent."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from openpair.datasets.navsim.dataset import NavsimDataset
from openpair.datasets.navsim.scene_filter import SceneFilter
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scene import Scene
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.preparation.prepare import prepare_scene


@dataclass
class WholePath:
    """Logs, maps and what the original evaluator made of them."""

    root: Path
    index_folder: Path

    @cached_property
    def tokens(self) -> list[str]:
        """The 105 scenes, in the order in which the original prepared them."""
        with open(self.root / "golden" / "scenes.csv", newline="") as file:
            return [row["token"] for row in csv.DictReader(file)]

    def dataset(self) -> NavsimDataset:
        return NavsimDataset(self.root, scene_filter=SceneFilter.of_tokens(self.tokens), index_folder=self.index_folder)

    @cached_property
    def scenes(self) -> dict[str, Scene]:
        dataset = self.dataset()
        return {token: dataset.load_scene(token) for token in self.tokens}

    def prepared(self, protocol: Protocol) -> dict[str, ScoringScene]:
        """All scenes, with the exemptions that the original carried from scene to scene."""
        if protocol not in self._prepared:
            carried: set[str] = set()
            self._prepared[protocol] = {
                token: prepare_scene(scene, protocol, carried_exemptions=carried)
                for token, scene in self.scenes.items()
            }
        return self._prepared[protocol]

    @cached_property
    def _prepared(self) -> dict[Protocol, dict[str, ScoringScene]]:
        return {}

    def caches(self, protocol: Protocol) -> dict[str, dict[str, np.ndarray]]:
        """The original's metric caches by token (56 of the 105)."""
        paths = sorted((self.root / "golden" / "cache" / protocol.value).glob("*.npz"))
        return {path.stem: dict(np.load(path)) for path in paths if not path.stem.startswith("map_")}

    def plans(self) -> dict[str, dict[str, np.ndarray]]:
        """token -> agent -> (8, 3) plan."""
        arrays = np.load(self.root / "golden" / "trajectories.npz")
        return {
            token: {
                "human": arrays["human"][i],
                "constant_velocity": arrays["constant_velocity"][i].astype(float),
                **{f"table{v}": arrays["table"][i, v] for v in range(4)},
            }
            for i, token in enumerate(arrays["token"].tolist())
        }

    def table(self, version: str, agent: str) -> dict[str, dict[str, float]]:
        """The original's results: token -> column -> value, NaN where a cell is empty."""
        with open(self.root / "golden" / "scores" / version / f"{agent}.csv", newline="") as file:
            return {
                row["token"]: {
                    name: float(cell) if cell else np.nan
                    for name, cell in row.items()
                    if name not in ("log_name", "frame_idx", "token", "valid")
                }
                for row in csv.DictReader(file)
            }


@pytest.fixture(scope="session")
def whole_path(tmp_path_factory: pytest.TempPathFactory) -> WholePath:
    root = Path(__file__).resolve().parents[3] / "shared" / "golden" / "navsim"
    if not root.exists():
        pytest.skip("needs golden/navsim in ../shared beside the project root")
    return WholePath(root, tmp_path_factory.mktemp("index"))
