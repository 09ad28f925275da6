"""``openpair explain``: what is said agrees with the score; what is drawn opens anywhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scoring"))
sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))

from metric_cache_writer import CacheWriter
from scoring_golden import IN_REPOSITORY, load
from straight_road import agent, rectangle, scene, straight_plan

from openpair.cli.main import main
from openpair.datatypes.columns import AgentCategory, Protocol
from openpair.scoring import prepare_case, score_prepared
from openpair.scoring.comfort_values import comfort_values
from openpair.visualization.drawing import draw_scene, movements, svg_file
from openpair.visualization.explanation import Explanation, combine, explain
from openpair.visualization.explanation_page import explanation_page, explanation_text, view_of

V1, V2 = Protocol.V1_1, Protocol.V2_2
CASES = [
    (IN_REPOSITORY / folder / f"{name}.npz", protocol)
    for folder, protocol in (("v1", V1), ("v2", V2))
    for name in sorted(path.stem for path in (IN_REPOSITORY / folder).glob("*.npz"))
]
EVIDENCE = {
    "no_at_fault_collisions": "collision_time_idx",
    "time_to_collision_within_bound": "ttc_time_idx",
}


def reason(explanation: Explanation, name: str) -> str:
    return next(finding.text for finding in explanation.findings if finding.name == name)


@pytest.mark.parametrize(("path", "protocol"), CASES, ids=[f"{p.parent.name}-{p.stem}" for p, _ in CASES])
def test_what_is_said_agrees_with_the_score(path: Path, protocol: Protocol) -> None:
    case = load(path)
    prepared = prepare_case(path, protocol)
    scores = score_prepared(prepared, case["trajs"])
    for index, plan in enumerate(case["trajs"]):
        explanation = explain(prepared, plan, f"plan {index}")
        values = {finding.name: finding.value for finding in explanation.findings}
        assert combine(values, protocol) == pytest.approx(explanation.score, abs=1e-12)
        assert explanation.score == scores.score[index]
        for finding in explanation.findings:
            np.testing.assert_equal(finding.value, float(scores.metrics[finding.name][index]))
            time = scores.evidence[EVIDENCE[finding.name]][index] if finding.name in EVIDENCE else np.inf
            if np.isfinite(time):
                assert finding.step == time
                assert finding.text.startswith(f"at {0.1 * time:.1f} s")
            if finding.name not in ("ego_progress", "two_frame_extended_comfort"):
                assert (finding.step is None) == (finding.own == 1.0), finding
        flags = [signal.stays_within for _, signal in sorted(comfort_values(prepared, explanation.states).items())]
        assert flags == scores.evidence["comfort_flags"][index].tolist()
        assert float(explanation.arithmetic()[-1].removeprefix("= ")) == pytest.approx(explanation.score, abs=6e-5)


def test_a_car_ahead() -> None:
    parked = scene(V1, [agent("parked", AgentCategory.VEHICLE, 30.0), agent("far", AgentCategory.VEHICLE, 90.0)])
    explanation = explain(parked, straight_plan())
    # Fronts meet where 10 t + 4.049 = 28.
    assert reason(explanation, "no_at_fault_collisions") == (
        "at 2.4 s the ego at 10.0 m/s hits vehicle parked, which stood when first seen"
    )
    ahead = reason(explanation, "time_to_collision_within_bound")
    assert ahead == "at 1.5 s the ego goes 10.0 m/s; straight on, 0.9 s later it would be in vehicle parked"
    assert explanation.first is not None
    assert explanation.first.name == "no_at_fault_collisions"
    assert explanation.headline() == "NC is 0 and multiplies the rest: nothing remains."
    text = explanation_text(explanation)
    assert text.startswith("straight, plan: PDMS 0 (NAVSIM v1.1)")
    assert "> NC   0" in text


@pytest.mark.parametrize(
    ("category", "velocity", "y", "said"),
    [
        (AgentCategory.TRAFFIC_CONE, (0.0, 0.0), 0.0, "hits traffic cone it, which stands; half remains"),
        (AgentCategory.VEHICLE, (2.0, 0.0), 0.0, "the ego's front hits vehicle it, first seen at 2.0 m/s"),
    ],
)
def test_kinds_of_collision(category: AgentCategory, velocity: tuple[float, float], y: float, said: str) -> None:
    explanation = explain(scene(V1, [agent("it", category, 25.0, y, velocity)]), straight_plan())
    assert said in reason(explanation, "no_at_fault_collisions")


def test_off_the_road_and_in_oncoming_lanes() -> None:
    explanation = explain(scene(V1), straight_plan(offset=-4.0))
    assert re.match(r"at \d\.\d s the front right corner leaves", reason(explanation, "drivable_area_compliance"))
    against = explain(scene(V2), straight_plan(offset=5.0))
    found = next(f for f in against.findings if f.name == "driving_direction_compliance")
    assert found.value < 1.0
    assert found.span is not None
    assert found.step is not None
    assert found.span[0] <= found.step <= found.span[1]


def test_a_red_light_is_named() -> None:
    red = scene(V2, red=[rectangle(20, -2, 30, 2)], human=straight_plan(2.0))
    explanation = explain(red, straight_plan())
    assert "enters connector red0, whose light is red" in reason(explanation, "traffic_light_compliance")
    assert 'class="red-area"' in draw_scene(view_of(explanation))
    forgiven = explain(scene(V2, red=[rectangle(20, -2, 30, 2)]), straight_plan())
    assert "forgiven, because the human's own is 0 here" in reason(forgiven, "traffic_light_compliance")
    assert forgiven.score > forgiven.score_unfiltered == 0.0
    assert "without the human filter: 0" in explanation_text(forgiven)
    assert explain(scene(V2, red=[rectangle(20, -2, 30, 2)]), straight_plan(), human_filter=False).score == 0.0


def test_nothing_to_complain_of() -> None:
    explanation = explain(scene(V1), straight_plan())
    assert explanation.first is None
    assert explanation.headline() == "Nothing is lost: every sub-metric that counts is 1."
    assert "offence" not in draw_scene(view_of(explanation))


def test_drawings_stand_alone() -> None:
    path, protocol = CASES[-1]
    explanation = explain(prepare_case(path, protocol), load(path)["trajs"][0], "<b>&")
    svg = ElementTree.fromstring(svg_file(draw_scene(view_of(explanation))))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    page = explanation_page(explanation)
    assert "<b>&" not in page
    addresses = page.replace("http://www.w3.org/2000/svg", "")  # a name space, nothing that is fetched
    assert not re.search(r"(src|href)=|https?://|url\(", addresses)
    moving = movements(view_of(explanation))
    assert all(len(places) == 41 for places in moving.values())
    assert set(re.findall(r'data-who="([\w:]+)"', draw_scene(view_of(explanation)))) == set(moving)


def call(*arguments: object) -> int:
    """Exit status of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(["explain", *(str(argument) for argument in arguments)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_command_explains_a_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = CASES[-1]
    monkeypatch.chdir(tmp_path)
    assert call(path, "--plan", 1) == 0
    assert f"{path.stem}, plan 1: EPDMS" in capsys.readouterr().out
    assert (tmp_path / f"explanation-{path.stem}-plan-1.html").read_text().startswith("<!doctype html>")
    assert call(path, "-o", "made/here.svg") == 0
    assert (tmp_path / "made" / "here.svg").read_text().startswith("<svg ")


def test_command_explains_a_scene_of_the_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from openpair.datasets.registry import open_dataset

    token = open_dataset("world", None, split="test").keys()[0].token
    assert call(token, "--agent", "constant_velocity", "-o", tmp_path / "a.html") == 0
    assert f"{token}, constant_velocity: PDMS" in capsys.readouterr().out


def test_command_explains_a_metric_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, name, said in (
        ("v1", "pdm_closed", "scene, pdm_closed: PDMS"),
        ("v2", "human", "scene, human: EPDMS"),
        ("v1", "human", "does not say what 'human' would drive"),
    ):
        case = load(next(path for path, _ in CASES if path.parent.name == folder))
        cache = CacheWriter(case).write(tmp_path / folder / "scene" / "metric_cache.pkl")
        status = call(cache, "--agent", name, "-o", tmp_path / "a.html")
        assert status == (2 if "does not" in said else 0)
        captured = capsys.readouterr()
        assert said in captured.out + captured.err


def test_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = CASES[-1]
    for arguments, said in (
        ((path, "--plan", 99), "the case has no plan 99. Choose --plan 0 to"),
        ((path, "--protocol", "v1.1"), "was cut for protocol v2.2"),
        ((tmp_path / "absent.npz",), "there is no such case file"),
        ((path, "-o", tmp_path / "a.png"), "neither .html nor .svg"),
        (("nowhere",), "the dataset world has no such scene"),
        (("nowhere", "--agent", "humen"), "Did you mean 'human'"),
    ):
        assert call(*arguments) == 2
        assert said in capsys.readouterr().err
