"""How far plans are changed: of neighbours, and of the noise on roots. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PerturbationConfig:
    """Size of random changes (standard deviations).

    Attributes:
        acceleration: change of acceleration over either half of the plan [m/s^2].
        lateral_m: sideways displacement at the end of the plan [m].
        bulge_m: sideways displacement at its middle [m].
    """

    acceleration: float = 0.6
    lateral_m: float = 0.6
    bulge_m: float = 0.25

    def scaled(self, factor: float) -> PerturbationConfig:
        """The same kind of change, ``factor`` times as large."""
        return PerturbationConfig(self.acceleration * factor, self.lateral_m * factor, self.bulge_m * factor)


@dataclass(frozen=True)
class RootNoise:
    """How a human plan is moved until it errs as an imitation policy's plan does.

    Imitation errs in two ways: a little everywhere, and by doing too much of the usual (straight on, as fast as now)
    where the human turns, brakes or moves off.

    Attributes:
        smooth: changes everywhere.
        unchanged_share: share of plans that stay the human's.
        inertia_share: share of the others that are pulled towards constant velocity.
        inertia: greatest pull: 0 none, 1 all the way.
    """

    smooth: PerturbationConfig = field(default_factory=lambda: PerturbationConfig(0.8, 0.8, 0.3))
    unchanged_share: float = 0.2
    inertia_share: float = 0.4
    inertia: float = 0.7
