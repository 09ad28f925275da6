"""Bad plans and bad scenes: one clear sentence that names scene and cause; the rest of a batch is still scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scoring_golden import IN_REPOSITORY, load
from straight_road import agent, rectangle, scene, straight_plan

from openpair.datatypes.columns import AgentCategory, Protocol
from openpair.errors import OpenPairError
from openpair.scoring import prepare_case, read_case, score_batch, score_prepared, score_proposals

V1, V2 = Protocol.V1_1, Protocol.V2_2
PLANS = straight_plan()[None]


@pytest.mark.parametrize(
    "plans",
    [np.zeros((8, 3)), np.zeros((2, 7, 3)), np.zeros((2, 8, 2)), np.zeros((0, 8, 3)), torch.zeros(2, 8, 4)],
    ids=["no batch", "seven poses", "no heading", "none", "torch"],
)
def test_wrong_shapes(plans: np.ndarray) -> None:
    with pytest.raises(OpenPairError, match=r"scene straight.*shape"):
        score_prepared(scene(V1), plans)


@pytest.mark.parametrize(
    ("plans", "said"),
    [
        (PLANS.tolist(), "a list"),
        (None, "a NoneType"),
        (1.0, "a float"),
        (PLANS.astype(str), "an array of <U"),
        (PLANS.astype(object), "an array of object"),
        (PLANS + 1j, "an array of complex128"),
        (torch.from_numpy(PLANS + 1j), "an array of torch.complex128"),
    ],
)
def test_what_is_no_array_of_numbers(plans: Any, said: str) -> None:
    with pytest.raises(OpenPairError, match=f"scene straight: the trajectories are {said}"):
        score_prepared(scene(V1), plans)


@pytest.mark.parametrize("protocol", [V1, V2])
def test_plans_beyond_the_map_are_scored(protocol: Protocol) -> None:
    """However far a plan goes, the score is a number and the plan left the road."""
    plans = np.concatenate([PLANS * factor for factor in (1e3, 1e6, 1e12, 1e30, 1e300, -1e300)])
    scores = score_prepared(scene(protocol), plans)
    assert np.isfinite(scores.score).all()
    assert (scores.score >= 0).all()
    assert (scores.metrics["drivable_area_compliance"][1:] == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_plans_that_are_not_finite(value: float) -> None:
    plans = np.repeat(PLANS, 3, axis=0)
    plans[1, 4, 2] = value
    with pytest.raises(OpenPairError, match=r"scene straight.*not finite at index \(1, 4, 2\)"):
        score_prepared(scene(V1), plans)
    with pytest.raises(OpenPairError, match="not finite"):
        score_prepared(scene(V1), torch.from_numpy(plans))


def nan_at(values: np.ndarray, *index: int) -> np.ndarray:
    result = values.astype(float).copy()
    result[index] = np.nan
    return result


GOOD = scene(V2, [agent("a", AgentCategory.VEHICLE, 60.0), agent("b", AgentCategory.BARRIER, 70.0)])
AREAS, TRACKS = GOOD.drivable_map, GOOD.tracks
EMPTY = replace(AREAS.polygons, xy=np.zeros((0, 2)), ring_offset=np.zeros(1, int), polygon_offset=np.zeros(1, int))
FLAT = AREAS.polygons.xy.copy()
FLAT[5:10, 1] = 3.0
OPEN = AREAS.polygons.xy.copy()
OPEN[4] += 1.0

BROKEN = {
    "empty map": (
        replace(
            GOOD,
            drivable_map=replace(AREAS, polygons=EMPTY, layer=AREAS.layer[:0], tokens=(), on_route=AREAS.on_route[:0]),
        ),
        "map is empty",
    ),
    "no lane": (replace(GOOD, drivable_map=replace(AREAS, layer=np.full(3, 17))), "no lane"),
    "flat polygon": (
        replace(GOOD, drivable_map=replace(AREAS, polygons=replace(AREAS.polygons, xy=FLAT))),
        "'element1' is degenerate",
    ),
    "open ring": (
        replace(GOOD, drivable_map=replace(AREAS, polygons=replace(AREAS.polygons, xy=OPEN))),
        "'element0' is degenerate",
    ),
    "polygon not finite": (
        replace(
            GOOD, drivable_map=replace(AREAS, polygons=replace(AREAS.polygons, xy=nan_at(AREAS.polygons.xy, 3, 0)))
        ),
        "vertices hold a value that is not finite",
    ),
    "no route": (replace(GOOD, centerline=GOOD.centerline[:1]), "centreline has fewer than two points"),
    "route without length": (replace(GOOD, centerline=np.zeros((5, 3))), "centreline has no length"),
    "velocity": (
        replace(GOOD, tracks=replace(TRACKS, velocity=nan_at(TRACKS.velocity, 2, 1))),
        "agent 'a' has a velocity that is not finite in sample 1",
    ),
    "token twice": (replace(GOOD, tracks=replace(TRACKS, tokens=("a", "a"))), "track token 'a' appears twice"),
    "two boxes": (
        replace(GOOD, tracks=replace(TRACKS, track=np.zeros_like(TRACKS.track))),
        "agent 'a' has two boxes in sample 0",
    ),
    "too short": (
        replace(GOOD, tracks=replace(TRACKS, frame_offset=TRACKS.frame_offset[:31])),
        "30 samples; v2.2 reads 41",
    ),
    "no size": (replace(GOOD, tracks=replace(TRACKS, box=TRACKS.box * [1, 1, 1, 0, 1, 1])), "'a' has a box without"),
    "ego": (replace(GOOD, ego_state=nan_at(GOOD.ego_state, 3)), "ego state"),
    "reference": (replace(GOOD, reference_states=GOOD.reference_states[:9]), "PDM-Closed trajectory has shape"),
    "human": (replace(GOOD, human_trajectory=np.zeros((7, 3))), "human trajectory"),
    "past": (replace(GOOD, past_time_us=np.zeros(4, int)), "past's states and times"),
    "light": (
        replace(
            scene(V2, red=[rectangle(0, 0, 1, 1)]),
            red_lights=replace(scene(V2, red=[rectangle(0, 0, 1, 1)]).red_lights, tokens=("x", "y")),
        ),
        "red lights",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_scenes(name: str) -> None:
    bad, message = BROKEN[name]
    with pytest.raises(OpenPairError, match="scene straight") as error:
        score_prepared(bad, PLANS)
    assert message in str(error.value)


def test_a_bad_scene_does_not_spoil_the_batch() -> None:
    bad_plan = PLANS * np.nan
    scenes = [scene(V2), BROKEN["velocity"][0], scene(V2), scene(V2)]
    result = score_batch(scenes, [PLANS, PLANS, bad_plan, np.repeat(PLANS, 2, axis=0)])
    assert sorted(result.errors) == [1, 2]
    assert "velocity" in str(result.errors[1])
    assert result.scores[1] is None
    assert result.scores[2] is None
    assert result.scores[0] is not None
    assert result.scores[0].score == pytest.approx([1.0], abs=1e-6)
    assert result.scores[3] is not None
    assert len(result.scores[3]) == 2
    nothing = score_batch([BROKEN["velocity"][0]], [PLANS])
    assert nothing.scores == [None]


def test_batches_that_make_no_sense() -> None:
    with pytest.raises(OpenPairError, match="2 scenes but plans for 1"):
        score_batch([scene(V1), scene(V1)], [PLANS])
    with pytest.raises(OpenPairError, match="two protocols"):
        score_batch([scene(V1), scene(V2)], [PLANS, PLANS])


def test_bad_proposals() -> None:
    with pytest.raises(OpenPairError, match=r"shape \(2, 40, 3\)"):
        score_proposals(scene(V1), np.zeros((2, 40, 3)))
    with pytest.raises(OpenPairError, match="not finite"):
        score_proposals(scene(V1), np.full((2, 41, 3), np.nan))


def test_bad_case_files(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="no such case"):
        read_case(tmp_path / "absent.npz")
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    with pytest.raises(OpenPairError, match="the case cannot be read"):
        read_case(text)
    good = IN_REPOSITORY / "v1" / "case006.npz"
    cut = tmp_path / "cut.npz"
    cut.write_bytes(good.read_bytes()[:20_000])
    with pytest.raises(OpenPairError, match="the case cannot be read"):
        read_case(cut)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, in_version=np.array([{"a": 1}], dtype=object))
    with pytest.raises(OpenPairError, match="an array of objects"):
        read_case(pickled)
    case = load(good)
    with pytest.raises(OpenPairError, match=r"case006: the case was cut for protocol v1\.1, not v2\.2"):
        prepare_case(good, "v2.2")
    del case["in_centerline"]
    with pytest.raises(OpenPairError, match="no array 'in_centerline'"):
        prepare_case(case, "v1.1")


MUTATIONS = {
    "half": lambda a: a[: len(a) // 2] if a.ndim else a,
    "empty": lambda a: a[:0] if a.ndim else a,
    "one axis more": lambda a: a[None],
    "flat": lambda a: a.reshape(-1),
    "text": lambda a: np.full(a.shape, "x"),
    "one number": lambda a: np.array(0),
    "negative": lambda a: -a - 1 if a.dtype.kind in "iuf" else a,
    "not finite": lambda a: a.astype(float) * np.nan if a.dtype.kind in "iubf" else a,
    "halves": lambda a: a.astype(float) + 0.5 if a.dtype.kind in "iub" else a,
    "huge": lambda a: a * 0 + 1e300 if a.dtype.kind == "f" else a,
    "zero": lambda a: a * 0 if a.dtype.kind in "iuf" else a,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # arithmetic on huge numbers overflows, which is not the matter
@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("name", "protocol"), [("v1/case006", V1), ("v2/case065", V2)])
def test_no_array_of_a_case_can_break_the_scorer(name: str, protocol: Protocol, mutation: str) -> None:
    """Whatever is done to one array of a case: it is named, or the scores are numbers between 0 and 1."""
    case = load(IN_REPOSITORY / f"{name}.npz")
    refused = 0
    for array in [key for key in case if key.startswith("in_")]:
        changed = {**case, array: MUTATIONS[mutation](case[array])}
        try:
            scores = score_prepared(prepare_case(changed, protocol), case["trajs"][:3]).score
        except OpenPairError as error:
            assert error.where
            refused += 1
        else:
            assert ((scores >= 0) & (scores <= 1)).all(), array
    assert refused or mutation == "zero"
