"""PDM-Closed: fifteen proposals, simulated and scored against a forecast; the best one is the plan.

Dauner et al.: Parting with misconceptions about learning-based vehicle motion planning (2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import BoxIndex, Protocol, StateIndex
from openpair.datatypes.ego import EgoState
from openpair.datatypes.scoring_scene import DrivableMap, RedLights, ScoringScene, Tracks
from openpair.preparation.forecast import RED_LIGHT_PREFIX, Forecast
from openpair.preparation.observation import FUTURE_FRAMES, SAMPLES_PER_FRAME
from openpair.preparation.polygons import empty_polygons, flatten_polygons
from openpair.preparation.proposals import ProposalRollout
from openpair.scoring.score import score_proposals


def drive_pdm_closed(
    ego: EgoState,
    *,
    token: str,
    centerline: NDArray[np.float64],
    speed_limit: float,
    forecast: Forecast,
    drivable_map: DrivableMap,
    protocol: Protocol,
) -> NDArray[np.float64]:
    """(51, 3) poses of the rear axle at 0, 0.1 .. 5 s, global frame.

    Args:
        ego: measured state.
        token: scene token, for messages.
        centerline: (M, 3) global frame.
        speed_limit: of the starting lane [m/s].
        forecast: the other road users and the red lights.
        drivable_map: of the scene.
        protocol: whose scorer chooses.
    """
    rollout = ProposalRollout(centerline, ego.pose, float(ego.velocity[0]), speed_limit, forecast)
    believed = ScoringScene(
        token=token,
        protocol=protocol,
        time_us=ego.timestamp_us,
        ego_state=ego.state_vector(),
        drivable_map=drivable_map,
        centerline=centerline,
        tracks=forecast_tracks(forecast, SAMPLES_PER_FRAME * FUTURE_FRAMES[protocol] + 1),
        reference_time_us=np.zeros(0, np.int64),
        reference_states=np.zeros((0, len(StateIndex))),
        red_lights=forecast_red_lights(forecast) if protocol is Protocol.V2_2 else None,
    )
    chosen = int(np.argmax(score_proposals(believed, rollout.proposal_poses()).score))
    return rollout.trajectory_poses(chosen)


def forecast_tracks(forecast: Forecast, num_samples: int) -> Tracks:
    """The forecast's objects as tracks at 10 Hz, without those that overlap the ego now."""
    kept = np.flatnonzero(~forecast.exempt[: forecast.num_objects])
    count = len(kept)
    box = np.repeat(forecast.box[None, kept], num_samples, axis=0)
    for step in range(num_samples):
        box[step, :, : BoxIndex.Y + 1] += forecast.displacement(step)[kept]
    return Tracks(
        tokens=tuple(forecast.tokens[i] for i in kept),
        category=forecast.category[kept],
        frame_offset=count * np.arange(num_samples + 1),
        track=np.tile(np.arange(count), num_samples),
        box=box.reshape(-1, len(BoxIndex)),
        velocity=np.tile(forecast.velocity[kept], (num_samples, 1)),
    )


def forecast_red_lights(forecast: Forecast) -> RedLights:
    """The lights that are red now, held."""
    tokens = tuple(token.removeprefix(RED_LIGHT_PREFIX) for token in forecast.tokens[forecast.num_objects :])
    polygons = flatten_polygons(forecast.red_polygons) if tokens else empty_polygons()
    return RedLights(tokens, polygons, np.ones((41, len(tokens)), bool))
