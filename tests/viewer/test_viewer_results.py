"""Opening results: every kind, and clear sentences for those that cannot be opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from openpair.checksums import CHECKSUM
from openpair.datasets.happenings import HAPPENINGS
from openpair.errors import OpenPairError
from openpair.evaluation.plans_file import plans_path
from openpair.viewer.book import Book
from openpair.viewer.results import open_results


def missing_dataset(origin, protocol):
    raise OpenPairError("the dataset is not there", where="/nowhere", fix="Say where it is: --root")


def forget_hashes(folder: Path) -> None:
    """The summary no longer knows its files, so that they may be changed."""
    summary = json.loads((folder / "summary.json").read_text())
    summary.pop("files_sha256")
    summary.pop(CHECKSUM)
    (folder / "summary.json").write_text(json.dumps(summary))


def test_an_evaluation_opens_with_scores_and_plans(result, open_desk):
    (opened,) = open_results(result)
    assert [column.agent for column in opened.columns] == ["human", "constant_velocity", "mine"]
    assert len(opened.tokens) == 3 and opened.origin.dataset == "world" and opened.note == ""
    desk = open_desk(result)
    data = desk.scene(opened.tokens[0], ["0.human", "0.mine"])
    assert [plan["label"] for plan in data["plans"]] == ["human", "mine"] and data["missing"] == []
    for plan, column in zip(data["plans"], (opened.columns[0], opened.columns[2]), strict=True):
        assert plan["score"] == column.scores[0] == plan["explained"]  # what is drawn is what was scored


def test_two_results_stand_side_by_side_and_scenes_of_both_are_one(result, copied, open_desk):
    book = open_desk(result, copied).book
    assert len(book.tokens) == 3 and len(book.columns) == 6
    assert book.columns[5].label == "mine (copy)" and book.columns[5].key == "1.mine"
    assert book.dataset(book.results[0]) is book.dataset(book.results[1])


def test_the_file_of_a_comparison_opens_both(result, copied, tmp_path):
    path = tmp_path / "compared.json"
    path.write_text(json.dumps({"a": {"folder": str(result)}, "b": {"folder": "copy"}}))
    assert [r.name for r in open_results(path)] == ["toy", "copy"]
    shutil.rmtree(copied)
    with pytest.raises(OpenPairError, match="that was compared is not there"):
        open_results(path)


def test_without_plans_the_table_works_and_the_scene_says_so(copied, open_desk):
    plans_path(copied, "mine").unlink()
    desk = open_desk(copied)
    assert "no plans were kept of mine" in desk.table()["results"][0]["note"]
    token = desk.book.tokens[0]
    data = desk.scene(token, ["0.human", "0.mine"])
    assert [plan["label"] for plan in data["plans"]] == ["human"]
    assert data["missing"] == [("mine", "the result holds its scores alone: evaluate again to keep the plans")]
    assert [column["plans"] for column in desk.table()["columns"]] == [True, True, False]


def test_without_the_dataset_the_table_works_and_scenes_say_what_is_missing(result):
    book = Book(open_results(result), missing_dataset)
    assert len(book.table()["token"]) == 3
    with pytest.raises(OpenPairError, match=r"is not there\. Say where it is"):
        book.scene(book.tokens[0], ["0.human"])


def test_failed_scenes_have_their_reason(copied, open_desk):
    path = copied / "scores.csv"
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    lines[3] = ",".join([*cells[:5], *[""] * (len(cells) - 6), "the engine stalled"])
    path.write_text("\n".join(lines) + "\n")
    forget_hashes(copied)
    desk = open_desk(copied)
    assert desk.table()["columns"][2]["errors"] == {0: "the engine stalled"}
    assert desk.scene(desk.book.tokens[0], ["0.mine"])["missing"] == [("mine", "the engine stalled")]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "is not finished"),
        (lambda folder: (folder / "summary.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "summary.json").write_text('{"protocol": "v0", "variant": {}, "dataset": "world",'
                                                             ' "scenes": {}}'), "another version"),
        (lambda folder: (folder / "scores.csv").write_text("a,b\n"), "scores.csv"),
        (lambda folder: (folder / "scores.csv").write_text((folder / "scores.csv").read_text()[:900]),
         r"scores\.csv: .*cannot be read"),
        (lambda folder: [path.unlink() for path in folder.glob("*.*")], "no folder of results"),
        (shutil.rmtree, "no such result"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_one_sentence(copied, damage, said):
    damage(copied)
    with pytest.raises(OpenPairError, match=said):
        open_results(copied)


def test_a_damaged_file_of_plans_is_said_in_the_scene(copied, open_desk):
    plans_path(copied, "mine").write_bytes(b"no plans")
    desk = open_desk(copied)
    with pytest.raises(OpenPairError, match=r"mine\.npz: .*file of plans"):
        desk.scene(desk.book.tokens[0], ["0.mine"])


def test_tables_of_navsim_open_with_plans_beside_them(result, tmp_path, open_desk):
    (own,) = open_results(result)
    names = list(own.columns[2].metrics)
    head = ["", "token", "valid", *names, "score"]
    rows = [
        [i, token, True, *(own.columns[2].metrics[name][i] for name in names), own.columns[2].scores[i]]
        for i, token in enumerate(own.tokens)
    ]
    lines = [head, *rows, [3, "average", True, *[0.5] * len(names), 0.5]]
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "mine.csv").write_text("\n".join(",".join(map(str, line)) for line in lines) + "\n")
    shutil.copy(plans_path(result, "mine"), folder / "mine.npz")
    (opened,) = open_results(folder)
    assert opened.tokens == own.tokens and opened.origin.dataset == "navsim"
    np.testing.assert_array_equal(opened.columns[0].scores, own.columns[2].scores)
    assert opened.columns[0].read_plans is not None
    (folder / "mine.csv").write_text("token,score\n1,2\n")
    with pytest.raises(OpenPairError, match="no table of NAVSIM"):
        open_results(folder)


def test_the_scan_finds_what_happens_and_remembers_it(result, open_desk, tmp_path, monkeypatch):
    from openpair.viewer import scan as module

    book = open_desk(result).book
    scan = module.SceneScan(book, tmp_path)
    scan.run()
    first = scan.state()
    assert first["done"] and first["problem"] == "" and all(mask is not None for mask in first["masks"])
    words = [[name for bit, name in enumerate(HAPPENINGS) if mask & (1 << bit)] for mask in first["masks"]]
    assert all({"turning left", "turning right", "straight on", "standing"} & set(found) for found in words)
    monkeypatch.setattr(module, "happenings_mask", lambda scene: pytest.fail("looked again"))
    again = module.SceneScan(book, tmp_path)
    again.run()
    assert again.state()["masks"] == first["masks"]
    lost = module.SceneScan(Book(open_results(result), missing_dataset), tmp_path)
    lost.run()
    assert "is not there" in lost.state()["problem"]


def test_a_page_script_is_whole_and_has_no_module_words_left():
    from openpair.viewer.page import served_script

    script = served_script()
    assert "\nimport " not in script and "\nexport " not in script
    declared = [
        line.split()[1].split("(")[0] for line in script.splitlines() if line.startswith(("function ", "class "))
    ]
    assert len(declared) == len(set(declared))


def test_assets_are_small():
    from openpair.viewer import page
    from openpair.visualization import assets

    files = [path for folder in (page.PAGE, assets.PAGE) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 400_000
    assert (Path(page.VENDOR) / "uPlot.LICENSE").is_file()
