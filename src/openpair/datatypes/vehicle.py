"""Dimensions of NAVSIM's ego vehicle (Chrysler Pacifica), in metres."""

from __future__ import annotations

from typing import Final

WIDTH_M: Final = 2.297
LENGTH_M: Final = 5.176
REAR_AXLE_TO_FRONT_M: Final = 4.049
REAR_AXLE_TO_REAR_M: Final = 1.127
REAR_AXLE_TO_CENTER_M: Final = 1.461
WHEELBASE_M: Final = 3.089
HEIGHT_M: Final = 1.777
