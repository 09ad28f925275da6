"""Every metric on a straight road, against values worked out on paper.

The ego's front is 4.049 m ahead of its rear axle; at 10 m/s it is at x = 4.049 + step after ``step`` steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from straight_road import agent, rectangle, scene, straight_plan

from openpair.datatypes.columns import AgentCategory, MapLayer, Protocol
from openpair.datatypes.scores import metric_names
from openpair.scoring import AreaIndex, score_prepared, score_proposals

V1, V2 = Protocol.V1_1, Protocol.V2_2
VEHICLE, CONE = AgentCategory.VEHICLE, AgentCategory.TRAFFIC_CONE


def metrics(scene_, plan=None) -> dict[str, float]:
    """Sub-metrics and score of one plan, straight on by default; evidence of one number a plan besides."""
    scores = score_prepared(scene_, (straight_plan() if plan is None else plan)[None])
    result = {name: float(values[0]) for name, values in scores.metrics.items()}
    result["score"] = float(scores.score[0])
    result.update({name: float(v[0]) for name, v in scores.evidence.items() if v.ndim == 1})
    return result


@pytest.mark.parametrize(("protocol", "names"), [(V1, metric_names(V1)), (V2, metric_names(V2))])
def test_free_road_is_perfect(protocol: Protocol, names: tuple[str, ...]) -> None:
    result = metrics(scene(protocol))
    for name in names:
        if name != "two_frame_extended_comfort":
            assert result[name] == pytest.approx(1.0, abs=1e-6), name
    assert result["score"] == pytest.approx(1.0, abs=1e-6)
    assert result["progress_raw"] == pytest.approx(40.0, abs=1e-4)
    assert result["collision_time_idx"] == result["ttc_time_idx"] == np.inf
    assert result["collision_track"] == result["ttc_track"] == -1


def test_parked_car_ahead_is_an_at_fault_collision() -> None:
    # Its rear is at x = 28: touched when 4.049 + step >= 28, at step 24; TTC looks 0.9 s (9 m) ahead: step 15.
    result = metrics(scene(V1, [agent("far", VEHICLE, 30.0, 30.0), agent("parked", VEHICLE, 30.0)]))
    assert result["no_at_fault_collisions"] == 0.0
    assert result["collision_time_idx"] == 24
    assert result["collision_track"] == 1
    assert result["ttc_time_idx"] == 15
    assert result["time_to_collision_within_bound"] == 0.0
    assert result["score"] == 0.0


def test_object_counts_half() -> None:
    result = metrics(scene(V1, [agent("cone", CONE, 30.0, size=(1.0, 1.0))]))
    assert result["no_at_fault_collisions"] == 0.5
    # EP is 0.5: the plan's progress counts half, PDM-Closed's own counts half as well, so it is 1 again.
    assert result["ego_progress"] == pytest.approx(1.0, abs=1e-6)
    assert result["score"] == pytest.approx(0.5 * (5 + 0 + 2) / 12, abs=1e-6)


def test_being_hit_from_behind_is_not_at_fault() -> None:
    result = metrics(scene(V1, [agent("fast", VEHICLE, -15.0, velocity=(20.0, 0.0))]))
    assert result["no_at_fault_collisions"] == 1.0
    # An oddity kept: TTC moves both 0.9 s ahead, but takes the bearing from where the ego is now.
    assert result["time_to_collision_within_bound"] == 0.0


def test_side_hit_counts_only_where_the_ego_does_not_belong() -> None:
    # A car at the same speed beside the ego drifts into it: not at fault in the lane, at fault across two lanes.
    beside = agent("beside", VEHICLE, 1.5, 3.5, velocity=(10.0, -1.0), size=(3.0, 1.6))
    assert metrics(scene(V1, [beside]))["no_at_fault_collisions"] == 1.0
    across = rectangle(-50, -2, 95, 0.5), rectangle(-50, 0.5, 95, 2)
    split = scene(V1, [beside])
    areas = split.drivable_map
    xy = areas.polygons.xy.copy()
    xy[5:10], xy[10:15] = across[0], across[1]
    moved = replace(split, drivable_map=replace(areas, polygons=replace(areas.polygons, xy=xy)))
    assert metrics(moved)["no_at_fault_collisions"] == 0.0


def test_standing_ego_is_never_at_fault() -> None:
    result = metrics(scene(V1, [agent("rams", VEHICLE, 40.0, velocity=(-15.0, 0.0))], speed=0.0), np.zeros((8, 3)))
    assert result["no_at_fault_collisions"] == 1.0
    assert result["time_to_collision_within_bound"] == 1.0


def test_leaving_the_road() -> None:
    result = metrics(scene(V1), straight_plan(offset=-4.0))
    assert result["drivable_area_compliance"] == 0.0
    assert result["score"] == 0.0


def test_driving_direction_by_distance_in_the_oncoming_lane() -> None:
    # Wholly in the oncoming lane 1.1 s make 11 m at 10 m/s: 0. At 4 m/s 4.4 m: 0.5. At 1 m/s 1.1 m: 1.
    for speed, expected in ((10.0, 0.0), (4.0, 0.5), (1.0, 1.0)):
        base = scene(V1, speed=speed)
        state = base.ego_state.copy()
        state[1] = 4.0
        oncoming = replace(base, ego_state=state)
        result = metrics(oncoming, straight_plan(speed))
        assert result["driving_direction_compliance"] == expected, speed


def test_intersections_excuse_driving_direction_in_v2_only() -> None:
    crossing = [(MapLayer.INTERSECTION, rectangle(-50, -10, 95, 10), False)]
    for protocol, expected in ((V1, 0.0), (V2, 1.0)):
        base = scene(protocol, elements=crossing)
        state = base.ego_state.copy()
        state[1] = 4.0
        scores = score_prepared(replace(base, ego_state=state), straight_plan()[None])
        unfiltered = "unfiltered_driving_direction_compliance"
        value = scores.evidence.get(unfiltered, scores.metrics["driving_direction_compliance"])
        assert float(value[0]) == expected


def test_progress_is_relative_to_the_better_of_plan_and_reference() -> None:
    half = metrics(scene(V1), straight_plan(5.0))
    assert half["ego_progress"] == pytest.approx(half["progress_raw"] / 40.0, abs=1e-6)
    slow = scene(V1, speed=1.0)  # the reference gets 4 m far: too little to compare
    assert metrics(slow, straight_plan(0.5))["ego_progress"] == 1.0
    for protocol, expected in ((V1, 0.0), (V2, 1.0)):
        base = scene(protocol, speed=1.0)
        state = base.ego_state.copy()
        state[1] = -4.0  # off the road from the start: the multiplier is 0
        assert metrics(replace(base, ego_state=state), straight_plan(0.5))["ego_progress"] == expected


def test_hard_braking_is_uncomfortable() -> None:
    braking = straight_plan()
    time = 0.5 * np.arange(1, 9)
    braking[:, 0] = np.where(time < 10 / 8, 10 * time - 4 * time**2, 6.25)
    assert metrics(scene(V1), braking)["comfort"] == 0.0
    assert metrics(scene(V2), braking)["history_comfort"] == 0.0


def test_lane_keeping_counts_consecutive_steps() -> None:
    base = scene(V2)
    shifted = base.ego_state.copy()
    shifted[1] = 0.6
    result = metrics(replace(base, ego_state=shifted, human_trajectory=None))
    assert result["lane_keeping"] == 0.0
    assert result["score"] == pytest.approx(12 / 14, abs=1e-6)
    crossing = [(MapLayer.INTERSECTION, rectangle(-50, -10, 95, 10), False)]
    excused = replace(scene(V2, elements=crossing), ego_state=shifted, human_trajectory=None)
    assert metrics(excused)["lane_keeping"] == 1.0


def test_red_light() -> None:
    ahead = rectangle(20, -2, 30, 2)
    stopping = straight_plan()
    stopping[:, 0] = [4.5, 8.0, 10.5, 12.0, 12.5, 12.5, 12.5, 12.5]
    run_it = metrics(scene(V2, red=[ahead], human=stopping))
    assert run_it["traffic_light_compliance"] == 0.0
    assert run_it["score"] == 0.0
    halt = metrics(scene(V2, red=[ahead], human=stopping), stopping)
    assert halt["traffic_light_compliance"] == 1.0
    green = scene(V2, red=[ahead], human=stopping)
    assert green.red_lights is not None
    green.red_lights.active[:] = False
    assert metrics(green)["traffic_light_compliance"] == 1.0
    # The box stands wholly inside the connector at t = 0: no edge is touched, yet it is on red.
    inside = metrics(scene(V2, red=[rectangle(-60, -20, 120, 20)], human=stopping), stopping)
    assert inside["unfiltered_traffic_light_compliance"] == 0.0


def test_human_filter_forgives_what_the_human_did() -> None:
    # The human runs the light too: TLC is forgiven. Before the original's fix the score stayed that without filter.
    both = scene(V2, red=[rectangle(20, -2, 30, 2)])
    result = metrics(both)
    assert result["traffic_light_compliance"] == 1.0
    assert result["unfiltered_traffic_light_compliance"] == 0.0
    assert result["score"] == pytest.approx(1.0, abs=1e-6)
    assert result["score_unfiltered"] == result["score_before_fix"] == 0.0
    off = score_prepared(both, straight_plan()[None], human_filter=False)
    assert float(off.score[0]) == 0.0
    assert float(off.metrics["traffic_light_compliance"][0]) == 0.0
    synthetic = metrics(replace(both, is_synthetic=True))
    assert synthetic["traffic_light_compliance"] == synthetic["score"] == 0.0


def test_half_scores_are_never_forgiven() -> None:
    result = metrics(scene(V2, [agent("cone", CONE, 30.0, size=(1.0, 1.0))]))
    assert result["no_at_fault_collisions"] == 0.5
    assert result["time_to_collision_within_bound"] == 1.0  # the human's TTC is 0 too


def test_holes_in_the_road() -> None:
    # A hole of 1 m at x 20 .. 21 under the right wheels.
    base = scene(V1)
    areas = base.drivable_map
    ring = rectangle(20, -1.5, 21, -0.5)
    offset = areas.polygons.ring_offset
    polygons = replace(
        areas.polygons,
        xy=np.concatenate([areas.polygons.xy[:5], ring, areas.polygons.xy[5:]]),
        ring_offset=np.concatenate([offset[:2], [10], offset[2:] + 5]),
        polygon_offset=np.array([0, 2, 3, 4]),
    )
    holed = replace(base, drivable_map=replace(areas, polygons=polygons))
    scores = score_prepared(holed, straight_plan()[None])
    off_road = np.flatnonzero(scores.evidence["ego_areas"][0, :, AreaIndex.NON_DRIVABLE])
    # Corners: front at 4.049 + step, rear at step - 1.127; strictly inside the hole for x in (20, 21), right side only.
    assert off_road.tolist() == [16, 22]
    assert float(scores.metrics["drivable_area_compliance"][0]) == 0.0


def test_track_that_appears_later_and_leaves() -> None:
    base = scene(V1, [agent("parked", VEHICLE, 42.0)])  # its rear at 40 is reached at step 36
    assert metrics(base)["collision_time_idx"] == 36
    rows = base.tracks.frame_offset
    keep = np.ones(len(base.tracks.track), bool)
    keep[30:40] = False
    shortened = replace(
        base.tracks,
        frame_offset=np.concatenate([[0], np.cumsum(keep)])[rows],
        track=base.tracks.track[keep],
        box=base.tracks.box[keep],
        velocity=base.tracks.velocity[keep],
    )
    result = metrics(replace(base, tracks=shortened))
    assert result["collision_time_idx"] == 40


def test_proposals_are_compared_among_themselves() -> None:
    for protocol in (V1, V2):
        reference = np.zeros((3, 41, 3))
        for row, speed in enumerate((10.0, 5.0, 0.0)):
            reference[row, :, 0] = speed * 0.1 * np.arange(41)
        scores = score_proposals(scene(protocol), reference)
        raw = scores.evidence["progress_raw"]
        assert scores.metrics["ego_progress"] == pytest.approx(raw / raw.max())
        assert int(np.argmax(scores.score)) == 0
    # v2.2's planner takes comfort as given, v1.1's does not: braking from 10 m/s to a stand at once is uncomfortable.
    assert score_proposals(scene(V1), reference).metrics["comfort"][2] == 0.0
    assert score_proposals(scene(V2), reference).metrics["history_comfort"][2] == 1.0
