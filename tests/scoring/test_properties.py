"""What a score must not depend on: batch, order, company, threads, place, direction, array library."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scoring_golden import IN_REPOSITORY, load

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import PlanScores
from openpair.datatypes.scoring_scene import PolygonSet, ScoringScene
from openpair.geometry.poses import local_to_global
from openpair.scoring import prepare_case, score_batch, score_prepared, score_proposals

FILES = sorted(IN_REPOSITORY.glob("v[12]/*.npz"))


@pytest.fixture(scope="module", params=FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def case(request: pytest.FixtureRequest) -> tuple[ScoringScene, NDArray[np.float64]]:
    """A prepared golden scene and its plans."""
    arrays = load(request.param)
    protocol = Protocol.V1_1 if request.param.parent.name == "v1" else Protocol.V2_2
    return prepare_case(arrays, protocol), arrays["trajs"]


def rows(scores: PlanScores, index: object) -> dict[str, NDArray]:
    """Everything of some plans."""
    return {
        "score": scores.score[index],
        **{name: values[index] for name, values in scores.metrics.items()},
        **{name: values[index] for name, values in scores.evidence.items()},
    }


def assert_same(actual: dict[str, NDArray], expected: dict[str, NDArray]) -> None:
    """Equal to the bit."""
    assert set(actual) == set(expected)
    for name, values in actual.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_batch_size_order_and_company(case: tuple[ScoringScene, NDArray[np.float64]]) -> None:
    scene, plans = case
    together = score_prepared(scene, plans)
    for i in (0, len(plans) - 1):
        assert_same(rows(score_prepared(scene, plans[i : i + 1]), slice(None)), rows(together, slice(i, i + 1)))
    assert_same(rows(score_prepared(scene, plans[::-1]), slice(None, None, -1)), rows(together, slice(None)))
    more = score_prepared(scene, np.concatenate([plans * 1.3, plans, plans * 0.2]))
    assert_same(rows(more, slice(len(plans), 2 * len(plans))), rows(together, slice(None)))


def test_numpy_and_torch_agree(case: tuple[ScoringScene, NDArray[np.float64]]) -> None:
    scene, plans = case
    numpy_scores = score_prepared(scene, plans)
    torch_scores = score_prepared(scene, torch.from_numpy(plans).requires_grad_())
    assert isinstance(torch_scores.score, torch.Tensor)
    assert not torch_scores.score.requires_grad
    as_numpy = {name: values.numpy() for name, values in rows(torch_scores, slice(None)).items()}
    assert_same(as_numpy, rows(numpy_scores, slice(None)))


def test_results_are_not_overwritten_by_the_next_call(case: tuple[ScoringScene, NDArray[np.float64]]) -> None:
    scene, plans = case
    first = score_prepared(scene, plans)
    kept = {name: np.copy(values) for name, values in rows(first, slice(None)).items()}
    score_prepared(scene, plans * 0.5)
    assert_same(rows(first, slice(None)), kept)


def scenes_of(version: str) -> list[tuple[ScoringScene, NDArray[np.float64]]]:
    protocol = "v1.1" if version == "v1" else "v2.2"
    files = [path for path in FILES if path.parent.name == version]
    return [(prepare_case(path, protocol), load(path)["trajs"]) for path in files]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_many_scenes_at_once(version: str) -> None:
    pairs = scenes_of(version)
    plans = [p[: 3 + i] for i, (_, p) in enumerate(pairs)]
    batch = score_batch([scene for scene, _ in pairs], plans)
    assert not batch.errors
    for (scene, _), own, scores in zip(pairs, plans, batch.scores, strict=True):
        assert scores is not None
        assert_same(rows(scores, slice(None)), rows(score_prepared(scene, own), slice(None)))


def test_thread_count() -> None:
    pairs = scenes_of("v2") * 4
    alone = [score_prepared(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: score_prepared(*pair), pairs))
    for one, other in zip(alone, together, strict=True):
        assert_same(rows(other, slice(None)), rows(one, slice(None)))


def moved(scene: ScoringScene, origin: NDArray[np.float64]) -> ScoringScene:
    """The whole scene displaced by an SE(2) pose: x, y [m], heading [rad]."""

    def points(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return local_to_global(np.concatenate([xy, np.zeros((len(xy), 1))], axis=1), origin)[:, :2]

    def poses(states: NDArray[np.float64]) -> NDArray[np.float64]:
        result = states.copy()
        result[..., :3] = local_to_global(states[..., :3], origin)
        return result

    def polygons(areas: PolygonSet) -> PolygonSet:
        return replace(areas, xy=points(areas.xy))

    c, s = np.cos(origin[2]), np.sin(origin[2])
    lights = scene.red_lights
    return replace(
        scene,
        ego_state=poses(scene.ego_state),
        drivable_map=replace(scene.drivable_map, polygons=polygons(scene.drivable_map.polygons)),
        centerline=poses(scene.centerline),
        tracks=replace(
            scene.tracks, box=poses(scene.tracks.box), velocity=scene.tracks.velocity @ np.array([[c, s], [-s, c]])
        ),
        reference_states=poses(scene.reference_states),
        red_lights=None if lights is None else replace(lights, polygons=polygons(lights.polygons)),
        past_states=None if scene.past_states is None else poses(scene.past_states),
    )


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    x=st.floats(-7e5, 7e5),
    y=st.floats(-5e6, 5e6),
    heading=st.floats(-np.pi, np.pi),
    which=st.integers(0, len(FILES) - 1),
)
def test_place_and_direction_of_the_world(x: float, y: float, heading: float, which: int) -> None:
    arrays = load(FILES[which])
    scene = prepare_case(arrays, "v1.1" if FILES[which].parent.name == "v1" else "v2.2")
    expected = score_prepared(scene, arrays["trajs"])
    for pose in ([x, y, 0.0], [0.0, 0.0, heading], [x, y, heading]):
        actual = score_prepared(moved(scene, np.array(pose)), arrays["trajs"])
        for name, values in expected.metrics.items():
            np.testing.assert_allclose(actual.metrics[name], values, atol=1e-7, err_msg=name)
        np.testing.assert_array_equal(actual.evidence["collision_time_idx"], expected.evidence["collision_time_idx"])
        np.testing.assert_array_equal(actual.evidence["ego_areas"], expected.evidence["ego_areas"])


def test_distant_plans_leave_the_grid_but_not_the_rules(case: tuple[ScoringScene, NDArray[np.float64]]) -> None:
    # Beyond 100 m every polygon is tried; the answer there must not depend on where the grid ends.
    scene, _ = case
    reference = np.zeros((1, 41, 3))
    reference[0, :, :2] = scene.ego_state[:2] + np.linspace(0.0, 4.0, 41)[:, None] * np.array([60.0, 5.0])
    scores = score_proposals(replace(scene, ego_state=fast(scene.ego_state)), reference)
    assert np.isfinite(scores.score).all()
    assert scores.evidence["ego_areas"][0, -1, 1]  # off the map: not drivable


def fast(state: NDArray[np.float64]) -> NDArray[np.float64]:
    result = state.copy()
    result[2], result[3] = 0.083, 60.0
    return result
