"""Score plans of your own, exactly as NAVSIM does.

    python examples/score_your_plans.py [--scenes 5]

A plan is (8, 3): x [m], y [m], heading [rad] at 0.5 s ... 4.0 s, in the ego's rear-axle frame (x forward, y left).
"""

import argparse

import numpy as np

import openpair


def straight_plans(speed_mps: float) -> np.ndarray:
    """Three plans (3, 8, 3): straight ahead, slower than now, as fast as now, and faster."""
    time_s = 0.5 * np.arange(1, 9)
    plans = np.zeros((3, 8, 3))
    for plan, factor in zip(plans, (0.5, 1.0, 1.3), strict=True):
        plan[:, 0] = factor * speed_mps * time_s
    return plans


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=5)
    world = openpair.open_dataset("world", split="test", max_scenes=parser.parse_args().scenes)
    for key in world.keys():
        scene = world.load_scene(key.token)
        prepared = openpair.prepare_scene(scene, openpair.Protocol.V2_2)  # once per scene
        plans = np.concatenate([straight_plans(scene.current.ego.velocity[0]), scene.human_trajectory()[None]])
        scores = openpair.score_prepared(prepared, plans)  # any number of plans at once
        print(f"scene {key.token}   EPDMS of slow, same, fast, human: {np.round(scores.score, 2)}")
        best = int(scores.score[:3].argmax())
        reasons = openpair.explain(prepared, plans[best], ("slow", "same", "fast")[best])
        print(f"  the best straight plan is '{reasons.label}'. {reasons.headline()}")


if __name__ == "__main__":
    main()
