"""The whole path, logs and maps in, scores out, against the original evaluator's tables: 105 scenes, six agents."""

import numpy as np
import pytest

from openpair.datatypes.columns import Protocol
from openpair.preparation.prepare import prepare_scene
from openpair.scoring import score_prepared

AGENTS = ("human", "constant_velocity", "table0", "table1", "table2", "table3")
ORDER_DEPENDENT = {"8cee95964dc6b01a", "7f52322d61844ce4"}
"""Scenes whose original result depends on what the same process prepared before them."""


def differences(whole_path, prepared, version):
    """(token, agent, column, theirs, ours) wherever a value differs by more than 1e-9; and how many were compared."""
    plans = whole_path.plans()
    tables = {agent: whole_path.table(version, agent) for agent in AGENTS}
    found, compared = [], 0
    for token, scene in prepared.items():
        stacked = np.stack([plans[token][agent] for agent in AGENTS])
        scores = score_prepared(scene, stacked, human_filter=version != "v2.2_nofilter")
        for row, agent in enumerate(AGENTS):
            theirs = tables[agent][token]
            ours = {name: values[row] for name, values in scores.metrics.items()}
            extended = theirs.get("two_frame_extended_comfort", np.nan)
            ours["score"] = scores.score[row] if np.isnan(extended) else with_extended_comfort(ours, extended)
            for name, value in ours.items():
                if name == "two_frame_extended_comfort":  # needs two scenes; scored elsewhere
                    continue
                compared += 1
                if not abs(value - theirs[name]) <= 1e-9:
                    found.append((token, agent, name, theirs[name], value))
    return found, compared


def with_extended_comfort(metrics, extended):
    """EPDMS from its sub-metrics."""
    product = (
        metrics["no_at_fault_collisions"]
        * metrics["drivable_area_compliance"]
        * metrics["driving_direction_compliance"]
        * metrics["traffic_light_compliance"]
    )
    fives = metrics["ego_progress"] + metrics["time_to_collision_within_bound"]
    return product * (5 * fives + 2 * (metrics["lane_keeping"] + metrics["history_comfort"] + extended)) / 16


@pytest.mark.parametrize("version", ["v1.1", "v2.2", "v2.2_nofilter"])
def test_every_sub_metric_of_every_scene_equals_the_originals(whole_path, version):
    protocol = Protocol(version.removesuffix("_nofilter"))
    found, compared = differences(whole_path, whole_path.prepared(protocol), version)
    assert found == []
    assert compared == 105 * 6 * (7 if protocol is Protocol.V1_1 else 9)


def test_scenes_that_stand_for_themselves_differ_only_where_the_original_depends_on_order(whole_path):
    fresh = {token: prepare_scene(scene, Protocol.V2_2) for token, scene in whole_path.scenes.items()}
    found, _ = differences(whole_path, fresh, "v2.2")
    assert {token for token, *_ in found} == ORDER_DEPENDENT
    assert max(abs(theirs - ours) for _, _, _, theirs, ours in found) < 0.04
