"""Drives in the page: they open, play from beginning to end, and say what happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from viewer_server import Served, serving
from watched_page import Watched, needs_chromium

from openpair.checksums import CHECKSUM
from openpair.cli.main import main
from openpair.cli.view import View
from openpair.errors import OpenPairError

EVIL = '"><img src=x onerror=alert(1)>'


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture(scope="session")
def served_drives(drives: Path) -> Iterator[Served]:
    with serving(View((drives,))._desk()) as running:
        yield running


def test_a_log_is_drawn_with_all_its_drives(drives: Path) -> None:
    desk = View((drives,))._desk()
    table = desk.table()
    assert table["kind"] == "drives" and len(table["token"]) == 1
    human, steady = table["columns"]
    assert human["agent"] == "human" and human["scores"][0] > steady["scores"][0]
    scene = desk.scene(table["token"][0], [human["key"], steady["key"]])
    assert scene["last"] == 180 and len(scene["casts"]) == 1  # replayed traffic is the same for both
    assert [plan["tone"] for plan in scene["plans"]] == [None, 0]
    ego = scene["plans"][0]["ego"]
    assert len(ego) == 181 and abs(ego[0][2]) < 0.1 and ego[-1][1] < -20  # heading up, and it drives up
    for first, places in scene["casts"][0]["moves"].values():
        assert first >= 0 and first + len(places) <= 181 // 2 + 1
    filed = json.loads(next((drives / "drives").glob("*constant*")).read_text())
    events = scene["plans"][1]["events"]
    assert [event["step"] for event in events] == [event["step"] for event in filed["events"]] and events
    assert "which is not its fault" in events[0]["text"] and events[0]["kind"] == "aside"
    said = " ".join(scene["plans"][1]["arithmetic"])
    assert f"driving score {steady['scores'][0]:.3f}" in said


@needs_chromium
def test_drives_play_from_beginning_to_end(watched: Watched, browser, served_drives: Served) -> None:
    page = watched.page
    page.goto(f"{served_drives.url}#a=0.human&b=0.constant_velocity")
    page.wait_for_selector(".stage svg.bev g.world")
    world = "document.querySelector('g.world').getAttribute('transform')"
    start = page.evaluate(world)
    page.select_option("select.speed", "4")
    page.locator("body").press(" ")
    watched.until(lambda: watched.step() > 1.0)
    page.locator("body").press("End")
    assert watched.step() == 18.0 and page.evaluate(world) != start
    assert page.get_attribute("button.play", "aria-label") == "Play"
    # a mark on the time line leads to its moment, which is said in words
    tick = page.locator(".tick").first
    at = int(tick.get_attribute("data-at"))
    tick.click()
    assert watched.step() == at / 10 and "constant_velocity" in page.inner_text(".moment")
    page.click("button.sensors")
    page.wait_for_selector(".camera img[src^='data:image/jpeg']")
    page.select_option("select[aria-label='Follow']", "0.constant_velocity")
    assert "follow=0.constant_velocity" in page.url and page.evaluate(world) != start
    other = Watched(browser)
    other.page.goto(page.url)
    other.page.wait_for_selector(".stage svg g.world")
    assert other.step() == at / 10 and other.page.evaluate(world) == page.evaluate(world)
    assert other.complaints == []
    other.page.close()
    assert all(url.startswith((served_drives.url, "data:")) for url in watched.asked)


@needs_chromium
def test_a_file_of_drives_and_hostile_names(watched: Watched, drives: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drives, tmp_path / "evil"))
    rows = (folder / "drives.csv").read_text()
    (folder / "drives.csv").write_text(rows.replace("constant_velocity", '"' + EVIL.replace('"', '""') + '"'))
    path = next((folder / "drives").glob("*constant_velocity*"))
    data = json.loads(path.read_text())
    data["row"]["agent"] = EVIL
    data["events"][0]["kind"] = EVIL
    data.pop(CHECKSUM)
    name = path.name.replace("constant_velocity", "".join(c if c.isalnum() else "_" for c in EVIL))
    path.rename(path.with_name(name)).write_text(json.dumps(data))
    page = tmp_path / "drives.html"
    assert run("view", folder, "--export", page) == 0
    watched.page.goto(page.as_uri())
    watched.page.wait_for_selector(".stage svg g.world")
    assert EVIL in watched.page.inner_text(".plan-heads") and EVIL in watched.page.inner_text(".happened")
    assert watched.page.locator("img").count() == 0
    assert all(url.startswith(("file:", "data:")) for url in watched.asked)


def test_what_cannot_be_opened_is_one_sentence(drives: Path, result: Path, tmp_path: Path) -> None:
    def said(folders: tuple[Path, ...], sentence: str, **options: object) -> None:
        with pytest.raises(OpenPairError, match=sentence):
            desk = View(folders, **options)._desk()  # type: ignore[arg-type]
            desk.scene(desk.book.tokens[0], [desk.book.columns[0].key])

    copy = Path(shutil.copytree(drives, tmp_path / "copy"))
    said((drives, result), "Look at drives with a command of their own")
    said((copy,), "is not there. Say where it is", root=tmp_path / "gone")
    damaged = next((copy / "drives").glob("*human*"))
    damaged.write_text(damaged.read_text()[:200])
    said((copy,), "the file of a drive cannot be read")
    damaged.unlink()
    said((copy,), "the file of a drive cannot be read")
    (copy / "summary.json").write_text("{")
    said((copy,), "the summary cannot be read")
    (copy / "drives.csv").unlink()
    said((copy,), "the drives are not finished")
