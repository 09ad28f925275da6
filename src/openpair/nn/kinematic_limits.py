"""How far plans may be offset (:mod:`openpair.nn.plan_offsets`). Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KinematicLimits:
    """Bounds of the offsets. Comfort bounds of the score: acceleration -4.05 .. 2.40 m/s^2, jerk 4.13 m/s^3 along, 8.37
    m/s^3 in all; lateral acceleration 4.89 m/s^2.

    Attributes:
        accelerate_mps2: greatest acceleration offset of center.
        brake_mps2: greatest deceleration offset of behind.
        trim_mps2: acceleration offset that left and right may use in both directions.
        jerk_mps3: greatest change of the acceleration offset from one level to the next, in 1 s.
        lateral_step_mps: greatest change of lateral velocity that left and right make in one level.
        lateral_trim_mps: lateral velocity that center and behind may use in both directions.
        slope: greatest ratio of lateral velocity to speed.
        bend_per_m: greatest change of that ratio per metre driven, averaged over a level.
    """

    accelerate_mps2: float = 2.0
    brake_mps2: float = 4.0
    trim_mps2: float = 1.0
    jerk_mps3: float = 4.0
    lateral_step_mps: float = 0.5
    lateral_trim_mps: float = 0.4
    slope: float = 0.35
    bend_per_m: float = 0.12
