"""The towns that come with the package. Trees train, rivers validate, stones test, gems are for long routes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from openpair.worldgen.recipes import StreetPattern, TownRecipe

TRAIN = (
    "acacia", "alder", "apple", "ash", "aspen", "bay", "beech", "birch", "cedar", "cherry", "chestnut", "cypress",
    "elder", "elm", "fig", "fir", "hawthorn", "hazel", "holly", "hornbeam", "juniper", "larch", "laurel", "lime",
    "linden", "magnolia", "maple", "myrtle", "oak", "olive", "palm", "pear", "pine", "plane", "poplar", "rowan",
    "spruce", "sycamore", "willow", "yew",
)  # fmt: skip
VAL = (
    "avon", "clyde", "exe", "mersey", "severn", "tyne",
)  # fmt: skip
TEST = (
    "agate", "basalt", "flint", "gneiss", "granite", "marble", "quartz", "slate",
)  # fmt: skip
LONG = (
    "amber", "beryl", "coral", "garnet", "jade",
)  # fmt: skip
"""Towns of the long routes, which are driven and never trained on."""
LONG_FRAMES = 124
"""60 s to drive after the first four frames."""
LOGS = {"train": 26, "val": 10, "test": 13, "long": 10}
EPISODES = {"train": 3, "val": 2, "test": 2, "long": 2}
WORLD_SEED = 20


def default_recipes(seed: int = WORLD_SEED) -> list[TownRecipe]:
    """Recipes of all towns; another seed gives other towns under the same names."""
    names = [(name, split) for split, group in (("train", TRAIN), ("val", VAL), ("test", TEST)) for name in group]
    return [town_recipe(name, split, 1000 * seed + i, kind=i % 3) for i, (name, split) in enumerate(names)]


def long_recipes(seed: int = WORLD_SEED) -> list[TownRecipe]:
    """Recipes of the towns of the long routes: more than a minute, two turns or more, a traffic light or more."""
    towns = [town_recipe(name, "long", 1000 * seed + 500 + i, kind=i % 2) for i, name in enumerate(LONG)]
    return [replace(town, log_frames=LONG_FRAMES, min_turns=2, min_lights=1, light_share=0.9) for town in towns]


def town_recipe(name: str, split: str, seed: int, kind: int) -> TownRecipe:
    """Draw one town; ``kind`` 0, 1, 2 = grid, random, spider."""
    rng = np.random.default_rng([seed, 0])
    pattern = (StreetPattern.GRID, StreetPattern.RANDOM, StreetPattern.SPIDER)[kind]
    sizes = {
        StreetPattern.GRID: [(3, 3), (4, 3), (5, 3), (4, 4)],
        StreetPattern.RANDOM: [(26, 0), (32, 0), (38, 0), (44, 0)],
        StreetPattern.SPIDER: [(4, 2), (5, 2), (5, 3), (4, 3)],
    }[pattern]
    speeds = [(8.33, 11.11), (8.33, 11.11, 13.89), (11.11, 13.89)]
    return TownRecipe(
        name=name,
        split=split,
        seed=seed,
        pattern=pattern,
        size=sizes[int(rng.integers(4))],
        block_m=round(rng.uniform(100, 150), 1),
        lane_width_m=round(rng.uniform(3.4, 3.75), 2),
        arterials=int(rng.integers(1, 4)),
        arterial_lanes=int(rng.choice([2, 2, 2, 3])),
        arterial_speed_mps=float(rng.choice([13.89, 13.89, 16.67])),
        local_speeds_mps=speeds[int(rng.integers(3))],
        two_lane_share=round(rng.uniform(0.1, 0.35), 2),
        parking_share=round(rng.uniform(0.25, 0.7), 2),
        curve_share=round(rng.uniform(0.2, 0.8), 2),
        light_share=round(rng.uniform(0.35, 0.95), 2),
        all_way_stop_share=round(rng.uniform(0.1, 0.5), 2),
        cycle_s=int(rng.choice([40, 46, 52, 60])),
        corner_radius_m=round(rng.uniform(11.0, 15.0), 1),
        vehicles_per_km=round(rng.uniform(7.0, 12.0), 1),
        bicycles_per_km=round(rng.uniform(0.8, 2.5), 1),
        pedestrians_per_km=round(rng.uniform(8.0, 20.0), 1),
        aggressive_share=round(rng.uniform(0.1, 0.3), 2),
        timid_share=round(rng.uniform(0.2, 0.45), 2),
        episodes=EPISODES[split],
        logs=LOGS[split],
    )
