"""Run the kernels: N plans of one or several scenes in, one table of results and the evidence out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import warp as wp

from openpair.datatypes.columns import Protocol, StateIndex
from openpair.scoring import kernels
from openpair.scoring.aggregation import NUM_RESULTS
from openpair.scoring.collisions import NO_STEP
from openpair.scoring.comfort import NUM_SIGNALS, ComfortIndex, ComfortMode
from openpair.scoring.devices import CPU, DeviceTables, Room, filters_on, torch_stream
from openpair.scoring.ego_areas import AreaIndex
from openpair.scoring.kept_calls import MAX_PLANS, kept_call
from openpair.simulation import kernels as simulation_kernels
from openpair.simulation.reference import NUM_STEPS
from openpair.simulation.simulate import launch_simulation
from openpair.simulation.tracker import NUM_MOVES

TTC_STEPS = {Protocol.V1_1: 41, Protocol.V2_2: 32}
"""Steps at which time to collision is looked at."""

REQUIRED_SAMPLES = {Protocol.V1_1: 50, Protocol.V2_2: 41}
"""Samples of the tracks that the protocol reads."""


@dataclass(frozen=True)
class RawResults:
    """Results of N plans: numpy arrays, or torch tensors on CUDA.

    Attributes:
        table: (N, 21) columns of :class:`~openpair.scoring.aggregation.ResultIndex`.
        states: (N, 41, 11) simulated states, global frame.
        areas: (N, 41, 6) bool, :class:`~openpair.scoring.ego_areas.AreaIndex`.
        collision_key, ttc_key: (N,) int32 step * 2^20 + track within the scene, or 2^30.
        comfort_flags: (N, 6) bool.
        deviation: (N, 41) distance to the centreline [m] (v2.2; else None).
    """

    table: Any
    states: Any
    areas: Any
    collision_key: Any
    ttc_key: Any
    comfort_flags: Any
    deviation: Any

    def rows(self, start: int, stop: int) -> RawResults:
        """Some of the plans' results, copied from numpy arrays."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return RawResults(**{k: None if v is None else v[start:stop].copy() for k, v in columns.items()})


def run(
    tables: DeviceTables,
    protocol: Protocol,
    plan_scene: Any = None,
    *,
    plans: Any = None,
    reference: Any = None,
    comfort_mode: ComfortMode,
    within_group: bool = False,
    strict: bool = False,
) -> RawResults:
    """Simulate and measure N plans. Arrays are numpy's (CPU) or torch's (CUDA), C-contiguous.

    Args:
        tables: the scenes.
        protocol: which score.
        plan_scene: (N,) int32 scene of each plan; None where there is one scene.
        plans: (N, 8, 3) float64, ego rear-axle frame; or
        reference: (N, 41, 3) float64 tracker reference, global axes around each scene's rear axle.
        within_group: progress relative to the best of each scene's plans instead of PDM-Closed.
        comfort_mode: what comfort is computed over.
        strict: mend the original's slips (:mod:`openpair.scoring.strict`); the tables must be strict, too.
    """
    with torch_stream(tables.device):
        count = len(plans if reference is None else reference)
        alone = plan_scene is None and tables.num_scenes == 1
        keep = alone and tables.device == CPU and count <= MAX_PLANS and tables.max_tracks > 0
        past = tables.max_history if comfort_mode is ComfortMode.WITH_PAST else 0
        shape = (count, protocol, reference is None, comfort_mode, past, strict)
        room = kept_call(shape) if keep else Room(tables.device)
        raw = _run(room, tables, protocol, plan_scene, plans, reference, within_group, comfort_mode, strict)
        return raw.rows(0, count) if keep else raw


def _run(
    room: Room,
    tables: DeviceTables,
    protocol: Protocol,
    plan_scene: Any,
    plans: Any,
    reference: Any,
    within_group: bool,
    comfort_mode: ComfortMode,
    strict: bool,
) -> RawResults:
    device = tables.device
    count = len(plans if reference is None else reference)
    is_v2 = protocol is Protocol.V2_2
    ego = tables.ego
    if plan_scene is None:
        _, plan_scene = room.full((count,), 0, np.int32, wp.int32)
    else:
        plan_scene = wp.array(plan_scene, dtype=wp.int32, device=device, copy=device != CPU)

    if reference is not None:
        reference = room.given(reference, wp.float64)
    else:
        plans = room.given(plans, wp.float64)
        reference = room.scratch("reference", (count, NUM_STEPS, 3), np.float64, wp.float64)
        room.launch(
            simulation_kernels.interpolate_plans,
            dim=count,
            inputs=[plans, plan_scene, ego.state, ego.knot_index, ego.knot_weight, reference],
        )
    states, states_view = room.empty((count, NUM_STEPS, len(StateIndex)), np.float64, wp.float64)
    ego_box_view = room.scratch("ego_box", (count, NUM_STEPS, 4), np.float64, wp.vec4d)
    reach = room.scratch("reach", (count, 4), np.float64, wp.vec4d)
    profiles = room.scratch("profiles", (5, count, NUM_MOVES), np.float64, wp.float64)
    launch_simulation(
        reference, plan_scene, ego.state, states_view, ego_box_view, reach, profiles, device, strict, room.launch
    )

    areas, areas_view = room.empty((count, NUM_STEPS, len(AreaIndex)), np.bool_, wp.bool)
    room.launch(
        kernels.find_areas,
        dim=(count, NUM_STEPS),
        inputs=[tables.area, tables.lights, plan_scene, ego_box_view, areas_view],
    )
    collision_key, collision_view = room.full((count,), NO_STEP, np.int32, wp.int32)
    ttc_key, ttc_view = room.full((count,), NO_STEP, np.int32, wp.int32)
    _, fault_view = room.full((count,), 0, np.int32, wp.int32)
    if tables.max_tracks:
        room.launch(
            kernels.find_contacts,
            dim=(count, tables.max_tracks),
            inputs=[
                tables.tracks,
                plan_scene,
                states_view,
                ego_box_view,
                reach,
                areas_view,
                TTC_STEPS[protocol],
                fault_view,
                collision_view,
                ttc_view,
            ],
        )

    results, results_view = room.empty((count, NUM_RESULTS), np.float64, wp.float64)
    comfort_flags, comfort_view = room.empty((count, len(ComfortIndex)), np.bool_, wp.bool)
    deviation, deviation_view = room.empty((count if is_v2 else 0, NUM_STEPS), np.float64, wp.float64)
    _, best_gain = room.full((tables.num_scenes,), 0.0, np.float64, wp.float64)
    past = tables.max_history if comfort_mode is ComfortMode.WITH_PAST else 0
    signals = room.scratch("signals", (count, NUM_SIGNALS, NUM_STEPS + past), np.float64, wp.float64)
    room.launch(
        kernels.measure_plans,
        dim=count,
        inputs=[
            tables.path,
            ego,
            plan_scene,
            states_view,
            ego_box_view,
            areas_view,
            fault_view,
            ttc_view,
            filters_on(protocol, device),
            is_v2,
            int(comfort_mode),
            strict,
            signals,
            comfort_view,
            deviation_view,
            best_gain,
            results_view,
        ],
    )
    room.launch(
        kernels.aggregate_plans,
        dim=count,
        inputs=[ego, plan_scene, best_gain, within_group, is_v2, results_view],
    )
    return RawResults(
        table=results,
        states=states,
        areas=areas,
        collision_key=collision_key,
        ttc_key=ttc_key,
        comfort_flags=comfort_flags,
        deviation=deviation if is_v2 else None,
    )
