"""The results page of a small run: complete, honest about what is missing, and the same bytes every time."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from small_run import SCENES, SEEDS, SmallRun

from openpair.errors import OpenPairError
from openpair.evaluation.records import read_scores
from openpair.reproduction.choices import manner_name, root_name
from openpair.reproduction.page import write_results
from openpair.reproduction.provenance import read_record, record_seed
from openpair.reproduction.scoring import V1, scores_path, seed_folder
from openpair.reproduction.settings import TreeUse

VALIDATION = {
    "agents": {"transfuser.il": {"score": 61.5, "drift_m": 0.0}, "transfuser.pair": {"score": 70.0, "drift_m": 0.8}},
    "manners": {manner_name("transfuser.il_rwm_wide", 0.02, 0.04): {"score": 71.5}},
    "roots": {root_name(TreeUse(0.25), 0.1, 0.03): {"score": 93.5}},
    "ablation_tree": {"no tree, offsets": {"oracle": 90.0}, "tree": {"oracle": 95.0}},
}
CURVES = {
    "il": ({"trajectory_l1": 1.0}, {"val_distance_m": 2.0}),
    "rl": ({"leaf_score": 0.5}, {"val_best_of_tree": 0.9, "val_leaf_score": 0.7, "val_root_score": 0.75}),
    "reward": ({"sub_scores": 0.5}, {"val_best_score": 0.9, "val_chosen_score": 0.8, "val_root_score": 0.7}),
    "sequential": ({"kl": 0.1}, {"val_score": 0.6, "val_drift_m": 0.4, "val_distance_m": 2.2, "val_comfort": 0.9}),
    "ablations/no_tree/rl": ({}, {"val_best_of_tree": 0.85, "val_leaf_score": 0.6, "val_root_score": 0.75}),
    "diffusiondrive/il": ({}, {"val_distance_m": 2.1}),
}


def add_surroundings(run: Path) -> None:
    """What training and validation leave beside plans and scores."""
    (run / "choices.json").write_text(json.dumps({"il_rwm": "il_rwm_wide", "sequential": "sequential"}))
    for seed in SEEDS:
        folder = seed_folder(run, seed)
        record_seed(run, seed, command="openpair reproduce", configuration={"steps": 3}, data={"test": "abc"})
        (folder / "timing.json").write_text(json.dumps({"il": 600.0, "scores": 60.0}))
        (folder / "validation.json").write_text(json.dumps(VALIDATION))
        for branch, (training, validation) in CURVES.items():
            (folder / branch).mkdir(parents=True)
            lines = [{"step": step, **training} for step in (10, 20)]
            lines += [{"step": step, **{k: v + 0.01 * seed for k, v in validation.items()}} for step in (10, 20)]
            (folder / branch / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def whole_run(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small run with everything that the page can show."""
    run = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(small_run.folder, run, ignore=shutil.ignore_patterns("data"))
    add_surroundings(run)
    return run


