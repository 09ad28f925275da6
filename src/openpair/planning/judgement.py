"""What a reward model thinks of plans and of their neighbours: what a corrector reads.

Sub-scores of 15 neighbours are a map of the surroundings of a plan: where it could gain progress, and where it would
touch something.
"""

from __future__ import annotations

import torch
from torch import Tensor

from openpair.planning.config import WIDE
from openpair.rewards.base import HEAD_NAMES, RewardContext, RewardModel
from openpair.samplers.base import Judgement
from openpair.samplers.perturbations import NUM_CONTROL_CANDIDATES, control_candidates

JUDGED_NUMBERS = (len(HEAD_NAMES) + 1) * (NUM_CONTROL_CANDIDATES + 1)
"""Sub-scores and score of a plan and its neighbours."""

MAX_LOGIT = 6.0


def judgement_of(model: RewardModel, context: RewardContext) -> Judgement:
    """A reward model's judgement of plans (B, 8, 3) for the scenes of a context: logits (B, :data:`JUDGED_NUMBERS`),
    about unit size, without gradient."""

    def judged(plans: Tensor) -> Tensor:
        with torch.no_grad():
            around = torch.cat((control_candidates(plans, WIDE), plans[:, None]), dim=1)
            scores = model.score(context, around)
            logits = torch.cat((scores["reward_logits"], scores["sim_logits"]), dim=1).float()
            return (logits.clamp(-MAX_LOGIT, MAX_LOGIT) / (0.5 * MAX_LOGIT)).flatten(1)

    return judged
