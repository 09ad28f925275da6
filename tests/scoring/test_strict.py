"""The strict variant: each slip of the original mended, and nothing of it by default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scoring_golden import IN_REPOSITORY, load
from straight_road import SPEED_MPS, rectangle, scene, straight_plan

from openpair.cli.main import main
from openpair.datatypes.columns import Protocol, StateIndex
from openpair.scoring import prepare_case, score_batch, score_prepared
from openpair.scoring.history import history_states
from openpair.scoring.prepared import prepare
from openpair.scoring.strict import without_stood_on
from openpair.simulation.tracker import velocity_factors

V1, V2 = Protocol.V1_1, Protocol.V2_2
CURVE = np.stack([SPEED_MPS * 0.5 * np.arange(1, 9), 0.02 * (5.0 * np.arange(1, 9)) ** 2 / 2, 0.1 * np.arange(1, 9)], 1)


def solved(factors: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    """Velocities of the fit, by the factors."""
    n = len(displacements)
    lower = np.eye(n) + np.diag(factors[0, 1:], -1) + np.diag(factors[1, 2:], -2)
    return np.linalg.solve(lower @ np.diag(1 / factors[2]) @ lower.T, 0.1 * displacements)


def test_the_velocity_fit_penalises_jerk_alone() -> None:
    speed = 3.0 + 0.2 * np.arange(40)  # steady acceleration: no jerk, so the fit returns it as it is
    np.testing.assert_allclose(solved(velocity_factors(strict=True), 0.1 * speed), speed, atol=1e-9)
    assert np.abs(solved(velocity_factors(), 0.1 * speed) - speed).max() > 1e-3


def test_lateral_acceleration_is_speed_times_yaw_rate() -> None:
    road = scene(V1)
    faithful, strict = score_prepared(road, CURVE[None]), score_prepared(road, CURVE[None], strict=True)
    assert (faithful.evidence["simulated_states"][0, 1:, StateIndex.ACCELERATION_Y] == 0.0).all()
    states = strict.evidence["simulated_states"][0, 1:]
    expected = states[:, StateIndex.VELOCITY_X] * states[:, StateIndex.ANGULAR_VELOCITY]
    np.testing.assert_array_equal(states[:, StateIndex.ACCELERATION_Y], expected)
    assert np.abs(expected).max() > 1.0


@pytest.mark.parametrize("protocol", [V1, V2])
def test_a_turn_too_fast_is_felt_only_by_the_strict_variant(protocol: Protocol) -> None:
    fast = scene(protocol, speed=20.0)
    angle = 0.35 * 0.5 * np.arange(1, 9)  # 0.35 rad/s at 20 m/s: 7 m/s^2
    plan = np.stack([20.0 / 0.35 * np.sin(angle), 20.0 / 0.35 * (1 - np.cos(angle)), angle], axis=1)[None]
    lateral = 1
    assert score_prepared(fast, plan).evidence["comfort_flags"][0, lateral]
    assert not score_prepared(fast, plan, strict=True).evidence["comfort_flags"][0, lateral]


def test_the_past_reaches_up_to_now() -> None:
    times = 1_000_000_000 + 500_000 * np.arange(-3, 1)
    states = np.zeros((4, 11))
    states[:, 0] = np.arange(-15, 1, 5)
    np.testing.assert_allclose(history_states(times, states)[:, 0], np.arange(-15, -1))
    np.testing.assert_allclose(history_states(times, states, strict=True)[:, 0], np.arange(-15, 0))


def test_a_red_light_the_ego_stands_on_already_is_not_held_against_it() -> None:
    here, ahead = rectangle(2, -2, 12, 2), rectangle(30, -2, 40, 2)
    stopped = straight_plan(2.0)  # the human runs no light
    both = replace(scene(V2, red=[here, ahead]), human_trajectory=stopped)
    assert both.red_lights is not None
    kept = without_stood_on(both.red_lights, both.ego_state)
    assert kept.tokens == ("red1",)
    np.testing.assert_array_equal(kept.polygons.xy, ahead)
    assert kept.active.shape == (41, 1)
    only_here = scene(V2, red=[here])
    for strict, expected in ((False, 0.0), (True, 1.0)):
        scores = score_prepared(only_here, straight_plan()[None], strict=strict, human_filter=False)
        assert scores.evidence["unfiltered_traffic_light_compliance"] == [expected]
    through = score_prepared(both, straight_plan()[None], strict=True, human_filter=False)
    assert through.metrics["traffic_light_compliance"] == [0.0]


def test_both_variants_of_a_scene_are_kept_apart_and_batches_agree() -> None:
    path = IN_REPOSITORY / "v2" / "case065.npz"
    case = load(path)
    prepared = prepare_case(path, "v2.2")
    faithful = score_prepared(prepared, case["trajs"])
    strict = score_prepared(prepared, case["trajs"], strict=True)
    assert prepare(prepared) is not prepare(prepared, strict=True)
    assert prepare(prepared, strict=True) is prepare(prepared, strict=True)
    moved = np.abs(faithful.evidence["simulated_states"] - strict.evidence["simulated_states"])[..., :2].max()
    assert 0.01 < moved < 1.0
    np.testing.assert_array_equal(score_prepared(prepared, case["trajs"]).score, faithful.score)
    batch = score_batch([prepared, prepared], [case["trajs"], case["trajs"][:3]], strict=True)
    assert batch.scores[1] is not None
    np.testing.assert_array_equal(batch.scores[1].score, strict.score[:3])


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = IN_REPOSITORY / "v1" / "case006.npz"
    with pytest.raises(SystemExit) as ended:
        main(["score", str(path), "-o", str(tmp_path), "--strict"])
    assert ended.value.code == 0
    assert "(v1.1, strict)" in capsys.readouterr().out
    assert not np.array_equal(load(tmp_path / path.name)["out_sim_states"], load(path)["out_sim_states"])
