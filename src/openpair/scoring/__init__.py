"""NAVSIM's PDM scores, exactly and in batches: v1.1 (PDMS) and v2.2 (EPDMS)."""

from openpair.scoring.cases import read_case
from openpair.scoring.comfort import ComfortIndex
from openpair.scoring.ego_areas import AreaIndex
from openpair.scoring.score import BatchScores, prepare_case, score_batch, score_prepared, score_proposals

__all__ = [
    "AreaIndex",
    "BatchScores",
    "ComfortIndex",
    "prepare_case",
    "read_case",
    "score_batch",
    "score_prepared",
    "score_proposals",
]
