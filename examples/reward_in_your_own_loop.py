"""The exact score as the reward of a training loop of your own: REINFORCE on a policy with two parameters.

    python examples/reward_in_your_own_loop.py [--steps 40] [--scenes 8]

The policy draws an acceleration from the present speed. 64 plans of each scene are scored in one call.
"""

import argparse

import torch
from torch import Tensor

import openpair


def plans_of(speed: Tensor, acceleration: Tensor) -> Tensor:
    """Straight plans (N, 8, 3) at a present speed [m/s] () and N accelerations [m/s^2] (N,); nobody reverses."""
    time_s = 0.5 * torch.arange(1, 9, dtype=torch.float64)
    moving_s = torch.where(acceleration[:, None] < 0, (speed / -acceleration[:, None]).clamp(max=1e3), 1e3)
    time_s = torch.minimum(time_s, moving_s)
    x = speed * time_s + 0.5 * acceleration[:, None] * time_s**2
    return torch.stack((x, torch.zeros_like(x), torch.zeros_like(x)), dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--scenes", type=int, default=8)
    options = parser.parse_args()

    world = openpair.open_dataset("world", split="train", max_scenes=options.scenes)
    scenes = [world.load_scene(key.token) for key in world.keys()]
    prepared = [openpair.prepare_scene(scene, openpair.Protocol.V1_1) for scene in scenes]
    speeds = torch.tensor([float(scene.current.ego.velocity[0]) for scene in scenes], dtype=torch.float64)

    torch.manual_seed(0)
    policy = torch.nn.Linear(1, 1, dtype=torch.float64)  # speed [m/s] -> mean acceleration [m/s^2]
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.05)
    for step in range(options.steps):
        drawn = torch.distributions.Normal(policy(speeds[:, None] / 10), 1.0)
        accelerations = drawn.sample((64,))[..., 0].T  # (B, 64)
        plans = [plans_of(speed, each) for speed, each in zip(speeds, accelerations, strict=True)]
        batch = openpair.score_batch(prepared, plans)  # tensors in, tensors out; a scene that fails gives its reason
        for error in batch.errors.values():
            raise error
        reward = torch.stack([scores.score for scores in batch.scores])  # (B, 64) in [0, 1]
        advantage = reward - reward.mean(dim=1, keepdim=True)
        loss = -(drawn.log_prob(accelerations.T[..., None])[..., 0].T * advantage).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0 or step == options.steps - 1:
            print(f"step {step:3}   mean reward {reward.mean():.3f}")


if __name__ == "__main__":
    main()
