"""Torch modules as agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openpair.datatypes.scene import Scene
from openpair.evaluation.agents import Agent, CheckpointAgent
from openpair.features.config import FeatureConfig
from openpair.planning.config import MODES
from openpair.planning.networks import TrainedNetworks
from openpair.planning.planner import Planner
from openpair.planning.scene_planner import ScenePlanner, seen_scenes
from openpair.policies.base import ImitationPolicy

if TYPE_CHECKING:
    from openpair.evaluation.sources import AgentContext


def module_agent(module: nn.Module, context: AgentContext, name: str) -> Agent:
    """A torch module as an agent: one of our imitation policies as a planner does, another one by its output."""
    config = getattr(module, "features", FeatureConfig.published())
    seen = seen_scenes(context.dataset, config)
    module.eval()
    if isinstance(module, ImitationPolicy):
        networks = TrainedNetworks(config, policy=module)
        return ScenePlanner(Planner(networks, MODES["il"], seed=context.seed), seen, name)

    @torch.no_grad()
    def plan_batch(scenes: Sequence[Scene]) -> NDArray[np.float64]:
        output = module(**seen.features(scenes))
        plans = output if isinstance(output, Tensor) else output["trajectory"]
        return plans.double().cpu().numpy()

    return CheckpointAgent(lambda scene: plan_batch([scene])[0], name, batch_pipeline=plan_batch)
