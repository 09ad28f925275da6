"""Red lights run: the front bumper passes from a lane into a connector that shows red."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from openpair.datatypes.road_map import RoadMap


def red_lights_run(
    road_map: RoadMap,
    front_lanes: Sequence[frozenset[str]],
    red: Sequence[frozenset[str]],
    route_blocks: Collection[str],
) -> list[tuple[int, str]]:
    """(index, connector id) of each red light run, in order of time.

    Several connectors begin where a lane ends. The ego takes the one on its route; where none of them is, it runs a
    red light only if all of them show red.

    Args:
        front_lanes: lanes and connectors under the middle of the front bumper at each 0.1 s.
        red: connectors that show red at each 0.1 s.
        route_blocks: ids of the route's roadblocks and connectors.
    """
    lanes = road_map.lanes
    found = []
    came_from: frozenset[str] = frozenset()
    for index, under in enumerate(front_lanes):
        connectors = sorted(lane_id for lane_id in under if lanes[lane_id].is_connector)
        entered = [lane_id for lane_id in connectors if came_from.intersection(lanes[lane_id].incoming)]
        if entered:
            taken = [lane_id for lane_id in entered if lanes[lane_id].roadblock_id in route_blocks] or entered
            if all(lane_id in red[index] for lane_id in taken):
                found.append((index, taken[0]))
        if connectors:
            came_from = frozenset() if entered else came_from
        elif under:
            came_from = under
    return found
