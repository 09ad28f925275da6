"""Small calls keep memory and launches for the next one: the same bits as fresh ones, and nobody's results change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scoring_golden import IN_REPOSITORY, load

from openpair.datatypes.scores import PlanScores
from openpair.scoring import kept_calls, prepare_case, run, score_prepared

CASES = {"v1.1": ("v1/case006", "v1/case065"), "v2.2": ("v2/case015", "v2/case065")}


def bits(scores: PlanScores) -> dict[str, bytes]:
    arrays: dict[str, Any] = {"score": scores.score, **scores.metrics, **scores.evidence}
    return {name: values.tobytes() for name, values in arrays.items()}


@pytest.mark.parametrize("protocol", CASES)
def test_kept_calls_give_the_same_bits_in_any_order(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [load(IN_REPOSITORY / f"{name}.npz") for name in CASES[protocol]]
    scenes = [prepare_case(case, protocol) for case in cases]
    asked = [
        (scene, case["trajs"][first : first + count], human_filter)
        for count, human_filter in ((1, True), (16, True), (16, False))
        for first in (0, 3)
        for scene, case in zip(scenes, cases, strict=True)
    ]
    with monkeypatch.context() as fresh:
        fresh.setattr(run, "MAX_PLANS", 0)
        expected = [bits(score_prepared(scene, plans, human_filter=keep)) for scene, plans, keep in asked]
    order = np.random.default_rng(0).permutation(3 * len(asked)) % len(asked)
    found = [score_prepared(scene, plans, human_filter=keep) for scene, plans, keep in (asked[i] for i in order)]
    for index, scores in zip(order, found, strict=True):  # compared after all calls: none may write into another's
        assert bits(scores) == expected[index]
    with ThreadPoolExecutor(4) as pool:
        for index, scores in zip(order, pool.map(lambda i: score_prepared(*asked[i][:2]), order), strict=True):
            if asked[index][2]:
                assert bits(scores) == expected[index]


def test_a_thread_keeps_few_shapes() -> None:
    case = load(IN_REPOSITORY / "v1/case006.npz")
    scene = prepare_case(case, "v1.1")
    for count in range(1, kept_calls.MAX_CALLS + 4):
        score_prepared(scene, case["trajs"][:count])
    assert len(kept_calls._CALLS.by_shape) == kept_calls.MAX_CALLS
