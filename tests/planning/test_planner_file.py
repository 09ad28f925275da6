"""planner.json beside the networks: what it says holds for every mode it concerns; damage is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openpair.errors import OpenPairError
from openpair.planning.changes import PlannerChanges
from openpair.planning.config import ABOUT, MODES, PlannerConfig
from openpair.planning.planner_file import PLANNER_FILE, StoredPlanner

CHOSEN = StoredPlanner(
    "pair",
    PlannerChanges(strength=0.5, temperature=0.03, root_bonus=0.0, previous_plan_bonus=0.04),
    {"human_pair": PlannerChanges(temperature=0.02, root_bonus=0.1)},
)


def test_every_mode_has_its_line() -> None:
    assert set(ABOUT) == set(MODES)


def test_what_was_chosen_comes_back_and_concerns_the_modes_that_it_can(tmp_path: Path) -> None:
    stored = StoredPlanner.read(CHOSEN.write(tmp_path))
    assert stored == CHOSEN
    assert stored.config("pair") == PlannerConfig(strength=0.5, temperature=0.03, previous_plan_bonus=0.04)
    assert stored.config("il_rwm_wide").previous_plan_bonus == 0.04
    human = stored.config("human_pair")
    assert (human.root, human.temperature, human.root_bonus, human.previous_plan_bonus) == ("human", 0.02, 0.1, 0.04)
    assert stored.config("il") == MODES["il"]
    best = stored.config("pair_best_of_6")
    assert (best.strength, best.temperature, best.remembers) == (0.5, 0.0, False)


def test_no_memory_is_written_in_words_and_overrides_one(tmp_path: Path) -> None:
    forgetful = StoredPlanner(settings=PlannerChanges(previous_plan_bonus="none"))
    assert json.loads(forgetful.write(tmp_path).read_text())["settings"] == {"previous_plan_bonus": "none"}
    config = CHOSEN.config("pair").changed(PlannerChanges(previous_plan_bonus="none", search_rounds=1))
    assert not config.remembers and config.search is not None and config.search.rounds == 1
    assert config.changed(PlannerChanges(search_rounds=0)).search is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "settings cannot be read"),
        ("[]", "settings cannot be read"),
        ({"format": 1, "mode": "pair"}, "settings cannot be read"),
        ({"format": 9, "mode": "pair", "settings": {}, "modes": {}}, "have format 9"),
        ({"format": 1, "mode": "pear", "settings": {}, "modes": {}}, "Did you mean 'pair'"),
        ({"format": 1, "mode": "pair", "settings": {"temprature": 0.1}, "modes": {}}, "Did you mean 'temperature'"),
        ({"format": 1, "mode": "pair", "settings": {"temperature": "hot"}, "modes": {}}, "no value of 'temperature'"),
        ({"format": 1, "mode": "pair", "settings": {"strength": 2.0}, "modes": {}}, "strength is 2"),
        ({"format": 1, "mode": "pair", "settings": {}, "modes": {"pear": {}}}, "there is no mode"),
        ({"format": 1, "mode": "pair", "settings": {"candidates": "trees"}, "modes": {}}, "there is no 'trees'"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / PLANNER_FILE
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(OpenPairError, match=reason):
        StoredPlanner.read(path)


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong in ({"temperature": -1.0}, {"best_of": 6, "previous_plan_bonus": 0.0}, {"root": "robot"}):
        with pytest.raises(OpenPairError):
            PlannerConfig(**wrong)
