"""Drawings of scenes: what is left is left, what is ahead is up, and plans can be told apart."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import CANDIDATES, straight, toy_item
from toy_town import toy_scene

from openpair.datatypes.columns import AgentCategory
from openpair.geometry.poses import local_to_global
from openpair.visualization.bev import View, draw_scene, svg_file, view_for
from openpair.visualization.colours import score_colour
from openpair.visualization.gallery_scene import GalleryScene, ScoredPlan, scored_plans
from openpair.visualization.svg import element, line_path, number, smooth_path


def points_of(path: str) -> np.ndarray:
    """End points of a path of M, l and c commands."""
    here, points = np.zeros(2), []
    for command, numbers in re.findall(r"([Mlc])([^Mlcz]*)", path):
        values = np.array([float(v) for v in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", numbers)])
        here = values if command == "M" else here + values[-2:]
        points.append(here)
    return np.array(points)


def paths(drawing: str, name: str) -> list[ElementTree.Element]:
    """Elements of a class."""
    return [e for e in ElementTree.fromstring(drawing).iter() if name in (e.get("class") or "").split()]


def scene_with_agent(local_xy: tuple[float, float], category: AgentCategory, heading: float = 0.7):
    """The toy scene, turned by ``heading``, with one agent at a place seen from the ego."""
    scene = toy_scene("log", "t", 0)
    pose = np.array([100.0, 50.0, heading])
    place = local_to_global(np.array([*local_xy, 0.0]), pose)
    agents = replace(
        scene.current.agents,
        box=np.array([[*place, 4.0, 2.0, 1.5]]),
        category=np.array([int(category)]),
        track_tokens=("other",),
    )
    current = replace(scene.current, ego=replace(scene.current.ego, pose=pose), agents=agents)
    return replace(scene, frames=(*scene.frames[:3], current, *scene.frames[4:]))


@pytest.mark.parametrize(
    ("local", "expected"), [((10.0, 0.0), (0.0, -10.0)), ((5.0, 8.0), (-8.0, -5.0)), ((-6.0, -3.0), (3.0, 6.0))]
)
def test_forward_is_up_and_left_is_left_whatever_the_heading(local, expected):
    scene = scene_with_agent(local, AgentCategory.PEDESTRIAN)
    drawing = draw_scene(GalleryScene(scene, "t", ScoredPlan("human", straight(5.0))))
    (agent,) = paths(drawing, "ped")
    corners = points_of(agent.get("d"))
    center = (corners.min(axis=0) + corners.max(axis=0)) / 2
    np.testing.assert_allclose(center, expected, atol=0.02)


def test_an_agent_out_of_view_is_not_drawn():
    scene = scene_with_agent((500.0, 0.0), AgentCategory.VEHICLE)
    assert not paths(draw_scene(GalleryScene(scene, "t", ScoredPlan("human", straight(5.0)))), "car")


def test_a_plan_passes_through_its_poses():
    angle = np.linspace(0.1, 0.8, 8)
    turn = np.stack([30 * np.sin(angle), 30 * (1 - np.cos(angle)), angle], axis=1)
    drawing = draw_scene(GalleryScene(toy_scene("log", "t", 0), "t", ScoredPlan("human", turn)))
    (human,) = paths(drawing, "human")
    np.testing.assert_allclose(points_of(human.get("d"))[1:], np.stack([-turn[:, 1], -turn[:, 0]], axis=1), atol=0.05)


def test_a_plan_that_stands_still_draws_without_fault():
    drawing = draw_scene(GalleryScene(toy_scene("log", "t", 0), "t", ScoredPlan("human", np.zeros((8, 3)))))
    assert paths(drawing, "human")[0].get("d") == "M0 0"


def test_every_candidate_is_there_in_the_colour_of_its_score_and_the_best_on_top():
    item = toy_item()
    leaves = paths(draw_scene(item), "leaf")
    assert sorted(int(e.get("data-plan")) for e in leaves) == list(range(CANDIDATES))
    for leaf in leaves:
        score = item.candidates[int(leaf.get("data-plan"))].score
        assert leaf.get("style") == f"stroke:{score_colour(score)}"
    order = [item.candidates[int(e.get("data-plan"))].score for e in leaves]
    assert order == sorted(order)
    drawing = draw_scene(item)
    assert len(paths(drawing, "chosen")) == len(paths(drawing, "il")) == len(paths(drawing, "human")) == 1


def test_red_lights_are_drawn_and_green_ones_are_not():
    scene = toy_scene("log", "t", 0)
    for is_red, count in ((True, 1), (False, 0)):
        current = replace(scene.current, traffic_lights=(("10", is_red), ("unknown", True)))
        lit = replace(scene, frames=(*scene.frames[:3], current, *scene.frames[4:]))
        drawing = draw_scene(GalleryScene(lit, "t", ScoredPlan("human", straight(5.0))))
        bars = [e for e in paths(drawing, "red-path") if e.get("d")]
        assert len(bars) == count


def test_a_file_of_its_own_is_xml_with_colours():
    text = svg_file(draw_scene(toy_item()))
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert ".bev .road" in text


def test_the_view_holds_all_plans():
    assert view_for([straight(15.0)]).ahead >= 15 * 4 + 10
    assert view_for([]).ahead == view_for([np.zeros((8, 3))]).ahead
    assert View(ahead=50, behind=10, aside=30).view_box == "-30 -50 60 60"


def test_a_drawing_is_small():
    assert len(draw_scene(toy_item())) < 20_000


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
    item = toy_item()
    with pytest.raises(ValueError, match="do not belong together"):
        scored_plans(["a"], np.zeros((2, 8, 3)), None or _scores(2))
    assert item.candidates[9].predicted == pytest.approx(-1 + 2 * 9 / 14)


def _scores(count: int):
    from openpair.datatypes.columns import Protocol
    from openpair.datatypes.scores import PlanScores

    return PlanScores(Protocol.V1_1, np.zeros(count), {})
