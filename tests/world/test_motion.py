"""Car-like motion: the tractrix against its closed forms, no sideslip, timing kept."""

from __future__ import annotations

import numpy as np
import pytest

from openpair.worldgen.motion import PATH_STEP_M, STEP_S, Body, drag, follow, path_through, smooth_track

EGO = Body(4.049, 1.127, 2.5)


def test_straight_drive_is_untouched() -> None:
    speed = np.full(100, 8.0)
    xy = np.column_stack([np.arange(100) * 0.8, np.zeros(100)])
    path, arc = smooth_track(xy, speed)
    motion = follow(path, arc, EGO)
    inner = slice(15, -15)
    assert np.allclose(motion.speed[inner], 8.0, atol=1e-9)
    assert np.allclose(motion.pose[inner, 1:], 0.0, atol=1e-12)
    assert np.allclose(motion.pose[inner, 0], xy[inner, 0] - EGO.front, atol=1e-6)


@pytest.mark.parametrize("radius", [8.0, 15.0, 40.0])
def test_circle_settles_where_geometry_says(radius: float) -> None:
    angle = np.arange(0, 2.5 * np.pi, 0.1 / radius)
    path, _ = path_through(radius * np.column_stack([np.sin(angle), 1 - np.cos(angle)]))
    heading = drag(path, EGO)
    rear = path.xy - EGO.lead * np.column_stack([np.cos(heading), np.sin(heading)])
    settled = np.hypot(rear[-1, 0], rear[-1, 1] - radius)
    assert settled == pytest.approx(np.sqrt(radius**2 - EGO.lead**2), abs=0.02)


def test_rear_axle_does_not_slip_sideways() -> None:
    t = np.arange(0, 20, STEP_S)
    xy = np.column_stack([6 * t, 3 * np.sin(0.5 * t)])
    speed = np.hypot(*np.gradient(xy, STEP_S, axis=0).T)
    motion = follow(*smooth_track(xy, speed), EGO)
    velocity = np.gradient(motion.pose[:, :2], STEP_S, axis=0)
    heading = motion.pose[:, 2]
    sideways = velocity[:, 1] * np.cos(heading) - velocity[:, 0] * np.sin(heading)
    assert np.abs(sideways[10:-10]).max() < 0.02


def test_standing_still_is_standing_still() -> None:
    moving = np.arange(60) * 0.5
    xy = np.column_stack([np.concatenate([moving, np.full(60, moving[-1])]), np.zeros(120)])
    motion = follow(*smooth_track(xy, np.concatenate([np.full(60, 5.0), np.zeros(60)])), EGO)
    assert np.abs(motion.speed[80:]).max() < 1e-9
    assert np.abs(motion.yaw_rate[80:]).max() < 1e-9


def test_shifted_path_keeps_its_distance() -> None:
    angle = np.linspace(0, np.pi, 400)
    path, _ = path_through(20 * np.column_stack([np.sin(angle), 1 - np.cos(angle)]))
    moved = path.shifted(np.full(len(path.xy), 1.0))
    assert np.allclose(np.hypot(moved.xy[:, 0], moved.xy[:, 1] - 20)[5:-5], 19.0, atol=0.02)
    assert np.allclose(np.hypot(*np.diff(moved.xy, axis=0).T), PATH_STEP_M, atol=1e-3)
