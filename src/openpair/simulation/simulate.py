"""Simulate plans: the public function and the buffers it fills."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from openpair.geometry.warp_runtime import start_warp
from openpair.simulation import kernels
from openpair.simulation.reference import NUM_STEPS
from openpair.simulation.tracker import NUM_MOVES, velocity_factors

Launch = Callable[..., Any]


@lru_cache(maxsize=8)
def velocity_factors_on(device: str, strict: bool = False) -> wp.array:
    """The constant factors (3, 40) of the velocity fit on a device ("cpu", "cuda:0")."""
    start_warp()
    return wp.array(velocity_factors(strict), dtype=wp.float64, device=device)


def simulate(reference: NDArray[np.float64], ego_state: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the vehicle does when it tracks N references from one measured state.

    Args:
        reference: (N, 41, 3) x [m], y [m], heading [rad] of the rear axle every 0.1 s, global frame.
        ego_state: (11,) measured state at t = 0 (:class:`~openpair.datatypes.columns.StateIndex`), global frame.

    Returns:
        (N, 41, 11) simulated states, global frame; state 0 is the measured one.
    """
    start_warp()
    count = len(reference)
    local = np.array(reference, dtype=np.float64)
    local[..., :2] -= ego_state[:2]
    states = np.empty((count, NUM_STEPS, len(ego_state)))
    device = "cpu"
    launch_simulation(
        reference=wp.array(local, dtype=wp.float64, device=device, copy=False),
        plan_scene=wp.zeros(count, dtype=wp.int32, device=device),
        ego_state=wp.array(np.asarray(ego_state, np.float64)[None], dtype=wp.float64, device=device),
        states=wp.array(states, dtype=wp.float64, device=device, copy=False),
        ego_box=wp.empty((count, NUM_STEPS), dtype=wp.vec4d, device=device),
        reach=wp.empty(count, dtype=wp.vec4d, device=device),
        profiles=wp.empty((5, count, NUM_MOVES), dtype=wp.float64, device=device),
        device=device,
    )
    return states


def launch_simulation(
    reference: wp.array,
    plan_scene: wp.array,
    ego_state: wp.array,
    states: wp.array,
    ego_box: wp.array,
    reach: wp.array,
    profiles: wp.array,
    device: str,
    strict: bool = False,
    launch: Launch | None = None,
) -> None:
    """Run the simulation kernel on Warp arrays (see :func:`kernels.simulate_plans` for their meaning).

    ``strict``: with the velocity fit as it was meant, and with lateral acceleration. ``launch``: runs a kernel
    (kernel, dim, inputs) on the device; default: as it is.
    """
    count = reference.shape[0]
    run = launch or partial(wp.launch, device=device)
    run(
        kernels.simulate_plans,
        dim=count,
        inputs=[
            reference,
            plan_scene,
            ego_state,
            velocity_factors_on(device, strict),
            profiles,
            states,
            ego_box,
            reach,
        ],
    )
    if strict:
        run(kernels.write_lateral_acceleration, dim=(count, NUM_STEPS), inputs=[states])
