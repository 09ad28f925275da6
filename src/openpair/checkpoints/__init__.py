"""Networks on disk: our own as safetensors beside JSON, and released ones. Nothing in a file is executed."""

from openpair.checkpoints.networks import build_network, load_strictly, network_class
from openpair.checkpoints.ours import CheckpointInfo, load_checkpoint, read_info, save_checkpoint
from openpair.checkpoints.plain import from_plain, to_plain
from openpair.checkpoints.released import load_released, own_names, recognise, released_kinds
from openpair.checkpoints.weights import Weights, read_state, read_weights

__all__ = [
    "CheckpointInfo",
    "Weights",
    "build_network",
    "from_plain",
    "load_checkpoint",
    "load_released",
    "load_strictly",
    "network_class",
    "own_names",
    "read_info",
    "read_state",
    "read_weights",
    "recognise",
    "released_kinds",
    "save_checkpoint",
    "to_plain",
]
