"""How the published tree turns an action into a path: all of a node's displacement falls on one pose."""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.datatypes.columns import PoseIndex
from openpair.datatypes.tree import Intention

STEP_FACTOR = 1.5
MAX_TURN_RAD = 1.2


def step_scale(root: Tensor) -> Tensor:
    """(B, 8, 3) root -> (B,) longest step of a node [m]: 1.5 x the mean distance between consecutive poses.

    The step from the ego to the first pose does not count.
    """
    return STEP_FACTOR * (root[:, 1:, :2] - root[:, :-1, :2]).norm(dim=-1).mean(dim=-1)


def displace(parent: Tensor, root: Tensor, actions: Tensor, intention: Tensor, scale: Tensor, pose: int) -> Tensor:
    """Paths of children.

    Args:
        parent: (B, ..., 8, 3) parent paths, one per child.
        root: (B, 8, 3).
        actions: (B, ..., 2) raw step and turn; the turn counts for left and right only.
        intention: integer tensor, broadcastable to (B, ...).
        scale: (B,) of :func:`step_scale`.
        pose: index of the pose that moves; earlier poses stay, later ones keep the root's steps.

    Returns:
        (B, ..., 8, 3) child paths.
    """
    extra = (1,) * (actions.dim() - 2)
    step = torch.sigmoid(actions[..., 0]) * scale.view(-1, *extra)
    step = torch.where(intention == Intention.BEHIND, -step, step)
    turn_sign = (intention == Intention.LEFT).to(step) - (intention == Intention.RIGHT).to(step)
    turn = turn_sign * MAX_TURN_RAD * torch.sigmoid(actions[..., 1])
    at = parent[..., pose, :]
    theta = at[..., PoseIndex.HEADING] + turn
    moved = at + torch.stack((step * theta.cos(), step * theta.sin(), turn), dim=-1)
    steps_of_root = root[:, pose:] - root[:, pose : pose + 1]
    tail = moved[..., None, :] + steps_of_root.view(root.shape[0], *extra, -1, root.shape[-1])
    return torch.cat((parent[..., :pose, :], tail), dim=-2)
