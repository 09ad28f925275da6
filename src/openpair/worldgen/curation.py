"""Which scenes are fair to learn from: as in NAVSIM, none in which the recorded driver himself fails.

A demonstration ends in the scorer's tracker and vehicle model, which starts every scene with straight wheels. In a
tight bend that alone can carry the human's own plan over the kerb or into the next lane. Such scenes say nothing about
driving; they are left out. Slow, late or sloppy driving stays in.
"""

from __future__ import annotations

from openpair.datasets.world.dataset import OpenTown, decode_frames
from openpair.datasets.world.log_store import StoredLog
from openpair.datatypes.columns import NUM_FUTURE_FRAMES, NUM_HISTORY_FRAMES, Protocol
from openpair.datatypes.scene import Scene
from openpair.preparation.prepare import prepare_scene
from openpair.scoring.score import score_prepared

REQUIRED = ("no_at_fault_collisions", "drivable_area_compliance")


def fair_scenes(town: OpenTown, log: StoredLog) -> list[int]:
    """Current frames of the log's scenes in which the human collides with nobody and stays on the road (v1.1)."""
    frames = decode_frames(town, log)
    fair = []
    for current in log.scenes:
        window = frames[current - NUM_HISTORY_FRAMES + 1 : current + NUM_FUTURE_FRAMES + 1]
        scene = Scene("world", log.name, town.road_map, window, NUM_HISTORY_FRAMES - 1)
        scores = score_prepared(prepare_scene(scene, Protocol.V1_1), scene.human_trajectory()[None])
        if all(scores.metrics[name][0] == 1.0 for name in REQUIRED):
            fair.append(current)
    return fair
