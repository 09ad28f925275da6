"""OpenPaIR: learning to drive by imitation and reinforcement in parallel.

The names below are imported when they are first used, so ``import openpair`` itself costs next to nothing. A plan is
(8, 3) x [m], y [m], heading [rad] at 0.5 s ... 4.0 s in the ego's rear-axle frame.

>>> import openpair
>>> world = openpair.open_dataset("world", split="test")
>>> scene = world.load_scene(world.keys()[0].token)
>>> scores = openpair.score_prepared(openpair.prepare_scene(scene, openpair.Protocol.V1_1), plans)  # plans (N, 8, 3)
"""

from importlib import import_module

__version__ = "0.1.0"

# Name here -> (module, name there). __init__.pyi tells the same to editors and type checkers.
_NAMES = {
    # what things are
    "OpenPairError": ("openpair.errors", "OpenPairError"),
    "Protocol": ("openpair.datatypes.columns", "Protocol"),
    "Dataset": ("openpair.datasets.base", "Dataset"),
    "Scene": ("openpair.datatypes.scene", "Scene"),
    "PlanScores": ("openpair.datatypes.scores", "PlanScores"),
    "FeatureConfig": ("openpair.features.config", "FeatureConfig"),
    # data
    "open_dataset": ("openpair.datasets.registry", "open_dataset"),
    "read_metric_cache": ("openpair.datasets.navsim.metric_cache", "read_metric_cache"),
    # scoring
    "prepare_scene": ("openpair.preparation.prepare", "prepare_scene"),
    "prepare_case": ("openpair.scoring.score", "prepare_case"),
    "score_prepared": ("openpair.scoring.score", "score_prepared"),
    "score_batch": ("openpair.scoring.score", "score_batch"),
    "ExactReward": ("openpair.rewards.exact", "ExactReward"),
    "simulate": ("openpair.simulation.simulate", "simulate"),
    "explain": ("openpair.visualization.explanation", "explain"),
    "show": ("openpair.viewer.notebook", "show"),
    # planning
    "load_planner": ("openpair.api", "load_planner"),
    "load_checkpoint": ("openpair.checkpoints", "load_checkpoint"),
    "control_candidates": ("openpair.samplers.perturbations", "control_candidates"),
    # evaluation
    "evaluate": ("openpair.api", "evaluate"),
    "compare": ("openpair.api", "compare"),
    # training
    "ADVANTAGES": ("openpair.rl.advantages", "ESTIMATORS"),
    "preset": ("openpair.configs.experiment", "preset"),
    "train": ("openpair.configs.train", "train"),
}

__all__ = ["__version__", *_NAMES]  # noqa: PLE0604  all of them are strings


def __getattr__(name: str) -> object:
    if name not in _NAMES:
        raise AttributeError(f"module 'openpair' has no attribute '{name}'")
    module, attribute = _NAMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
