"""The dataset that a driving agent sees: the scenes of its own drive, with the sensors of the dataset behind it."""

from __future__ import annotations

from collections.abc import Sequence

from openpair.datasets.base import Dataset, SceneKey
from openpair.datatypes.scene import Scene, SensorFrame
from openpair.driving.recording import START_STEP
from openpair.errors import OpenPairError
from openpair.preparation.observation import SAMPLES_PER_FRAME


class DrivenScenes:
    """A :class:`~openpair.datasets.base.Dataset` of the scenes of one drive so far.

    Planners that remember look up the scene 0.5 s earlier; here that is what the ego itself saw then.

    Args:
        dataset: gives the sensors at any pose, where it can.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.name, self.ray_cast = dataset.name, dataset.ray_cast
        self._dataset = dataset
        self._scenes: dict[str, Scene] = {}
        self._step: dict[str, int] = {}

    def begin(self) -> None:
        """A new drive: the scenes of the one before are forgotten."""
        self._scenes.clear()
        self._step.clear()

    def add(self, step: int, scene: Scene) -> None:
        """The scene that the ego sees at a step."""
        self._scenes[scene.token] = scene
        self._step[scene.token] = step

    def keys(self) -> Sequence[SceneKey]:
        """The scenes so far, in order of time."""
        return tuple(SceneKey(scene.log_name, token) for token, scene in self._scenes.items())

    def fingerprint(self) -> str:
        """That of the dataset behind."""
        return self._dataset.fingerprint()

    def load_scene(self, token: str) -> Scene:
        """A scene of this drive. Raises OpenPairError for any other."""
        if token not in self._scenes:
            raise OpenPairError(f"the drive has no scene '{token}'", where=self.name)
        return self._scenes[token]

    def predecessor(self, token: str) -> str | None:
        """Token of the scene 0.5 s earlier in this drive; None where the ego did not look then."""
        step = self._step.get(token, START_STEP) - SAMPLES_PER_FRAME
        return next((earlier for earlier, at in self._step.items() if at == step), None)

    def load_sensors(
        self, scene: Scene, *, size: tuple[int, int], depth: bool = False, cameras: bool = True, lidar: bool = True
    ) -> SensorFrame:
        """Sensors at the scene's own pose. Raises OpenPairError where the dataset can only show recorded ones."""
        if not self.ray_cast:
            raise OpenPairError(
                "recorded sensors cannot follow a car that leaves the recorded path",
                where=self.name,
                fix="Drive in the world, or with an agent that looks at no sensors",
            )
        return self._dataset.load_sensors(scene, size=size, depth=depth, cameras=cameras, lidar=lidar)
