"""The animation of a drive shows what is on its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_road import Other, Standing, recording, standing_at_first

from openpair.datasets.base import Dataset
from openpair.driving.judge import judge
from openpair.driving.loop import drive
from openpair.driving.reactive import ReactiveRailTraffic
from openpair.driving.records import drive_file, drive_row
from openpair.errors import OpenPairError
from openpair.visualization.drive_video import AGENT_COLOUR, pictures, write_video
from openpair.visualization.filed_drive import FiledDrive


class Blind:
    name, ray_cast = "small", False


def filed(red: bool) -> FiledDrive:
    log = recording((Other("car", 8.0, speed=10.0),), human=standing_at_first, red=red, frames=16)
    driven = drive(log, Standing(), ReactiveRailTraffic(log))
    judgement = judge(driven)
    text = drive_file(driven, drive_row(driven, judgement, []), judgement, [], "x")
    dataset: Dataset = Blind()  # type: ignore[assignment]
    return FiledDrive(json.loads(text), log, dataset)


def pixels(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows of the pixels of a colour."""
    return np.flatnonzero((picture[:270] == colour).all(axis=2).any(axis=1))


def test_cars_drive_through_the_picture_and_the_file_is_an_animation(tmp_path: Path) -> None:
    from openpair.datatypes.columns import AgentCategory

    item = filed(red=True)
    frames = list(pictures(item))
    assert len(frames) == 31  # 6 s, five a second
    grey = AGENT_COLOUR[AgentCategory.VEHICLE]
    first, later = pixels(frames[0], grey), pixels(frames[5], grey)
    assert first.min() - later.min() > 30  # it drives on, up the picture, while the ego stands
    write_video(tmp_path / "drive.webp", item)
    with Image.open(tmp_path / "drive.webp") as picture:
        assert picture.size == (300, 294) and getattr(picture, "n_frames", 1) > 3


def test_a_drive_in_which_nothing_was_driven_cannot_be_shown(tmp_path: Path) -> None:
    item = filed(red=False)
    empty = FiledDrive({**item.data, "ego": item.data["ego"][:1]}, item.recording, item.dataset)
    with pytest.raises(OpenPairError, match="nothing was driven"):
        write_video(tmp_path / "drive.webp", empty)
    assert not list(tmp_path.iterdir())
