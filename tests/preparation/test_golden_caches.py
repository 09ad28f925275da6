"""Prepared scenes against the original evaluator's own metric caches: 56 scenes, both protocols."""

import numpy as np
import pytest

from openpair.datatypes.columns import Protocol
from openpair.preparation.map_index import map_index
from openpair.preparation.prepare import pdm_closed_plan, reference_plan
from openpair.preparation.route import correct_route

BOTH = pytest.mark.parametrize("protocol", list(Protocol))


def pose_error(ours, theirs):
    """Largest difference of (..., 3) poses, headings compared as angles."""
    difference = ours - theirs
    difference[..., 2] = np.arctan2(np.sin(difference[..., 2]), np.cos(difference[..., 2]))
    return np.abs(difference).max(initial=0.0)


def test_corrected_routes_are_those_of_the_original(whole_path):
    caches = whole_path.caches(Protocol.V1_1)
    for token, cache in caches.items():
        scene = whole_path.scenes[token]
        assert list(scene.current.route_roadblock_ids) == cache["given_roadblock_ids"].tolist()
        route = correct_route(map_index(scene.road_map), scene.current.ego.pose, scene.current.route_roadblock_ids)
        assert list(route) == cache["corrected_roadblock_ids"].tolist()
    changed = [c for c in caches.values() if c["given_roadblock_ids"].tolist() != c["corrected_roadblock_ids"].tolist()]
    assert len(changed) > 10


@BOTH
def test_map_elements_and_their_order_are_those_of_the_original(whole_path, protocol):
    for token, cache in whole_path.caches(protocol).items():
        area = whole_path.prepared(protocol)[token].drivable_map
        assert list(area.tokens) == cache["map_token"].tolist()
        np.testing.assert_array_equal(area.layer, cache["map_type"])
        on_route = {token for token, flag in zip(area.tokens, area.on_route, strict=True) if flag}
        assert on_route == set(cache["route_lane_ids"].tolist()) & set(area.tokens)


@BOTH
def test_centrelines_are_those_of_the_original(whole_path, protocol):
    for token, cache in whole_path.caches(protocol).items():
        np.testing.assert_allclose(whole_path.prepared(protocol)[token].centerline, cache["centerline"], atol=1e-9)


@BOTH
def test_tracks_are_those_of_the_original(whole_path, protocol):
    dropped = 0
    for token, cache in whole_path.caches(protocol).items():
        tracks = whole_path.prepared(protocol)[token].tracks
        theirs = cache["trk_token"][cache["trk_token_idx"]]
        # v2.2's cache still holds what touches the ego at t = 0; its replay drops it.
        kept = np.isin(theirs, tracks.tokens)
        dropped += int((~kept).sum())
        assert protocol is Protocol.V2_2 or kept.all()
        assert [tracks.tokens[i] for i in tracks.track] == theirs[kept].tolist()
        box = cache["trk_box"][kept]
        assert pose_error(tracks.box[:, :3], box[:, :3]) < 2e-9
        np.testing.assert_array_equal(tracks.box[:, 3:], box[:, 3:])
        velocity = np.nan_to_num(cache["trk_vel"][kept])
        np.testing.assert_allclose(tracks.velocity, velocity, atol=1e-9)
        np.testing.assert_array_equal(tracks.category[tracks.track], cache["trk_type"][kept])
    assert (dropped > 0) == (protocol is Protocol.V2_2)


@BOTH
def test_pdm_closed_trajectories_are_those_of_the_original(whole_path, protocol):
    for token, cache in whole_path.caches(protocol).items():
        scene = whole_path.prepared(protocol)[token]
        np.testing.assert_array_equal(scene.reference_time_us, cache["pdm_time_us"])
        assert pose_error(scene.reference_states, cache["pdm_states"]) < 5e-9


def test_red_lights_past_and_human_are_those_of_the_original(whole_path):
    reds = 0
    for token, cache in whole_path.caches(Protocol.V2_2).items():
        scene = whole_path.prepared(Protocol.V2_2)[token]
        assert [f"red_light_{t}" for t in scene.red_lights.tokens] == cache["tl_token"].tolist()
        np.testing.assert_array_equal(scene.red_lights.active, cache["tl_active"])
        np.testing.assert_array_equal(scene.red_lights.polygons.xy, cache["tl_poly_xy"])
        np.testing.assert_allclose(scene.past_states, cache["past_states"], atol=1e-9)
        np.testing.assert_array_equal(scene.past_time_us, cache["past_time_us"])
        assert pose_error(scene.human_trajectory, cache["human_traj"]) < 5e-9
        reds += len(scene.red_lights.tokens)
    assert reds > 50


def test_the_planner_as_an_agent_gives_the_plan_of_the_reference(whole_path):
    for token in whole_path.tokens[:5]:  # before the original's first carried exemption
        plan = pdm_closed_plan(whole_path.scenes[token], Protocol.V1_1)
        np.testing.assert_array_equal(plan, reference_plan(whole_path.prepared(Protocol.V1_1)[token]))
