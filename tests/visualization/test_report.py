"""The report: one file, nothing from outside, everything in it, readable in a browser."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from pictures import toy_item, toy_report, toy_summary

from openpair.evaluation.statistics import Estimate
from openpair.visualization.camera_strip import STRIP_HEIGHT_PX, camera_strip
from openpair.visualization.charts import interval_bar, line_chart, nice_ticks, tick_text
from openpair.visualization.report import render_report, write_report
from openpair.visualization.report_data import Comparison, CurvePanel, Series, difference, verdict

VOID = {"meta", "br", "img", "input", "hr", "link"}
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(toy_report())


class Tags(HTMLParser):
    """Checks that tags close in order; collects ids, links and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if "id" in named:
            self.ids.add(named["id"])
        if "href" in named:
            self.links.append(named["href"])
        if "src" in named:
            self.sources.append(named["src"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append(data)


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def test_nothing_is_fetched_from_anywhere(page):
    addresses = page.replace("http://www.w3.org/2000/svg", "").replace("// ", "")  # a name space is not fetched
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", addresses, re.IGNORECASE)
    assert "@import" not in page and "<link" not in page
    assert "default-src 'none'" in unescape(page)  # the browser holds the page to it
    tags = parsed(page)
    assert not tags.sources and page.count("data:image/jpeg;base64,") == 3
    assert tags.links and all(link.startswith("#") and link[1:] in tags.ids for link in tags.links)


def test_the_page_is_well_formed_and_holds_every_part(page):
    text = " ".join(" ".join(parsed(page).text).split())
    for part in (
        "A toy report",
        "The toy agent drives 90 PDMS.",
        "PaIR",
        "Is it faster than the human?",
        "+10.0 [+10.0, +10.0] higher",
        "Imitation branch",
        "Scene 2",
        "openpair demo",
        "What this does not show",
        "PDMS = NC × DAC × (5 EP + 5 TTC + 2 C) / 12",
    ):
        assert part in text, part
    assert page.count('<article class="gallery"') == 3


def test_rows_that_use_the_truth_stand_apart_and_the_methods_row_is_marked(page):
    before, after = page.split('<tbody class="truth">')
    assert "best †" not in before and "best †" in after.split("</tbody>")[0]
    assert "upper bounds, not agents" in after
    assert re.findall(r'<tr class="(\w+ method)">', page) == ["learned method"]


def test_failures_cannot_be_overlooked():
    page = render_report(toy_report(evaluation=toy_summary(broken=("log-b-002",))))
    assert "1 of 12 scenes failed" in page
    assert "<code>log-b-002</code>" in page and "frames of this scene are not complete" in page
    assert "1 of 12 scenes failed" not in render_report(toy_report())


def test_text_from_outside_stays_text():
    evil = "<script>alert(1)</script>"
    item = replace(toy_item(), title=evil, note=evil, tags=(evil,))
    page = render_report(toy_report(title=evil, labels={"pair": evil}, scenes=(item,), made=((evil, evil),)))
    assert evil not in page and page.count("<script>") == 1
    chart = line_chart(CurvePanel(evil, evil, evil, (Series(evil, [0, 1], [0, 1]),)))
    assert "<script" not in chart


def test_the_parts_that_are_not_given_are_not_there():
    page = render_report(toy_report(scenes=(), branches=(), comparisons=(), limits=()))
    for part in ('id="learning"', 'id="scenes"', "What the differences say", "What this does not show"):
        assert part not in page
    parsed(page)


def test_a_full_gallery_stays_below_five_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    noisy = {name: rng.integers(0, 255, (270, 480, 3), dtype=np.uint8) for name in ("cam_l0", "cam_f0", "cam_r0")}
    items = tuple(replace(toy_item(i), sensors=replace(toy_item().sensors, images=noisy)) for i in range(24))
    size = write_report(toy_report(scenes=items), tmp_path / "deep" / "report.html")
    assert size == (tmp_path / "deep" / "report.html").stat().st_size < 5_000_000
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_an_unknown_agent_in_a_comparison_is_an_error():
    with pytest.raises(KeyError, match="were not compared"):
        render_report(toy_report(comparisons=(Comparison("pair", "nobody", "?"),)))


def test_differences_turn_their_sign_and_verdicts_follow_the_interval():
    summary = toy_summary()
    forward, back = difference(summary, "pair", "human"), difference(summary, "human", "pair")
    assert (back.mean, back.low, back.high) == (-forward.mean, -forward.high, -forward.low)
    assert verdict(Estimate(0.1, 0.01, 0.2, 9, 3)) == "higher"
    assert verdict(Estimate(-0.1, -0.2, -0.01, 9, 3)) == "lower"
    assert verdict(Estimate(0.1, -0.1, 0.2, 9, 3)) == "no clear difference"
    assert verdict(Estimate(0.1, np.nan, np.nan, 9, 1)) == "not tested"


def test_the_cameras_stand_side_by_side():
    strip = camera_strip(toy_item().sensors, height=45)
    assert strip.shape == (45, 80 * 3 + 6, 3)
    assert (strip[:, :80] == 0).all() and (strip[:, -80:] == 80).all()
    assert camera_strip(toy_item().sensors).shape[0] == STRIP_HEIGHT_PX
    assert camera_strip(replace(toy_item().sensors, images={})) is None


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (43, 91, [40, 50, 60, 70, 80, 90, 100]),
        (5, 5, [4.4, 4.6, 4.8, 5, 5.2, 5.4, 5.6]),
    ],
)
def test_ticks_are_round_and_cover_the_data(low, high, ticks):
    assert nice_ticks(low, high)[0] <= low and nice_ticks(low, high)[-1] >= high
    if low != high:
        assert nice_ticks(low, high) == pytest.approx(ticks)


def test_ticks_are_written_short():
    assert tick_text(0.25, [0.25, 0.5]) == "0.25" and tick_text(2000, [0, 2000]) == "2k" and tick_text(5, [0, 5]) == "5"
    assert tick_text(87.5, [85.0, 87.5]) == "87.5" and tick_text(25, [0, 25]) == "25"


def test_a_chart_draws_gaps_bands_and_its_data():
    series = Series("a", [0, 1, 2, 3], [0.0, 0.5, float("nan"), 1.0], low=[0, 0.4, 0.5, 0.9], high=[0.1, 0.6, 0.7, 1.0])
    chart = line_chart(CurvePanel("t", "x", "y", (series,), percent=True))
    data = json.loads(re.search(r'data-chart="([^"]*)"', chart).group(1).replace("&quot;", '"'))
    assert data["series"][0]["y"] == [0.0, 50.0, 100.0] and data["series"][0]["x"] == [0, 1, 3]
    assert 'class="band c0"' in chart and "nan" not in chart
    assert "nan" not in line_chart(CurvePanel("t", "x", "y", ()))


def test_an_interval_without_ends_is_a_dot_alone():
    assert 'class="span"' not in interval_bar(Estimate(0.5, np.nan, np.nan, 2, 1), 0, 1)
    drawing = interval_bar(Estimate(0.5, 0.25, 1.0, 2, 2), 0, 1)
    assert 'd="M58 11H214"' in drawing and 'cx="110"' in drawing


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_opens_it_and_its_script_runs(tmp_path, page):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += ["--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([BROWSER, *flags, file.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr  # neither an error of the script nor a refused address
    assert done.stdout.count('class="plan-heads"') == 3  # the script drew every scene
    assert "hits vehicle parked, which stood when first seen" in done.stdout
