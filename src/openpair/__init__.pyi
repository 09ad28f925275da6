# What editors and type checkers know of `import openpair`; a test compares it with the names of __init__.py.
from openpair.api import compare as compare
from openpair.api import evaluate as evaluate
from openpair.api import load_planner as load_planner
from openpair.checkpoints import load_checkpoint as load_checkpoint
from openpair.configs.experiment import preset as preset
from openpair.configs.train import train as train
from openpair.datasets.base import Dataset as Dataset
from openpair.datasets.navsim.metric_cache import read_metric_cache as read_metric_cache
from openpair.datasets.registry import open_dataset as open_dataset
from openpair.datatypes.columns import Protocol as Protocol
from openpair.datatypes.scene import Scene as Scene
from openpair.datatypes.scores import PlanScores as PlanScores
from openpair.errors import OpenPairError as OpenPairError
from openpair.features.config import FeatureConfig as FeatureConfig
from openpair.preparation.prepare import prepare_scene as prepare_scene
from openpair.rewards.exact import ExactReward as ExactReward
from openpair.rl.advantages import ESTIMATORS as ADVANTAGES
from openpair.samplers.perturbations import control_candidates as control_candidates
from openpair.scoring.score import prepare_case as prepare_case
from openpair.scoring.score import score_batch as score_batch
from openpair.scoring.score import score_prepared as score_prepared
from openpair.simulation.simulate import simulate as simulate
from openpair.viewer.notebook import show as show
from openpair.visualization.explanation import explain as explain

__version__: str
__all__ = [
    "ADVANTAGES",
    "Dataset",
    "ExactReward",
    "FeatureConfig",
    "OpenPairError",
    "PlanScores",
    "Protocol",
    "Scene",
    "__version__",
    "compare",
    "control_candidates",
    "evaluate",
    "explain",
    "load_checkpoint",
    "load_planner",
    "open_dataset",
    "prepare_case",
    "prepare_scene",
    "preset",
    "read_metric_cache",
    "score_batch",
    "score_prepared",
    "show",
    "simulate",
    "train",
]
