"""Evaluate a policy of your own: a function of a scene, or a torch module that reads camera, LiDAR and ego status.

python examples/plug_in_a_policy.py [--scenes 8]
"""

import argparse

import numpy as np
import torch
from torch import Tensor, nn

import openpair


def brake(scene: openpair.Scene) -> np.ndarray:
    """A policy that is a function: brake at 2 m/s^2, straight ahead. Returns (8, 3)."""
    time_s = 0.5 * np.arange(1, 9)
    speed = float(scene.current.ego.velocity[0])
    until = np.minimum(time_s, speed / 2.0)  # it stands after speed / 2 seconds
    plan = np.zeros((8, 3))
    plan[:, 0] = speed * until - until**2
    return plan


class TurnAsCommanded(nn.Module):
    """A policy that is a module: constant speed along an arc that the driving command chooses.

    ``status_feature`` (B, 8) holds the driving command (4), velocity (2) [m/s] and acceleration (2) [m/s^2].
    """

    features = openpair.FeatureConfig.near()  # sizes of the inputs

    def __init__(self) -> None:
        super().__init__()
        self.curvature = nn.Parameter(torch.tensor([0.05, 0.0, -0.05, 0.0]))  # left, straight, right, unknown [1/m]

    def forward(self, camera_feature: Tensor, lidar_feature: Tensor, status_feature: Tensor) -> Tensor:
        """Features of B scenes -> plans (B, 8, 3)."""
        time_s = 0.5 * torch.arange(1, 9)
        curvature = status_feature[:, :4] @ self.curvature
        length = status_feature[:, 4:5] * time_s
        heading = curvature[:, None] * length
        half = heading / 2  # the chord of an arc points along half its turn
        chord = length * torch.sinc(half / torch.pi)
        return torch.stack((chord * half.cos(), chord * half.sin(), heading), dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8)
    agents = {"human": "human", "brake": brake, "turn as commanded": TurnAsCommanded()}
    evaluation = openpair.evaluate(agents, "world", split="test", max_scenes=parser.parse_args().scenes)
    for agent in evaluation.summary.agents:
        mean, low, high = (100 * value for value in (agent.score.mean, agent.score.low, agent.score.high))
        print(f"{agent.name:20} PDMS {mean:5.1f} [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
