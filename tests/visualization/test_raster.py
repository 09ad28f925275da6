"""Drawings as pixels: the same places and colours as in the SVG; what is hidden is not painted."""

import numpy as np
from pictures import straight
from straight_road import agent, scene

from openpair.datatypes.columns import AgentCategory, Protocol
from openpair.visualization.colours import drawing_colour, score_colour
from openpair.visualization.drawing import draw_scene
from openpair.visualization.raster import dashes, paint, path_curves
from openpair.visualization.scene_view import ScoredPlan, view_scene
from openpair.visualization.style_rules import style_of


def colour_at(picture, drawing, x_m, y_m):
    """Colour of a place of the drawing."""
    left, top, across, _ = (float(v) for v in drawing.split('viewBox="')[1].split('"')[0].split())
    scale = picture.shape[1] / across
    return tuple(int(v) for v in picture[round((y_m - top) * scale), round((x_m - left) * scale)])


def near(colour, other, within=2):
    return np.abs(np.subtract(colour, other)).max() <= within


def test_things_are_painted_where_they_are():
    prepared = scene(Protocol.V1_1, [agent("car", AgentCategory.VEHICLE, 20.0, 4.0)])
    leaf = ScoredPlan("0", straight(8.0) + np.array([0.0, -3.0, 0.0]), 0.0)
    drawing = draw_scene(view_scene(prepared, [("root", straight(5.0))], leaves=[leaf]), step=0)
    picture = paint(drawing, width=500)
    assert picture.shape[1] == 500 and picture.dtype == np.uint8
    assert near(colour_at(picture, drawing, -4.0, -20.0), drawing_colour("v-car"))
    # A leaf lies with opacity 0.85 over what is below.
    red = np.array([int(score_colour(0.0)[i : i + 2], 16) for i in (1, 3, 5)])
    assert np.abs(colour_at(picture, drawing, 3.0, -25.0) - red).max() <= 0.15 * 255 + 1
    assert near(colour_at(picture, drawing, 0.6, 0.8), drawing_colour("v-t0"), within=15)  # opacity 0.95


def test_what_is_hidden_is_not_painted():
    drawing = '<svg class="bev" viewBox="0 0 4 4"><path class="car" {} d="M1 1l2 0l0 2l-2 0z"/></svg>'
    shown, hidden = (paint(drawing.format(attribute), width=40) for attribute in ("", 'visibility="hidden"'))
    assert near(shown[20, 20], drawing_colour("v-car")) and near(hidden[20, 20], drawing_colour("v-ground"))


def test_holes_stay_open():
    square, hole = "M0 0l4 0l0 4l-4 0z", "M1 1l2 0l0 2l-2 0z"
    picture = paint(f'<svg class="bev" viewBox="0 0 4 4"><path class="road" d="{square}{hole}"/></svg>', width=40)
    assert near(picture[20, 20], drawing_colour("v-ground")) and near(picture[4, 20], drawing_colour("v-road"))


def test_rules_win_by_what_they_name():
    path = [frozenset({"svg", ".bev"}), frozenset({"g", ".drive", ".human"}), frozenset({"path", ".ego"})]
    human = style_of(path, {"stroke": "#123456"})
    assert human["fill"] == "none" and human["stroke"] == "#ffffff" and human["stroke-width"] == ".3"
    assert style_of([path[0], frozenset({"path"})], {"stroke": "#123456"})["stroke"] == "#123456"


def test_paths_and_dashes():
    (curve,) = path_curves("M1-.5h2l0 1.5z")
    assert curve.tolist() == [[1, -0.5], [3, -0.5], [3, 1], [1, -0.5]]
    (bow,) = path_curves("M0 0c1 0 2 0 3 0")
    assert bow[-1].tolist() == [3, 0] and (np.diff(bow[:, 0]) > 0).all()
    pieces = [piece[:, 0].tolist() for piece in dashes(np.array([[0.0, 0], [1, 0], [5, 0]]), [2.0, 1.0])]
    assert pieces == [[0, 1, 2], [3, 5]]
    assert len(list(dashes(np.array([[0.0, 0], [3, 0]]), [0.0, 1.0]))) == 4
