"""Write an advantage estimator and train the tree sampler with it for a minute.

    python examples/write_an_advantage.py [--steps 4] [--scenes 12] [--out runs/my_advantage]

An estimator turns the exact scores of the leaves of all trees into what each leaf is credited with. It is a function of
rewards (B scenes, S trees a scene, L leaves a tree) and the human's reward (B,), and returns (B, S, L).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

import openpair
from openpair.training.loop import Progress


def better_than_the_human(rewards: Tensor, human_reward: Tensor) -> Tensor:
    """How much better than the human's plan a leaf is: no group, no deviation, the same scale in every scene."""
    return rewards - human_reward[:, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("runs/my_advantage"))
    options = parser.parse_args()

    openpair.ADVANTAGES["better_than_the_human"] = better_than_the_human
    config = openpair.preset("quick")
    config = replace(
        config,
        train_scenes=options.scenes,
        validation_scenes=4,
        reinforcement=replace(config.reinforcement, steps=options.steps, advantage="better_than_the_human"),
        loop=replace(config.loop, log_every=1),
    )
    files = openpair.train("rl", options.out, config, workers=1, listener=tell)
    print(f"the trained sampler: {files['rl']}")


def tell(progress: Progress) -> None:
    """One line a step: mean score of the leaves, of the best leaf of each tree, and of the human's plan."""
    names = ("leaf_score", "best_leaf_score", "human_score")
    shown = (f"{name} {progress.figures[name]:.3f}" for name in names if name in progress.figures)
    print(f"step {progress.step} of {progress.total_steps}   {'   '.join(shown)}")


if __name__ == "__main__":
    main()
