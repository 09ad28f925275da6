"""Rows of results.json: whose figures they are, how they are paired, which scenes they are over."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.errors import OpenPairError
from openpair.evaluation.records import ScoreRow
from openpair.reproduction.choices import Choices
from openpair.reproduction.results import Evidence, ResultRow, find, not_run, result_rows, results_json, target_rows
from openpair.reproduction.scoring import UNFILTERED, V1, V2
from openpair.reproduction.seed_scores import seed_scores

SCENES = 12
LOGS = [f"log-{i // 2}" for i in range(SCENES)]
PLAIN = {"human.human": 0.9, "rules.constant_velocity": 0.4, "transfuser.il": 0.6, "transfuser.pair": 0.7}


def rows_of(scores: dict[str, float | list[float]], protocol: Protocol, **metrics: dict[str, float]) -> list[ScoreRow]:
    """One row per scene and agent; a list gives a score for each scene. Sub-metrics are 1 unless given by agent."""
    rows = []
    for scene in range(SCENES):
        for agent, given in scores.items():
            score = given[scene] if isinstance(given, list) else given
            place = ("toy", LOGS[scene], f"scene-{scene}", agent, protocol.value)
            if math.isnan(score):
                rows.append(ScoreRow(*place, error="broken"))
                continue
            own = {name: metrics.get(name, {}).get(agent, 1.0) for name in metric_names(protocol)}
            rows.append(ScoreRow(*place, metrics=own, score=score))
    return rows


def evidence(*seeds: dict[str, float | list[float]], choices: Choices | None = None, **metrics) -> Evidence:  # type: ignore[no-untyped-def]
    """The same scores under every protocol."""
    by_variant = {
        variant: seed_scores({k: rows_of(own, protocol, **metrics) for k, own in enumerate(seeds)})
        for variant, protocol in ((V1, Protocol.V1_1), (V2, Protocol.V2_2), (UNFILTERED, Protocol.V2_2))
    }
    return Evidence(by_variant, choices, {})


def only(rows: list[ResultRow], **wanted: object) -> ResultRow:
    (row,) = find(rows, **wanted)
    return row


def test_means_are_percent_points_over_seeds_and_scenes() -> None:
    rows = result_rows(evidence(PLAIN, {**PLAIN, "transfuser.pair": 0.9}))
    pair = only(rows, table="main", agent="pair", protocol=V1, metric="score")
    assert (pair.mean, pair.base, pair.seeds, pair.scenes) == (pytest.approx(80.0), "transfuser", 2, SCENES)
    assert pair.low == pytest.approx(70.0) and pair.high == pytest.approx(90.0)
    human = only(rows, table="main", agent="human", protocol=V1, metric="score")
    assert (human.base, human.seeds) == ("human", 1)
    assert only(rows, table="main", agent="constant_velocity", protocol=V2, metric="score").base == "rules"
    metrics = {row.metric for row in find(rows, table="main", agent="il", protocol=V2)}
    assert metrics == {"score", *metric_names(Protocol.V2_2)}


def test_the_fair_control_is_the_one_that_validation_chose() -> None:
    scores = {**PLAIN, "transfuser.il_rwm_mild": 0.75, "transfuser.il_rwm_wide": 0.65}
    chosen = result_rows(evidence(scores, choices=Choices(il_rwm="il_rwm_mild")))
    assert only(chosen, table="main", agent="il_rwm", protocol=V1, metric="score").mean == pytest.approx(75.0)
    difference = only(chosen, table="differences", agent="pair - il_rwm", protocol=V1, metric="score")
    assert difference.mean == pytest.approx(-5.0)
    undecided = evidence(scores)
    assert not find(result_rows(undecided), agent="il_rwm") and "transfuser.il_rwm" in not_run(undecided)


def test_differences_are_paired_per_seed_and_scene() -> None:
    """Seeds and scenes differ by tens of points, the two agents by 2 points everywhere."""
    seeds = [np.linspace(start, start + 0.4, SCENES) for start in (0.1, 0.3, 0.5)]
    own = [{**PLAIN, "transfuser.il": list(s), "transfuser.pair": list(s + 0.02)} for s in seeds]
    rows = result_rows(evidence(*own))
    row = only(rows, table="differences", agent="pair - il", protocol=V1, metric="score")
    assert (row.mean, row.low, row.high) == pytest.approx((2.0, 2.0, 2.0))
    assert row.seeds == 3


def test_only_seeds_that_both_have_are_paired() -> None:
    first = {**PLAIN, "transfuser.iterative": 0.65}
    rows = result_rows(evidence(first, {**PLAIN, "transfuser.pair": 0.9}))
    row = only(rows, table="differences", agent="pair - iterative", protocol=V1, metric="score")
    assert row.mean == pytest.approx(5.0) and row.seeds == 1


def test_scenes_in_which_the_human_drives_badly_stand_apart() -> None:
    human = [0.5] * 4 + [0.95] * 8
    pair = [0.7] * 4 + [0.94] * 8
    rows = result_rows(evidence({**PLAIN, "human.human": human, "human.human_pair": pair}))
    bad = only(rows, table="human_bad_v1", agent="human_pair - human", metric="score")
    assert bad.mean == pytest.approx(20.0) and bad.scenes == 4 and bad.base == "human"
    good = only(rows, table="human_good", agent="human_pair - human", protocol=V1, metric="score")
    assert good.mean == pytest.approx(-1.0) and good.scenes == 8
    assert only(rows, table="human_bad_v2", agent="human", metric="score").mean == pytest.approx(50.0)
    assert not find(rows, table="human_bad_v1", protocol=V2)


def test_failed_scenes_are_in_no_mean() -> None:
    scores = {**PLAIN, "transfuser.il": [math.nan] + [0.6] * (SCENES - 1)}
    found = evidence(scores)
    rows = result_rows(found)
    il = only(rows, table="main", agent="il", protocol=V1, metric="score")
    assert il.mean == pytest.approx(60.0) and il.scenes == SCENES - 1
    assert only(rows, table="differences", agent="pair - il", protocol=V1, metric="score").scenes == SCENES - 1
    assert [(seed, row.token) for seed, row in found.scores[V1].failures] == [(0, "scene-0")]


def test_other_policies_are_plug_ins_and_unknown_agents_are_not_lost() -> None:
    scores = {**PLAIN, "diffusiondrive.il": 0.6, "diffusiondrive.pair": 0.64, "transfuser.pair_wild": 0.5}
    rows = result_rows(evidence(scores))
    plug_in = only(rows, table="plug_in", agent="pair - il", protocol=V1, metric="score")
    assert plug_in.mean == pytest.approx(4.0) and plug_in.base == "diffusiondrive"
    assert only(rows, table="further", agent="pair_wild", protocol=V1, metric="score").mean == pytest.approx(50.0)


def test_targets_are_judged_by_their_own_rule() -> None:
    scores = {
        **PLAIN,
        "transfuser.pair": 0.66,
        "transfuser.sequential": 0.6,
        "transfuser.iterative": 0.65,
        "transfuser.il_rwm_wide": [0.64] * 6 + [0.67] * 6,
        "transfuser.sequential_rwm": 0.66,
    }
    comfort = {"transfuser.pair": 0.97, "transfuser.il": 0.99}
    found = evidence(scores, choices=Choices(sequential="iterative"), comfort=comfort)
    verdicts = {(row.agent, row.metric): (row.mean, row.is_met) for row in target_rows(found)}
    assert verdicts["pair - il", "score"] == (pytest.approx(6.0), True)  # at least 5.7
    assert verdicts["pair - best_sequential", "score"] == (pytest.approx(1.0), False)  # at least 1.8
    assert verdicts["pair - sequential_rwm", "score"] == (pytest.approx(0.0), False)  # above 0
    assert verdicts["pair - il_rwm", "score"] == (pytest.approx(0.5), False)  # the whole interval above 0
    assert verdicts["pair - il", "comfort"] == (pytest.approx(-2.0), False)  # at least -1
    surely = evidence({**scores, "transfuser.il_rwm_wide": 0.655}, choices=Choices())
    assert {(r.agent, r.is_met) for r in target_rows(surely) if r.agent == "pair - il_rwm"} == {("pair - il_rwm", True)}


def test_validation_figures_are_means_over_seeds() -> None:
    tables = {"agents": {"transfuser.il": {"score": 50.0}}, "ablation_tree": {"no tree, offsets": {"oracle": 90.0}}}
    other = {"agents": {"transfuser.il": {"score": 60.0}}}
    found = evidence(PLAIN)
    rows = result_rows(Evidence(found.scores, None, {0: tables, 1: other}))
    il = only(rows, table="validation_agents")
    assert (il.agent, il.base, il.mean, il.seeds, il.scenes) == ("il", "transfuser", 55.0, 2, None)
    assert only(rows, table="ablation_tree").agent == "no tree, offsets"


def test_the_file_holds_plain_rows() -> None:
    rows = result_rows(evidence(PLAIN, choices=Choices()))
    plain = json.loads(results_json(rows, "known"))
    assert {row.pop("input") for row in plain} == {"known"}
    keys = {"table", "agent", "base", "protocol", "metric", "mean", "low", "high", "seeds", "scenes"}
    for row in plain:
        extra = {"bar", "good", "met"} if row["table"] == "targets" else set()
        assert set(row) - {"only"} == keys | extra
        assert all(row[name] is None or math.isfinite(row[name]) for name in ("mean", "low", "high"))
    main = [row for row in plain if row["table"] == "main" and row["metric"] == "score" and row["protocol"] == "v1.1"]
    assert [row["agent"] for row in main] == ["constant_velocity", "human", "il", "pair"]


def test_seeds_of_different_scenes_are_refused() -> None:
    rows = rows_of(PLAIN, Protocol.V1_1)
    with pytest.raises(OpenPairError, match="different scenes"):
        seed_scores({0: rows, 1: rows[:-4]})
