"""What makes one town differ from another: its streets, its lights, its traffic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from openpair.datasets.world.log_store import FRAMES
from openpair.datatypes.settings import later


class StreetPattern(str, Enum):
    """Street patterns that SUMO's ``netgenerate`` can draw."""

    GRID = "grid"
    RANDOM = "random"
    SPIDER = "spider"


@dataclass(frozen=True)
class TownRecipe:
    """Everything that decides a town; the same recipe and SUMO version give the same town, bit for bit.

    Attributes:
        name: name of the town.
        split: "train", "val", "test" or "long". Towns are never shared between splits.
        seed: seed of streets and traffic.
        pattern: street pattern.
        size: grid: junctions (across, down); spider: (arms, circles); random: (growth steps, unused).
        block_m: typical length of a block [m].
        lane_width_m: width of a driving lane [m].
        arterials: number of main roads laid across the town.
        arterial_lanes: lanes per direction of a main road.
        arterial_speed_mps, local_speeds_mps: speed limits [m/s]; local streets draw from the tuple.
        two_lane_share: share of local streets with two lanes per direction.
        parking_share: share of local streets with a parking strip.
        curve_share: share of streets that bend.
        light_share: share of large junctions with traffic lights.
        all_way_stop_share: share of the other junctions that are all-way stops (the rest: main road first).
        cycle_s: cycle time of the lights [s].
        corner_radius_m: kerb radius at junctions [m].
        vehicles_per_km, bicycles_per_km: how many are on the road at a time, per kilometre of driving lane.
        pedestrians_per_km: the same, per kilometre of sidewalk.
        aggressive_share, timid_share: shares of driver classes; the rest drive normally.
        episodes: simulated episodes; each has its own seed, parked cars and work zones.
        logs: logs to cut from the episodes together.
        log_frames: frames of a log, 2 Hz.
        min_turns, min_lights: turns and traffic lights on the route of a log, at least.
    """

    name: str
    split: str
    seed: int
    pattern: StreetPattern
    size: tuple[int, int]
    block_m: float = 110.0
    lane_width_m: float = 3.5
    arterials: int = 2
    arterial_lanes: int = 2
    arterial_speed_mps: float = 13.89
    local_speeds_mps: tuple[float, ...] = (8.33, 11.11, 13.89)
    two_lane_share: float = 0.2
    parking_share: float = 0.4
    curve_share: float = 0.5
    light_share: float = 0.6
    all_way_stop_share: float = 0.3
    cycle_s: int = 50
    corner_radius_m: float = 10.0
    vehicles_per_km: float = 10.0
    bicycles_per_km: float = 1.5
    pedestrians_per_km: float = 15.0
    aggressive_share: float = 0.2
    timid_share: float = 0.25
    episodes: int = 3
    logs: int = 28
    log_frames: int = later(FRAMES)
    min_turns: int = later(0)
    min_lights: int = later(0)
