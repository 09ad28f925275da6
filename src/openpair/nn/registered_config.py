"""What the configuration of every network of a planner has. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from openpair.errors import OpenPairError
from openpair.nn.trunk_config import BackboneConfig, TrunkConfig, VectorTrunkConfig, without_lidar
from openpair.registry import Registry


class RegisteredConfig:
    """Base of all networks' configurations (frozen dataclasses); policies, samplers and reward models derive theirs.

    A configuration offers ``published()``, the size for real data, and ``small()``, the demo's, as static methods; one
    of them is enough.

    Attributes:
        kinds: registry of the part of the planner that the network plays.
    """

    kinds: ClassVar[Registry]

    def on_truth(self, trunk: VectorTrunkConfig) -> Any:
        """The same network without vision, with this encoder of the truth. Raises OpenPairError where it has none."""
        raise OpenPairError(f"a {type(self).__name__} reads sensors alone", where="--input known")

    def on_cameras(self) -> Any:
        """The same network without LiDAR. Raises OpenPairError where its encoder cannot do without."""
        trunk, backbone = getattr(self, "trunk", None), getattr(self, "backbone", None)
        changed: Any = self
        if isinstance(trunk, TrunkConfig):
            return replace(changed, trunk=replace(trunk, backbone=without_lidar(trunk.backbone)))
        if isinstance(backbone, BackboneConfig):
            return replace(changed, backbone=without_lidar(backbone))
        raise OpenPairError(f"a {type(self).__name__} has no variant without LiDAR", where="--preset")

    @property
    def kind(self) -> str:
        """Name of the network that this configures. Raises OpenPairError where no registered one has it."""
        for name in self.kinds.names():
            if self.kinds.load(name).config_class is type(self):
                return name
        raise OpenPairError(f"no registered {self.kinds.what} is configured by {type(self).__name__}", where="config")

    @classmethod
    def named(cls, class_name: str) -> type[RegisteredConfig]:
        """The configuration of this name among the registered kinds. Raises ValueError where there is none."""
        for name in cls.kinds.names():
            config_class: type[RegisteredConfig] = cls.kinds.load(name).config_class
            if config_class.__name__ == class_name:
                return config_class
        raise ValueError(f"{class_name} configures no registered {cls.kinds.what}")


def preset_of(kinds: Registry, kind: str, *, small: bool) -> Any:
    """Configuration of a kind: the demo's size or the published one; the other where it has one alone.

    Raises OpenPairError for an unknown kind.
    """
    config_class = kinds.load(kind, where="--preset").config_class
    wanted, other = ("small", "published") if small else ("published", "small")
    return (getattr(config_class, wanted, None) or getattr(config_class, other))()