def tables_of(text: str) -> list[list[list[str]]]:
    """Tables of a Markdown page, cell by cell; rules left out."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[row for row in rows if set("".join(row)) - set("-:")] for rows in found if rows]


def test_the_page_shows_what_was_measured(whole_run: Path, tmp_path: Path) -> None:
    written = write_results(whole_run, tmp_path, spec=SCENES, scenes_per_kind=1)
    text = written.page.read_text()
    main = next(rows for rows in tables_of(text) if rows[0][:2] == ["agent", "NC"])
    cells = {row[0]: row for row in main}
    scores = [
        row.score for s in SEEDS for row in read_scores(scores_path(whole_run, s, V1)) if row.agent == "transfuser.il"
    ]
    assert f"{100 * np.mean(np.array(scores, float)):.1f}" in cells["IL"][6]
    assert "IL + reward model, wide neighbours (fair control)" in cells and "human + PaIR" in cells
    assert not any("best of 6" in name for name in cells)
    heading = text.index("Best of 6 by the true score")
    assert "PaIR, best of 6 †" in text[heading:] and "PaIR, best of 6 †" not in text[:heading]
    assert all(
        title in text for title in ("## Targets", "### DiffusionDrive", "### Human bad v1", "without human filter")
    )
    assert (
        re.search(r"\d+ cores?, ", text) and "22 min for all seeds together" in text and "`openpair reproduce`" in text
    )


def test_targets_are_judged_and_missing_agents_named(whole_run: Path, tmp_path: Path) -> None:
    written = write_results(whole_run, tmp_path, scenes_per_kind=0)
    text = written.page.read_text()
    targets = next(rows for rows in tables_of(text) if rows[0][0] == "PaIR ...")
    verdicts = {row[0]: row[7] for row in targets[1:]}
    assert verdicts["over that scheme with the reward model"] == "not run"
    assert set(verdicts.values()) <= {"**met**", "**missed**", "not run"}
    rows = {row.agent: row for row in written.rows if row.table == "targets" and row.metric == "score"}
    assert verdicts["over imitation alone"] == ("**met**" if rows["pair - il"].mean >= 5.7 else "**missed**")
    missing = text[text.index("Not run: ") :]
    assert "transfuser.iterative" in missing and "transfuser.il," not in missing


def test_validation_figures_are_marked(whole_run: Path, tmp_path: Path) -> None:
    text = write_results(whole_run, tmp_path, scenes_per_kind=0).page.read_text()
    start = text.index("### Tree or no tree (validation towns)")
    assert "no tree, offsets | 90.0" in text[start:]


def test_what_was_chosen_among_is_shown_in_its_place(whole_run: Path, tmp_path: Path) -> None:
    tables = tables_of(write_results(whole_run, tmp_path, scenes_per_kind=0).page.read_text())
    manners = next(rows for rows in tables if rows[0][:2] == ["", "temperature"])
    (row,) = [row for row in manners if any("71.5" in cell for cell in row)]
    assert row[:2] == ["IL + reward model, wide neighbours", "2"]
    assert "71.5" in row[manners[0].index("bonus 4")]
    roots = next(rows for rows in tables if rows[0][:2] == ["use", "temperature"])
    (row,) = [row for row in roots if any("93.5" in cell for cell in row)]
    assert row[:2] == ["strength 0.25", "3"] and "93.5" in row[roots[0].index("bonus 10")]


def test_the_page_names_what_it_was_made_with(whole_run: Path, tmp_path: Path) -> None:
    text = write_results(whole_run, tmp_path, scenes_per_kind=0).page.read_text()
    facts = dict(row for rows in tables_of(text) for row in rows if len(row) == 2)
    for name in ("data, test", "code, at the beginning", "code, when this page was written", "code, scoring"):
        assert re.fullmatch(r"`[0-9a-f]+`", facts[name]), name
    scored = json.loads((seed_folder(whole_run, 0) / "scores" / "inputs.json").read_text())["v1.1"]
    assert scored["code"].startswith(facts["code, scoring"].strip("`"))


def test_figures_are_whole_and_every_picture_of_the_page_is_there(whole_run: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    stale = tmp_path / "images" / "results-scene-99.svg"
    stale.write_text("old")
    (tmp_path / "images" / "world.svg").write_text("another page's")
    written = write_results(whole_run, tmp_path, spec=SCENES, scenes_per_kind=1)
    named = set(re.findall(r"images/[\w.-]+\.svg", written.page.read_text()))
    assert {f"images/{path.name}" for path in written.images} == named
    assert {"results-comparison.svg", "results-learning.svg", "results-drift.svg", "results-ablations.svg"} <= {
        path.name for path in written.images
    }
    for path in written.images:
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert not stale.exists() and (tmp_path / "images" / "world.svg").exists()
    labels = (tmp_path / "images" / "results-drift.svg").read_text()
    assert "Drift: distance to the imitation policy" in labels and "IL → RL, sequential" in labels


def test_the_same_run_gives_the_same_bytes(whole_run: Path, tmp_path: Path) -> None:
    first = write_results(whole_run, tmp_path / "a", spec=SCENES, scenes_per_kind=1)
    second = write_results(whole_run, tmp_path / "b", spec=SCENES, scenes_per_kind=1)
    files = [(own.page, own.figures, *own.images) for own in (first, second)]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert str(whole_run) not in first.page.read_text()


def test_a_bare_run_has_a_page_too(small_run: SmallRun, tmp_path: Path) -> None:
    """Scores alone: no choices, no curves, no times."""
    text = write_results(small_run.folder, tmp_path, seeds=(0,), scenes_per_kind=0).page.read_text()
    assert "not recorded" in text and "transfuser.il_rwm" in text[text.index("Not run") :]
    assert "Nothing was chosen" in text


def test_records_are_of_the_moment_they_were_made(tmp_path: Path) -> None:
    assert read_record(tmp_path, 0) is None
    first = record_seed(tmp_path, 0, command="c", configuration={"a": 1}, data={"train": "x"})
    assert read_record(tmp_path, 0) == first
    again = record_seed(tmp_path, 1, command="c", configuration={"a": 2}, data={"train": "x"})
    assert again.configuration != first.configuration and again.code == first.code


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="nothing is scored"):
        write_results(tmp_path, tmp_path)


def test_a_training_of_unknown_length_is_refused(whole_run: Path, tmp_path: Path) -> None:
    """It would be missing in the table without a word."""
    with pytest.raises(OpenPairError, match="does not say how long it trained"):
        write_results(whole_run, tmp_path, scenes_per_kind=0, trainings=[whole_run])
