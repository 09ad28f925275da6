"""Golden arrays about what is compared with: sampled references, PDM-Closed's row of each pair, comfort without past.

Scores have no use for them; they are for comparing with the original step by step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import NUM_POSES, Protocol, StateIndex
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.datatypes.sub_metrics import column_weights
from openpair.geometry.poses import local_to_global, wrap_angle
from openpair.scoring.aggregation import MIN_PROGRESS_M, ResultIndex
from openpair.scoring.comfort import ComfortMode
from openpair.scoring.devices import CPU
from openpair.scoring.prepared import prepare
from openpair.scoring.run import RawResults, run
from openpair.simulation.reference import SampleWeights, plan_weights, sample_weights

Float = NDArray[np.float64]


def reference_arrays(
    scene: ScoringScene, plans: NDArray[np.floating], scores: PlanScores, *, strict: bool = False
) -> dict[str, NDArray]:
    """``out_ref_states``, ``out_pdm_...``, ``out_comfort_flags_future_only`` of N plans (N, 8, 3) and their scores."""
    followed = plan_states(scene, plans)
    closed = sampled(scene.reference_states, sample_weights(scene.reference_time_us, scene.time_us))
    with_past = ComfortMode.WITH_PAST if scene.protocol is Protocol.V2_2 else ComfortMode.PLAN
    closed_row = _follow(scene, closed[None], with_past, strict).table[0]
    multi, weighted, reference_score = closed_side(scene.protocol, closed_row, scores)
    return {
        "out_ref_states": followed,
        "out_pdm_ref_states": closed,
        "out_pdm_sim_spread": np.array(0.0),  # between pairs; here it is simulated once
        "out_pdm_multi_metrics": multi,
        "out_pdm_weighted_metrics": weighted,
        "out_pdm_reference_score": reference_score,
        "out_comfort_flags_future_only": _follow(scene, followed, ComfortMode.PLAN, strict).comfort_flags,
    }


def sampled(knots: Float, weights: SampleWeights) -> Float:
    """States (..., M, 11) at knots -> (..., 41, 11) every 0.1 s, linear, headings the short way round."""
    knots = np.array(knots, np.float64)
    knots[..., StateIndex.HEADING] = np.unwrap(knots[..., StateIndex.HEADING], axis=-1)
    before, after = knots[..., weights.index, :], knots[..., weights.index + 1, :]
    states = before + weights.weight[:, None] * (after - before)
    states[..., StateIndex.HEADING] = wrap_angle(states[..., StateIndex.HEADING])
    return states


def plan_states(scene: ScoringScene, plans: NDArray[np.floating]) -> Float:
    """(N, 41, 11) plans (N, 8, 3) as the original samples them, global frame: a plan's poses are at rest, so that the
    measured velocities and accelerations fade within the first half second. The tracker reads the poses alone."""
    knots = np.zeros((len(plans), NUM_POSES + 1, len(StateIndex)))
    measured = slice(StateIndex.X, StateIndex.STEERING_RATE)  # the original's interpolation drops the others
    knots[:, 0, measured] = scene.ego_state[measured]
    knots[:, 1:, :3] = local_to_global(np.asarray(plans, np.float64), scene.ego_state)
    return sampled(knots, plan_weights(scene.time_us))


def closed_side(protocol: Protocol, row: Float, scores: PlanScores) -> tuple[Float, Float, Float]:
    """PDM-Closed beside each of N plans, before the human filter.

    Args:
        protocol: which score.
        row: (21,) its own results, columns of ``ResultIndex``.
        scores: of the plans; progress is relative to the better of the two.

    Returns:
        (N, 2 or 4) multipliers, (N, 4 or 5) weighted sub-metrics, (N,) score.
    """
    count = len(scores)
    is_v2 = protocol is Protocol.V2_2
    gain, progress, multiplier = row[ResultIndex.GAIN], row[ResultIndex.PROGRESS], row[ResultIndex.MULTIPLIER]
    best = np.maximum(gain, scores.evidence["progress_raw"] * scores.evidence["multiplier"])
    counts = best > float(MIN_PROGRESS_M)
    share = np.clip(progress / np.where(counts, best, 1.0), 0.0, 1.0) if is_v2 else gain / np.where(counts, best, 1.0)
    ego_progress = np.where(counts, share, 1.0 if is_v2 or multiplier != 0 else 0.0)
    ttc, comfort = row[ResultIndex.TTC], row[ResultIndex.COMFORT]
    if is_v2:
        names = [ResultIndex.NC, ResultIndex.DAC, ResultIndex.TLC, ResultIndex.DDC]
        own = [ttc, row[ResultIndex.LK], comfort, 0.0]
    else:
        names = [ResultIndex.NC, ResultIndex.DAC]
        own = [ttc, comfort, row[ResultIndex.DDC]]
    known = {**dict(zip(ResultIndex, row, strict=True)), ResultIndex.EP: ego_progress}
    shares = {ResultIndex[column]: weight for column, weight in column_weights(protocol).items()}
    mean = sum(weight * known[column] for column, weight in shares.items()) / sum(shares.values())
    weighted = np.concatenate([ego_progress[:, None], np.tile(own, (count, 1))], axis=1)
    return np.tile(row[names], (count, 1)), weighted, multiplier * mean


def _follow(scene: ScoringScene, states: Float, mode: ComfortMode, strict: bool) -> RawResults:
    """Results of N references (N, 41, 11) in the global frame."""
    references = states[..., :3].copy()
    references[..., :2] -= scene.ego_state[:2]
    return run(
        prepare(scene, strict=strict).place(CPU),
        scene.protocol,
        reference=references,
        comfort_mode=mode,
        strict=strict,
    )
