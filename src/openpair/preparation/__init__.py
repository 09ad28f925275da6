"""From scenes (log frames and map) to scoring scenes, PDM-Closed's reference trajectory included."""

from openpair.preparation.prepare import pdm_closed_plan, prepare_scene, reference_plan
from openpair.preparation.store import PreparedStore
from openpair.preparation.store_build import build_store

__all__ = [
    "PreparedStore",
    "build_store",
    "pdm_closed_plan",
    "prepare_scene",
    "reference_plan",
]
