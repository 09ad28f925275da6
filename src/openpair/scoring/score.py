"""The public functions: score plans of one scene, of several scenes, or the proposals of a planner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.datatypes.sub_metrics import EXTENDED_COMFORT, sub_metrics
from openpair.errors import OpenPairError
from openpair.scoring.aggregation import ResultIndex
from openpair.scoring.build import build_tables
from openpair.scoring.cases import Case, case_name, read_case, scene_from_case
from openpair.scoring.collisions import NO_STEP, TRACK_KEY
from openpair.scoring.comfort import ComfortMode
from openpair.scoring.devices import CPU, place
from openpair.scoring.prepared import prepare, prepare_all
from openpair.scoring.run import RawResults, run
from openpair.scoring.tables import join_scenes
from openpair.scoring.validation import check_finite, check_plans, check_tracks
from openpair.simulation.reference import NUM_STEPS

if TYPE_CHECKING:
    import torch

Plans = Union[NDArray[np.floating], "torch.Tensor"]

COLUMNS: dict[Protocol, dict[str, ResultIndex]] = {
    protocol: {metric.name: ResultIndex[metric.column] for metric in sub_metrics(protocol) if metric.column is not None}
    for protocol in Protocol
}
"""Column of each sub-metric in the result table, before the human filter."""


def prepare_case(case: str | PathLike[str] | Case, protocol: Protocol | str = Protocol.V1_1) -> ScoringScene:
    """A scoring scene from a golden case, with everything computed that does not depend on the plans.

    Args:
        case: path of an .npz file, or its arrays by name.
        protocol: "v1.1" or "v2.2".

    Raises:
        OpenPairError: the file or an array is missing or broken, or the case belongs to the other protocol.
    """
    name = case_name(case)
    arrays = read_case(case) if isinstance(case, (str, PathLike)) else case
    scene = scene_from_case(arrays, Protocol(protocol), name)
    prepare(scene)
    return scene


def score_prepared(
    scene: ScoringScene, trajectories: Plans, *, human_filter: bool = True, strict: bool = False
) -> PlanScores:
    """Scores of N plans of one scene.

    Args:
        scene: a prepared scene; what depends on it alone is computed at its first use and kept.
        trajectories: (N, 8, 3) x [m], y [m], heading [rad] at 0.5 s .. 4.0 s, ego rear-axle frame; numpy array or
            torch tensor on any device. The work is done on that device in float64.
        human_filter: v2.2: forgive what the human himself did (original scenes only), as the original does.
        strict: mend the original's slips (:mod:`openpair.scoring.strict`); such scores are no one else's.

    Returns:
        Scores: numpy arrays for numpy, tensors on the same device for torch. v2.2 without extended comfort (its
        metric is NaN). ``evidence`` (all (N, ...)):

        - ``simulated_states`` (41, 11) global frame, columns of ``StateIndex``
        - ``ego_areas`` (41, 6) bool, columns of ``AreaIndex``
        - ``collision_time_idx``, ``ttc_time_idx`` step of the first at-fault collision or TTC infraction, inf if none
        - ``collision_track``, ``ttc_track`` int, the track concerned (index into ``scene.tracks.tokens``), -1 if none
        - ``progress_raw`` [m] along the centreline
        - ``comfort_flags`` (6,) bool, columns of ``ComfortIndex``
        - ``multiplier`` product of the multiplying sub-metrics before the human filter
        - v2.2: ``centerline_distance`` (41,) [m]; ``unfiltered_<sub-metric>`` and ``score_unfiltered`` without human
          filter; ``score_before_fix`` as papers report that used the original before its issue #151 was mended: there
          the filter changed the published sub-metrics, but neither their product nor their weighted mean, so that
          the score was the unfiltered one

    Raises:
        OpenPairError: wrong shape, numbers that are not finite, or a scene that cannot be scored.
    """
    where = f"scene {scene.token}"
    prepared = prepare(scene, strict=strict)
    plans, device, is_torch = as_float64(trajectories, where)
    tables = prepared.place(device)
    raw = run(
        tables,
        scene.protocol,
        plans=plans,
        comfort_mode=ComfortMode.WITH_PAST if scene.protocol is Protocol.V2_2 else ComfortMode.PLAN,
        strict=strict,
    )
    return as_scores(raw, scene.protocol, slice(None), human_filter, is_torch and device == CPU)


def score_proposals(scene: ScoringScene, reference: NDArray[np.float64]) -> PlanScores:
    """Scores of a planner's proposals against a forecast, progress relative to the best proposal.

    Args:
        scene: map, centreline, tracks and ego state are read; the reference trajectory, the human and the past are
            not. ``tracks`` is the forecast: 50 samples for v1.1, 41 for v2.2.
        reference: (N, 41, 3) x [m], y [m], heading [rad] of each proposal every 0.1 s, global frame: the tracker's
            reference as it is.

    Returns:
        Scores as of :func:`score_prepared`, unfiltered; history comfort of v2.2 counts as 1.
    """
    where = f"scene {scene.token}"
    if reference.ndim != 3 or reference.shape[1:] != (NUM_STEPS, 3) or len(reference) == 0:
        raise OpenPairError(
            f"the proposals have shape {reference.shape}, not (N, {NUM_STEPS}, 3) with N >= 1", where=where
        )
    check_finite(reference, "the proposals", where)
    check_tracks(scene, where)
    local = np.array(reference, np.float64)
    local[..., :2] -= scene.ego_state[:2]
    raw = run(
        place(build_tables(scene), CPU),
        scene.protocol,
        reference=local,
        within_group=True,
        comfort_mode=ComfortMode.NOT_SCORED if scene.protocol is Protocol.V2_2 else ComfortMode.PLAN,
    )
    return as_scores(raw, scene.protocol, slice(None), False, False)


@dataclass(frozen=True)
class BatchScores:
    """Scores of several scenes.

    Attributes:
        scores: one entry a scene; None where the scene or its plans could not be scored.
        errors: reason for each None, by position.
    """

    scores: list[PlanScores | None]
    errors: dict[int, OpenPairError] = field(default_factory=dict)


def score_batch(
    scenes: Sequence[ScoringScene],
    trajectories: Plans | Sequence[Plans],
    *,
    human_filter: bool = True,
    strict: bool = False,
) -> BatchScores:
    """Scores of plans of several scenes in one pass; scenes may differ in size and in their number of plans.

    Args:
        scenes: B prepared scenes of one protocol.
        trajectories: (B, N, 8, 3), or B arrays (N_b, 8, 3); see :func:`score_prepared`.
        human_filter, strict: see :func:`score_prepared`.

    Returns:
        B scores equal to those of :func:`score_prepared` one by one. A scene that cannot be scored gives None and its
        reason; the others are not affected.

    Raises:
        OpenPairError: different numbers of scenes and plan sets, or scenes of two protocols.
    """
    if len(scenes) != len(trajectories):
        raise OpenPairError(f"{len(scenes)} scenes but plans for {len(trajectories)}", fix="Give plans for each scene")
    if len({scene.protocol for scene in scenes}) > 1:
        raise OpenPairError("the scenes belong to two protocols", fix="Score each protocol in a batch of its own")
    result = BatchScores([None] * len(scenes))
    tables, plan_sets, kept = [], [], []
    device, is_torch = CPU, False
    for index, prepared in enumerate(prepare_all(scenes, strict=strict)):
        if isinstance(prepared, OpenPairError):
            result.errors[index] = prepared
            continue
        try:
            plans, device, is_torch = as_float64(trajectories[index], f"scene {scenes[index].token}")
        except OpenPairError as error:
            result.errors[index] = error
            continue
        tables.append(prepared.tables)
        plan_sets.append(plans)
        kept.append(index)
    if not kept:
        return result
    protocol = scenes[kept[0]].protocol
    counts = [len(plans) for plans in plan_sets]
    owner = np.repeat(np.arange(len(kept), dtype=np.int32), counts)
    stacked: Any
    if device == CPU:
        stacked = np.concatenate(plan_sets)
    else:
        import torch

        stacked = torch.cat(plan_sets)
    raw = run(
        place(join_scenes(tables), device),
        protocol,
        owner,
        plans=stacked,
        comfort_mode=ComfortMode.WITH_PAST if protocol is Protocol.V2_2 else ComfortMode.PLAN,
        strict=strict,
    )
    ends = np.cumsum(counts)
    for index, start, end in zip(kept, ends - counts, ends, strict=True):
        rows = slice(int(start), int(end))
        result.scores[index] = as_scores(raw, protocol, rows, human_filter, is_torch and device == CPU)
    return result


def as_float64(plans: Plans, where: str) -> tuple[Any, str, bool]:
    """Contiguous float64 plans (numpy on the CPU, torch on CUDA), their device, and whether torch came in."""
    if isinstance(plans, np.ndarray):
        check_plans(plans, where)
        values = np.ascontiguousarray(plans, dtype=np.float64)
        check_finite(values, "the trajectories", where)
        return values, CPU, False
    import torch

    check_plans(plans, where)
    tensor = plans.detach().to(torch.float64).contiguous()
    if not bool(torch.isfinite(tensor).all()):
        raise OpenPairError("the trajectories hold a value that is not finite", where=where, fix="Repair the plans")
    if tensor.device.type == CPU:
        return tensor.numpy(), CPU, True
    return tensor, str(tensor.device), True


def as_scores(raw: RawResults, protocol: Protocol, rows: slice, human_filter: bool, to_torch: bool) -> PlanScores:
    """The public form of some rows of the raw results."""

    def out(values: Any) -> Any:
        if to_torch:
            import torch

            return torch.from_numpy(values)
        return values

    table = raw.table[rows]
    is_v2 = protocol is Protocol.V2_2
    shift = int(ResultIndex.FILTERED_NC) if is_v2 and human_filter else 0
    metrics = {name: out(table[:, column + shift]) for name, column in COLUMNS[protocol].items()}
    collision_time, collision_track = decode_key(raw.collision_key[rows])
    ttc_time, ttc_track = decode_key(raw.ttc_key[rows])
    evidence = {
        "simulated_states": out(raw.states[rows]),
        "ego_areas": out(raw.areas[rows]),
        "collision_time_idx": out(collision_time),
        "collision_track": out(collision_track),
        "ttc_time_idx": out(ttc_time),
        "ttc_track": out(ttc_track),
        "progress_raw": out(table[:, ResultIndex.PROGRESS]),
        "comfort_flags": out(raw.comfort_flags[rows]),
        "multiplier": out(table[:, ResultIndex.MULTIPLIER]),
    }
    if is_v2:
        metrics[EXTENDED_COMFORT] = out(table[:, ResultIndex.SCORE] * np.nan)
        evidence["centerline_distance"] = out(raw.deviation[rows])
        for name, column in COLUMNS[protocol].items():
            evidence[f"unfiltered_{name}"] = out(table[:, column])
        evidence["score_unfiltered"] = out(table[:, ResultIndex.UNFILTERED_SCORE])
        evidence["score_before_fix"] = evidence["score_unfiltered"]
    score = ResultIndex.SCORE if human_filter else ResultIndex.UNFILTERED_SCORE
    return PlanScores(protocol, out(table[:, score]), metrics, evidence)


def decode_key(key: Any) -> tuple[Any, Any]:
    """Step (float, inf if none) and track (-1 if none) of contact keys (N,)."""
    if isinstance(key, np.ndarray):
        none = key == NO_STEP
        return np.where(none, np.inf, key // TRACK_KEY), np.where(none, -1, key % TRACK_KEY)
    import torch

    none = key == NO_STEP
    step = torch.where(none, torch.inf, (key // TRACK_KEY).to(torch.float64))
    return step, torch.where(none, -1, key % TRACK_KEY)
