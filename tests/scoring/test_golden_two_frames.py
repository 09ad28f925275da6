"""Golden pairs of frames (extended comfort) and two-stage evaluations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scoring_golden import IN_REPOSITORY, POSITION_TOLERANCE, SCORE_TOLERANCE, SHARED, assert_close, golden_files, load

from openpair.scoring import prepare_case, score_prepared
from openpair.scoring.epdms import MULTIPLIERS, WEIGHTS, StageMapping, StageRow, two_stage_scores, with_extended_comfort
from openpair.scoring.extended_comfort import extended_comfort, two_frame_rms


@pytest.mark.parametrize("path", golden_files("v2_two_frame", "pair*.npz"))
def test_pair(path: Path) -> None:
    pair = load(path)
    scores = {}
    for frame in ("prev", "now"):
        prefix = f"in_{frame}_"
        case = {f"in_{name[len(prefix) :]}": values for name, values in pair.items() if name.startswith(prefix)}
        plans = pair[f"trajs_{frame}"][:16]
        scores[frame] = score_prepared(prepare_case(case, "v2.2"), plans)
        assert_close(frame, scores[frame].evidence["simulated_states"], pair[f"sim_{frame}"], POSITION_TOLERANCE)
    previous, now = pair["pairs"].T
    gap = float(pair["interval_s"])
    states = [scores["prev"].evidence["simulated_states"][previous], scores["now"].evidence["simulated_states"][now]]
    assert_close("rms", two_frame_rms(*states, gap), pair["out_rms"], 1e-8)
    comfort = extended_comfort(*states, gap)
    assert_close("EC", comfort, pair["out_two_frame_extended_comfort"], 0.0)
    assert_close("previous", scores["prev"].score[previous], pair["out_score_prev_no_ec"], SCORE_TOLERANCE)
    for row, plan in enumerate(now):
        entered = with_extended_comfort(scores["now"], np.full(16, comfort[row]))
        assert abs(entered.score[plan] - pair["out_score_now"][row]) <= SCORE_TOLERANCE


def two_stage_cases() -> list:
    folders = [IN_REPOSITORY, SHARED[0]]
    cases = []
    for folder in folders:
        file = folder / "v2_two_frame" / "two_stage_cases.json"
        if not file.is_file():
            reason = "golden two-stage cases are not beside the repository (../shared/golden/pdm)"
            cases.append(pytest.param(file, 0, id="shared-absent", marks=pytest.mark.skip(reason=reason)))
            continue
        count = len(json.loads(file.read_text()))
        where = "repo" if folder is IN_REPOSITORY else "shared"
        cases += [pytest.param(file, index, id=f"{where}-{index:02d}") for index in range(count)]
    return cases


@pytest.mark.parametrize(("file", "index"), two_stage_cases())
def test_two_stages(file: Path, index: int) -> None:
    case = json.loads(file.read_text())[index]
    states = load(file.parent / f"two_stage_states{index:02d}.npz")
    names = (*MULTIPLIERS, *(name for name in WEIGHTS if name != "two_frame_extended_comfort"))
    rows = [
        StageRow(
            token=row["token"],
            metrics={name: row[name] for name in names},
            simulated_states=states[row["token"]],
            start=np.array([row["start_point_x"], row["start_point_y"]]),
            endpoint=np.array([row["endpoint_x"], row["endpoint_y"]]),
            start_time_s=row["start_time"],
        )
        for row in case["rows"]
    ]
    mappings = [
        StageMapping(first[0], first[1], [tuple(pair) for pair in second]) for first, second in case["mappings"]
    ]
    result = two_stage_scores(rows, mappings)
    for token, expected in case["out"]["per_token"].items():
        assert result.token_comfort[token] == expected["two_frame_extended_comfort"]
        assert result.token_weights[token] == pytest.approx(expected["weight"], abs=1e-12)
        assert result.token_scores[token] == pytest.approx(expected["score"], abs=SCORE_TOLERANCE)
    for stage in ("combined", "stage_one", "stage_two"):
        assert getattr(result, stage) == pytest.approx(case["out"][stage], abs=SCORE_TOLERANCE)
