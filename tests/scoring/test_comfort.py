"""Comfort filters against scipy, their shortcut, and extended comfort by hand."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp
from scipy.signal import savgol_filter

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.geometry.warp_runtime import MODULE_OPTIONS, start_warp
from openpair.scoring.comfort import DESIGNS
from openpair.scoring.devices import filters_on
from openpair.scoring.epdms import epdms, start_weights
from openpair.scoring.extended_comfort import extended_comfort, predecessors, two_frame_rms
from openpair.scoring.filters import FilterArrays, FilterDesign, apply_filter, stays_within, surely_within
from openpair.scoring.history import history_states

wp.set_module_options(MODULE_OPTIONS)


@wp.kernel
def filter_kernel(
    filters: FilterArrays,
    which: int,
    signal: wp.array2d(dtype=wp.float64),
    output: wp.array2d(dtype=wp.float64),
    bound: wp.float64,
    verdict: wp.array2d(dtype=wp.bool),
):
    n = wp.tid()
    length = signal.shape[1]
    verdict[n, 0] = surely_within(filters, which, signal[n], length, -bound, bound)
    verdict[n, 1] = stays_within(filters, which, signal[n], length, output[n], -bound, bound)
    apply_filter(filters, which, signal[n], length, output[n])


CASES = [
    pytest.param(protocol, index, length, id=f"{protocol.value}-{design.window}-{design.derivative}-{length}")
    for protocol, lengths in ((Protocol.V1_1, (41,)), (Protocol.V2_2, (41, 55, 56)))
    for index, design in enumerate(DESIGNS[protocol])
    for length in lengths
]


@pytest.mark.parametrize(("protocol", "index", "length"), CASES)
def test_filters_are_scipys(protocol: Protocol, index: int, length: int) -> None:
    start_warp()
    rng = np.random.default_rng(index)
    design: FilterDesign = DESIGNS[protocol][index]
    amplitude = 10 ** rng.uniform(-2, 0.5, (200, 1))
    signal = amplitude * rng.normal(0.0, 1.0, (200, length)) + rng.normal(0.0, 1.0, (200, 1))
    output, verdict = np.zeros_like(signal), np.zeros((200, 2), bool)
    expected = np.round(
        savgol_filter(signal, design.window, design.polynomial, deriv=design.derivative, delta=0.1, axis=-1), 8
    )
    bound = float(np.median(np.abs(expected).max(axis=1)))
    wp.launch(
        filter_kernel,
        dim=200,
        inputs=[
            filters_on(protocol, "cpu"),
            index,
            wp.array(signal, dtype=wp.float64, device="cpu"),
            wp.array(output, dtype=wp.float64, device="cpu", copy=False),
            bound,
            wp.array(verdict, dtype=wp.bool, device="cpu", copy=False),
        ],
        device="cpu",
    )
    np.testing.assert_allclose(output, expected, atol=1.1e-8)  # 8 decimals: one unit where a tie is rounded
    within = (np.abs(expected) < bound).all(axis=1)
    np.testing.assert_array_equal(verdict[:, 1], within)
    assert not (verdict[:, 0] & ~within).any()  # the shortcut never promises too much
    assert 0 < within.sum() < 200


def test_bounds_are_strict() -> None:
    start_warp()
    signal, output, verdict = np.full((1, 41), 2.0), np.zeros((1, 41)), np.zeros((1, 2), bool)
    inputs = [wp.array(x, dtype=wp.float64, device="cpu", copy=False) for x in (signal, output)]
    flags = wp.array(verdict, dtype=wp.bool, device="cpu", copy=False)
    wp.launch(filter_kernel, dim=1, inputs=[filters_on(Protocol.V1_1, "cpu"), 0, *inputs, 2.0, flags], device="cpu")
    assert verdict.tolist() == [[False, False]]


def steady(speed: float = 10.0) -> np.ndarray:
    states = np.zeros((41, 11))
    states[:, 0] = speed * 0.1 * np.arange(41)
    states[:, 3] = speed
    return states


def test_extended_comfort_by_hand() -> None:
    previous, now = steady(), steady()
    assert extended_comfort(previous, now, 0.5) == 1.0
    now[:, 5] = 0.69  # |acceleration| differs by 0.69 throughout: just allowed
    assert two_frame_rms(previous, now, 0.5) == pytest.approx([0.69, 0.0, 0.0, 0.0], abs=1e-7)
    assert extended_comfort(previous, now, 0.5) == 1.0
    now[:, 5] = 0.71
    assert extended_comfort(previous, now, 0.5) == 0.0
    now[:, 5] = 0.0
    now[:, 2] = 0.11 * 0.1 * np.arange(41)  # yaw rate differs by 0.11 rad/s
    assert two_frame_rms(previous, now, 0.5) == pytest.approx([0.0, 0.0, 0.11, 0.0], abs=1e-6)
    assert extended_comfort(previous, now, 0.5) == 0.0


def test_extended_comfort_compares_the_same_instants() -> None:
    rng = np.random.default_rng(0)
    long = np.zeros((46, 11))
    long[:, 5] = rng.normal(0.0, 3.0, 46)
    previous, now = long[:41], long[5:]
    assert extended_comfort(previous, now, 0.5) == 1.0
    assert extended_comfort(previous, now, 0.3) == 0.0


@pytest.mark.parametrize("gap", [0.0, -0.5, 0.56, 2.0])
def test_distant_frames_are_refused(gap: float) -> None:
    with pytest.raises(OpenPairError, match="not neighbours"):
        extended_comfort(steady(), steady(), gap)


def test_predecessors_are_the_neighbours_in_time() -> None:
    logs = ["b", "a", "a", "b", "a"]
    times = np.array([500_000, 1_000_000, 500_000, 1_100_000, 1_549_000])
    assert predecessors(logs, times).tolist() == [-1, 2, -1, -1, 1]


def test_unknown_extended_comfort_drops_out_of_the_mean() -> None:
    metrics = dict.fromkeys(
        (
            "no_at_fault_collisions",
            "drivable_area_compliance",
            "driving_direction_compliance",
            "traffic_light_compliance",
            "time_to_collision_within_bound",
            "lane_keeping",
            "history_comfort",
        ),
        np.ones(3),
    )
    metrics["ego_progress"] = np.full(3, 0.5)
    metrics["two_frame_extended_comfort"] = np.array([np.nan, 0.0, 1.0])
    assert epdms(metrics) == pytest.approx([11.5 / 14, 11.5 / 16, 13.5 / 16])


def test_start_weights() -> None:
    starts = np.array([[0.0, 0.0], [0.3, 0.4]])
    near, far = 1.0, np.exp(-0.25 / 0.2)
    assert start_weights(np.zeros(2), starts) == pytest.approx(np.array([near, far]) / (near + far))
    assert start_weights(np.array([100.0, 0.0]), starts) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("jitter", "samples"), [(0, 14), (-1, 14), (1, 15)])
def test_history_loses_its_last_sample(jitter: int, samples: int) -> None:
    times = np.array([0, 500_000, 1_000_000, 1_500_000 + jitter])
    states = np.zeros((4, 11))
    states[:, 0] = times * 1e-6
    states[:, 2] = [3.1, -3.1, -3.0, -2.9]
    past = history_states(times, states)
    assert past.shape == (samples, 11)
    np.testing.assert_allclose(past[:, 0], 0.1 * np.arange(samples), atol=1e-9)
    assert np.abs(past[:5, 2]).min() > 3.09
