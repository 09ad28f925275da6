"""``openpair world list`` and ``show``: scenes of the embedded world by what happens in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.datatypes.scene import Scene

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class List:
    """List the tokens of scenes, with what happens in each: for 'openpair world show' and 'openpair explain'.

    --where takes: turning left, turning right, straight on, braking, moving off, standing, red light, vehicle ahead,
    pedestrian near, bicycle near; joined by "and", each with "not" before it or without.

    Example: openpair world list --where "braking and red light"
    """

    where: str | None = None
    """Only scenes in which this happens, such as "braking and not red light"."""

    split: Split = "test"
    """Which towns."""

    most: int = 20
    """Stop after so many scenes; 0 lists all."""

    root: Path | None = None
    """Folder of a built world; left out: the one that comes with OpenPaIR."""

    def run(self) -> int:
        """Print one scene a line."""
        from openpair.datasets.happenings import happenings, parse_where
        from openpair.datasets.world.dataset import WorldDataset

        if self.most < 0:
            raise OpenPairError(f"{self.most} scenes cannot be listed", where="--most", fix="Give 0 or more")
        wanted = [] if self.where is None else parse_where(self.where)
        dataset = WorldDataset(self.split, root=self.root)
        found = 0
        for key in dataset.keys():
            scene = dataset.load_scene(key.token)
            if all(happening.holds(scene) == asked for happening, asked in wanted):
                found += 1
                print(f"{key.token}  {key.log_name}  {', '.join(happenings(scene)) or '-'}", flush=True)
            if found == self.most:
                break
        if not found:
            print(f"no scene of {self.split} is like that")
        elif found == self.most:
            print("(there may be more: --most 0 lists all)")
        return 0


@dataclass(frozen=True)
class Show:
    """Say what happens in a scene, and draw it from above with what the human drove.

    Example: openpair world show TOKEN
    """

    token: tyro.conf.Positional[str]
    """A scene of 'openpair world list'."""

    out: Path | None = None
    """The drawing (.svg); default: scene-TOKEN.svg here."""

    root: Path | None = None
    """Folder of a built world; left out: the one that comes with OpenPaIR."""

    def run(self) -> int:
        """Print, draw, say where the drawing is."""
        from openpair.datasets.happenings import HAPPENINGS, happenings
        from openpair.datatypes.columns import Protocol
        from openpair.files import write_atomically
        from openpair.preparation.prepare import prepare_scene
        from openpair.visualization.drawing import draw_scene, svg_file
        from openpair.visualization.scene_view import view_scene

        path = self.out or Path(f"scene-{self.token}.svg")
        if path.suffix != ".svg":
            raise OpenPairError("the file is not .svg", where=path, fix="Name it .svg")
        split, scene = self._find()
        view = view_scene(
            prepare_scene(scene, Protocol.V1_1), [("human", scene.human_trajectory())], surroundings=scene
        )
        write_atomically(path, svg_file(draw_scene(view)))
        speed = 3.6 * math.hypot(*scene.current.ego.velocity)
        print(f"{self.token}: log {scene.log_name}, split {split}, {speed:.0f} km/h")
        for name in happenings(scene):
            print(f"  {name}: {HAPPENINGS[name].meaning}")
        print(path)
        return 0

    def _find(self) -> tuple[str, Scene]:
        """Its split and the scene. Raises OpenPairError where no split has it."""
        from openpair.datasets.world.dataset import WorldDataset

        for split in ("test", "val", "train"):
            dataset = WorldDataset(split, root=self.root)
            if any(key.token == self.token for key in dataset.keys()):
                return split, dataset.load_scene(self.token)
        raise OpenPairError("the world has no such scene", where=self.token, fix="'openpair world list' lists tokens")
