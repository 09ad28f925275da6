"""The page in headless Chromium: open, filter, sort, play, compare, link, export, hostile names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from viewer_server import serving
from watched_page import Watched, needs_chromium

from openpair.checksums import CHECKSUM
from openpair.cli.main import main
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import metric_names
from openpair.evaluation.plans_file import plans_path, read_plans, write_plans
from openpair.evaluation.records import ScoreRow, scores_csv
from openpair.viewer.book import Book
from openpair.viewer.charts import runs_of
from openpair.viewer.desk import SceneDesk

pytestmark = needs_chromium
EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def test_the_worst_scene_is_open_at_once_and_says_why(watched, served):
    page = watched.page
    page.goto(f"{served.url}#a=0.mine&b=0.human")
    page.wait_for_selector(".stage svg.bev")
    first = served.desk.book.tokens[0]
    assert watched.tokens()[0] == first == page.inner_text(".scene-head h2")
    assert "mine" in page.inner_text(".plan-heads") and "What was lost" in page.inner_text(".happened")
    said = page.inner_text(".difference")
    assert "mine scores 0.0 here, human" in said and "leaves the drivable area" in said
    assert "What decides is drivable area compliance" in said
    page.click(".difference button")
    assert watched.step() > 0.0
    page.click("button:has-text('greatest losses (1)')")
    watched.until(lambda: watched.tokens() == [first])
    assert "only=losses" in page.url
    assert page.inner_text(".scene-head h2") == first  # the greatest loss is open
    assert all(url.startswith(served.url) or url.startswith("data:") for url in watched.asked)


def test_filter_sort_and_search(watched, served):
    page, tokens = watched.page, served.desk.book.tokens
    page.goto(f"{served.url}#a=0.mine&b=0.human")
    page.wait_for_selector(".stage svg")
    page.select_option("select[aria-label='Which scenes']", "losses")
    watched.until(lambda: len(watched.tokens()) == 1)
    assert watched.tokens() == [tokens[0]] and "only=losses" in page.url
    page.select_option("select[aria-label='Which scenes']", "")
    page.fill("input[type=search]", tokens[2][:6])
    watched.until(lambda: len(watched.tokens()) == 1)
    assert watched.tokens() == [tokens[2]]
    page.fill("input[type=search]", "")
    watched.until(lambda: len(watched.tokens()) == 3)
    page.click(".t-head button:has-text('scene')")
    watched.until(lambda: watched.tokens()[0] == tokens[0])
    page.click(".t-head button:has-text('scene')")
    watched.until(lambda: watched.tokens()[0] == tokens[2])
    page.select_option("select[aria-label='Sub-metric that the agent lost']", "DAC")
    watched.until(lambda: len(watched.tokens()) < 3)


def test_a_scene_plays_and_steps(watched, served):
    page = watched.page
    page.goto(f"{served.url}#scene={served.desk.book.tokens[1]}&t=0.0&a=0.mine&b=0.human")
    page.wait_for_selector(".stage svg")
    place = "document.querySelector('[data-who=\"ego:0.mine\"]').getAttribute('transform')"
    start = page.evaluate(place)
    page.locator("body").press("ArrowRight")
    assert watched.step() == 0.1
    page.locator("body").press("Shift+ArrowRight")
    assert watched.step() == 0.6 and "t=0.6" in page.url
    page.locator("body").press("End")
    assert watched.step() == 4.0 and page.evaluate(place) != start
    page.locator("body").press("Home")
    assert watched.step() == 0.0 and page.evaluate(place) == start
    page.locator("body").press(" ")
    watched.until(lambda: watched.step() > 0.3)
    page.locator("body").press(" ")
    stopped = watched.step()
    page.wait_for_timeout(150)
    assert watched.step() == stopped < 4.0
    page.locator("body").press("c")
    page.wait_for_selector(".camera img")
    page.wait_for_selector("svg .lidar-layer", state="attached")


def test_a_link_shows_the_same_again(watched, browser, served):
    page, token = watched.page, served.desk.book.tokens[2]
    page.goto(served.url)
    page.wait_for_selector(".stage svg")
    page.click(f".t-row[data-token='{token}']")
    watched.until(lambda: page.inner_text(".scene-head h2") == token)
    page.uncheck(".plan-heads input[aria-label='Show human']")
    page.eval_on_selector(".rail input", "input => { input.value = 17; input.dispatchEvent(new Event('input')); }")
    other = Watched(browser)
    other.page.goto(page.url)
    other.page.wait_for_selector(".stage svg")
    assert other.page.inner_text(".scene-head h2") == token and other.step() == 1.7
    assert not other.page.is_checked(".plan-heads input[aria-label='Show human']")
    hidden = other.page.eval_on_selector("svg g.drive.human", "group => group.getAttribute('display')")
    assert hidden == "none" and other.complaints == []
    other.page.close()
    page.go_back()
    watched.until(lambda: page.inner_text(".scene-head h2") != token)


def test_selection_becomes_a_list_of_tokens(watched, served):
    page = watched.page
    page.goto(served.url)
    page.wait_for_selector(".stage svg")
    page.locator("body").press("x")
    assert page.inner_text("button:has-text('Save')") == "Save 1 tokens"
    with page.expect_download() as started:
        page.click("button:has-text('Save')")
    assert Path(started.value.path()).read_text().split() == [page.inner_text(".scene-head h2")]


def test_charts(watched, served):
    page = watched.page
    page.goto(f"{served.url}#tab=scores")
    page.wait_for_selector(".charts-view .uplot canvas")
    assert page.locator(".charts-view canvas").count() == 3
    assert page.locator(".means tbody tr").count() == 3
    page.click("#theme")
    page.wait_for_selector(".charts-view .uplot canvas")
    page.click("[data-tab=learning]")
    page.wait_for_selector("text=No training runs belong to these results")


def test_curves_and_calibration_of_several_runs(watched, tmp_path):
    bins = [
        {"low": k / 10, "high": (k + 1) / 10, "count": 5, "predicted": k / 10, "observed": k / 10} for k in range(10)
    ]
    head = {"calibration_error": 0.02, "auc": 0.9, "table": bins}
    report = {"regret": 0.1, "rank_correlation": 0.5, "score": head, "sub_scores": {"NC": {**head, "auc": 0.75}}}
    for seed in range(2):
        for branch in ("rl", "reward"):
            folder = tmp_path / f"run{seed}" / branch
            folder.mkdir(parents=True)
            points = [{"step": step, "loss": 1 / step, "val_best": 0.1 * step + seed} for step in (1, 2, 3)]
            (folder / "curve.jsonl").write_text("".join(f"{json.dumps(point)}\n" for point in points))
        (folder / "calibration.json").write_text(json.dumps(report))
    runs = [run for seed in range(2) for run in runs_of(tmp_path / f"run{seed}")]
    assert [name for name, _ in runs] == ["run0", "run1"]
    with serving(SceneDesk(Book([], lambda origin, protocol: pytest.fail("there is no scene")), runs)) as running:
        page = watched.page
        page.goto(f"{running.url}#tab=learning&figure=val_best&branch=rl")
        page.wait_for_selector(".charts-view .uplot canvas")
        assert page.inner_text(".charts-view h3 >> nth=0") == "val_best while learning"
        assert "run0, rl" in page.inner_text(".chart >> nth=0") and "run1, rl" in page.inner_text(".chart >> nth=0")
        assert "reward" not in page.inner_text(".chart >> nth=0")
        assert "10.0" in page.inner_text(".means") and "2.0 / 0.75" in page.inner_text(".means")
        page.select_option("select[aria-label='calibration of']", "NC")
        page.wait_for_selector("h3:has-text('NC: predicted against true')")
        assert "head=NC" in page.url
        page.select_option("select[aria-label='mean of']", "5")
        watched.until(lambda: "smooth=5" in page.url and page.locator(".chart canvas").count() == 3)
        page.click(".chart >> nth=0 >> summary")
        assert page.inner_text(".chart >> nth=0 >> details tbody tr >> nth=2").split() == ["3", "0.2", "1.2"]


def test_a_phone_shows_one_thing_at_a_time(browser, served):
    phone = Watched(browser, 390, 844)
    phone.page.goto(f"{served.url}#a=0.mine&b=0.human")
    phone.page.wait_for_selector(".t-row")
    assert not phone.page.is_visible(".detail")
    phone.page.click(".t-row")
    phone.page.wait_for_selector(".stage svg")
    assert not phone.page.is_visible(".list")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.page.click(".back")
    assert phone.page.is_visible(".list")
    assert phone.complaints == []
    phone.page.close()


def test_one_file_holds_chosen_scenes(watched, result, tmp_path, capsys):
    path = tmp_path / "worst.html"
    with pytest.raises(SystemExit) as ended:
        main(["view", str(result), "--agent", "mine", "--agent", "human", "--export", str(path)])
    assert ended.value.code == 0 and "worst.html" in capsys.readouterr().out
    watched.page.goto(path.as_uri())
    watched.page.wait_for_selector(".stage svg")
    assert "mine" in watched.page.inner_text(".plan-heads")
    assert watched.page.locator(".camera img").count() == 1
    watched.page.click("[data-tab=scores]")
    watched.page.wait_for_selector(".uplot canvas")
    assert all(url.startswith(("file:", "data:")) for url in watched.asked)


def test_hostile_names_stay_text(watched, copied, open_desk, tmp_path):
    rows = (copied / "scores.csv").read_text()
    first, second = open_desk(copied).book.tokens[:2]
    evil = '"' + EVIL.replace('"', '""') + '"'
    (copied / "scores.csv").write_text(rows.replace(",mine,", f",{evil},").replace(first, evil))
    summary = json.loads((copied / "summary.json").read_text())
    summary["agents"][EVIL] = summary["agents"].pop("mine")
    for guard in ("files_sha256", CHECKSUM):
        summary.pop(guard)
    (copied / "summary.json").write_text(json.dumps(summary))
    plans = read_plans(plans_path(copied, "mine"))
    write_plans(plans_path(copied, EVIL), list(plans.tokens), plans.poses)
    evil_folder = copied.rename(tmp_path / "<img src=x onerror=alert(3)>")
    with serving(open_desk(evil_folder)) as running:
        watched.page.goto(f"{running.url}#scene={second}")
        watched.page.wait_for_selector(".stage svg")
        assert EVIL in watched.page.inner_text(".plan-heads")
        assert watched.page.locator("img").count() == 0
        scripts = "[...document.scripts].map((one) => one.getAttribute('src')).join()"
        assert watched.page.evaluate(scripts) == "app.js"
        watched.page.click(".t-row:has-text('onerror')")
        watched.page.wait_for_selector("[role=alert]")
        assert watched.page.inner_text(".scene-head h2") == EVIL
    # The browser reports the answer 422 for a scene that the world does not have.
    watched.complaints = [text for text in watched.complaints if "422" not in text]


def test_twelve_thousand_scenes(watched, tmp_path, result, open_desk):
    folder = tmp_path / "large"
    folder.mkdir()
    names = metric_names(Protocol.V1_1)
    random = np.random.default_rng(0)
    rows = [
        ScoreRow("world", f"log-{i // 20}", f"{i:016x}", agent, "v1.1", dict.fromkeys(names, 1.0), float(score))
        for i in range(12_000)
        for agent, score in zip(("il", "pair"), random.random(2), strict=True)
    ]
    (folder / "scores.csv").write_text(scores_csv(rows, Protocol.V1_1))
    summary = json.loads((result / "summary.json").read_text())
    summary["agents"] = {name: {"kind": "checkpoint"} for name in ("il", "pair")}
    for guard in ("files_sha256", CHECKSUM):
        summary.pop(guard)
    (folder / "summary.json").write_text(json.dumps(summary))
    with serving(open_desk(folder)) as running:
        page = watched.page
        page.goto(running.url)
        page.wait_for_selector(".t-row")
        assert page.inner_text("[data-tab=scenes]") == "Scenes 12000"
        assert page.locator(".t-row").count() < 60
        page.eval_on_selector(".t-body", "body => { body.scrollTop = body.scrollHeight; }")
        places = "rows => rows.map((row) => Number(row.getAttribute('aria-rowindex')))"
        watched.until(lambda: 12_001 in page.eval_on_selector_all(".t-row", places))
        page.click(".t-head button:has-text('pair')")
        lowest = f"{int(np.argmin([row.score for row in rows if row.agent == 'pair'])):016x}"
        page.eval_on_selector(".t-body", "body => { body.scrollTop = 0; }")
        page.wait_for_selector(f".t-row[data-token='{lowest}']")
    watched.complaints = [text for text in watched.complaints if "422" not in text]
