"""Drawings of scenes: what is left is left, what is ahead is up, plans can be told apart, offences are marked."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import CANDIDATES, parked_car, straight, toy_view
from straight_road import agent, rectangle, scene

from openpair.datatypes.columns import AgentCategory, Protocol
from openpair.datatypes.scores import PlanScores
from openpair.visualization.assets import read_asset
from openpair.visualization.colours import score_colour
from openpair.visualization.drawing import draw_scene, lidar_part, movements, svg_file
from openpair.visualization.ground_frame import View, view_for
from openpair.visualization.scene_view import SceneView, scored_plans, view_scene
from openpair.visualization.svg import element, line_path, number, smooth_path


def points_of(path: str) -> np.ndarray:
    """End points of a path of M, l and c commands."""
    here, points = np.zeros(2), []
    for command, numbers in re.findall(r"([Mlc])([^Mlcz]*)", path):
        values = np.array([float(v) for v in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", numbers)])
        here = values if command == "M" else here + values[-2:]
        points.append(here)
    return np.array(points)


def parts(drawing: str, name: str) -> list[ElementTree.Element]:
    """Elements of a class."""
    return [e for e in ElementTree.fromstring(drawing).iter() if name in (e.get("class") or "").split()]


def one_plan(prepared, plan=None, label="pair") -> SceneView:
    return view_scene(prepared, [(label, straight(5.0) if plan is None else plan)])


@pytest.mark.parametrize(("x", "y", "expected"), [(10.0, 0.0, (0.0, -10.0)), (5.0, 4.0, (-4.0, -5.0))])
def test_forward_is_up_and_left_is_left(x, y, expected):
    view = one_plan(scene(Protocol.V1_1, [agent("it", AgentCategory.PEDESTRIAN, x, y)]))
    assert movements(view)["0"][0][:2] == list(expected)
    (walker,) = parts(draw_scene(view, step=0), "ped")
    assert walker.get("transform").startswith(f"translate({number(expected[0])} {number(expected[1])})")


def test_agents_move_and_those_out_of_view_are_not_drawn():
    prepared = scene(
        Protocol.V1_1,
        [agent("moves", AgentCategory.VEHICLE, 10.0, 4.0, (5.0, 0.0)), agent("far", AgentCategory.VEHICLE, 500.0)],
    )
    moving = movements(one_plan(prepared))
    assert set(moving) == {"ego:p0", "0"}
    assert moving["0"][40] == [-4.0, -30.0, 0.0]
    assert len(parts(draw_scene(one_plan(prepared)), "car")) == 1


def test_a_plan_passes_through_its_poses():
    angle = np.linspace(0.1, 0.8, 8)
    turn = np.stack([30 * np.sin(angle), 30 * (1 - np.cos(angle)), angle], axis=1)
    (plan,) = parts(draw_scene(one_plan(scene(Protocol.V1_1), turn)), "plan")
    np.testing.assert_allclose(points_of(plan.get("d"))[1:], np.stack([-turn[:, 1], -turn[:, 0]], axis=1), atol=0.05)


def test_a_plan_that_stands_still_draws_without_fault():
    (plan,) = parts(draw_scene(one_plan(scene(Protocol.V1_1, speed=0.0), np.zeros((8, 3)))), "plan")
    assert plan.get("d") == "M0 0"


def test_every_candidate_is_there_in_the_colour_of_its_score_and_the_best_on_top():
    view = toy_view()
    leaves = parts(draw_scene(view), "leaf")
    assert sorted(int(e.get("data-leaf")) for e in leaves) == list(range(CANDIDATES))
    order = [view.leaves[int(e.get("data-leaf"))].score for e in leaves]
    assert order == sorted(order)
    assert [e.get("stroke") for e in leaves] == [score_colour(score) for score in order]


def test_plans_have_tones_of_their_own_and_the_human_his_look():
    drawing = draw_scene(toy_view())
    groups = {e.get("data-plan"): e.get("class") for e in parts(drawing, "drive")}
    assert groups == {"p0": "drive human", "p1": "drive tone0", "p2": "drive tone1"}


def test_offences_are_marked_at_their_moment():
    view = toy_view()
    first = view.plans[1].explanation.first
    assert first is not None and view.first_offence_step == first.step == 24
    marks = parts(draw_scene(view), "offence")
    assert {e.get("data-step") for e in marks} >= {"24", "15"}
    labels = ["".join(e.itertext()) for e in marks if "".join(e.itertext())]
    assert "NC 2.4 s" in labels and "TTC 1.5 s" in labels
    assert not parts(draw_scene(one_plan(scene(Protocol.V1_1))), "offence")


def test_lights_are_drawn_while_they_are_red():
    prepared = scene(Protocol.V2_2, red=[rectangle(20, -2, 30, 2)], human=straight(2.0))
    active = np.ones((41, 1), bool)
    active[10:20] = False
    prepared = replace(prepared, red_lights=replace(prepared.red_lights, active=active))
    view = one_plan(prepared, straight(2.0))
    (light,) = parts(draw_scene(view, step=0), "red-area")
    assert light.get("data-red") == "0-9 20-40" and light.get("visibility") is None
    (light,) = parts(draw_scene(view, step=12), "red-area")
    assert light.get("visibility") == "hidden"


def test_a_file_of_its_own_is_xml_with_colours_and_needs_no_variables():
    text = svg_file(draw_scene(toy_view()))
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert ".bev .road" in text and "var(" not in text and "light-dark" not in text
    assert "var(--v-road)" in read_asset("scene.css")


def test_names_from_files_stay_text():
    evil = '"><script>alert(1)</script>'
    view = view_scene(replace(parked_car(), token=evil), [("pair", straight(5.0))])
    drawing = draw_scene(view)
    assert "<script" not in drawing and ElementTree.fromstring(drawing) is not None


def test_lidar_shows_what_stands_above_the_ground_in_view():
    points = np.array([[10.0, 2.0, 1.0], [10.0, 2.0, 0.0], [500.0, 0.0, 1.0]], np.float32)
    assert lidar_part(points, one_plan(scene(Protocol.V1_1))) == '<path class="lidar" d="M-2 -10h0"/>'


def test_the_view_holds_all_plans():
    assert view_for([15.0 * 4]).ahead >= 15 * 4 + 10
    assert view_for([]).ahead == view_for([0.0]).ahead
    assert View(ahead=50, behind=10, aside=30).view_box == "-30 -50 60 60"


def test_a_drawing_is_small():
    assert len(draw_scene(toy_view())) < 20_000


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.001, "0"), (12.30, "12.3"), (-0.25, "-.25"), (0.5, ".5"), (100.0, "100")]
)
def test_numbers_are_short_and_right(value, text):
    assert number(value) == text


def test_paths_keep_their_points():
    points = np.random.default_rng(0).normal(size=(50, 2)) * 30
    np.testing.assert_allclose(points_of(line_path(points)), points, atol=0.006)
    forward = np.tile([1.0, 0.0], (3, 1))
    backing = np.array([[0.0, 0.0], [-2.0, 0.0], [-4.0, 0.0]])
    assert smooth_path(backing, forward) == "M0 0c-.67 0 -1.33 0 -2 0c-.67 0 -1.33 0 -2 0"


def test_attributes_are_escaped():
    assert element("a", title='"<&') == '<a title="&quot;&lt;&amp;"/>'


def test_scores_have_their_colours():
    assert score_colour(0.0) == "#c02634" and score_colour(1.0) == "#088a86"
    assert score_colour(float("nan")) == "#8a8f98"


def test_plans_and_scores_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="do not belong together"):
        scored_plans(["a"], np.zeros((2, 8, 3)), PlanScores(Protocol.V1_1, np.zeros(2), {}))
    assert toy_view().leaves[7].predicted == pytest.approx(0.5)
