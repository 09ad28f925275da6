"""Drives that are looked at together: any log in detail, with the drives of some agents in one drawing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from openpair.datasets.base import Dataset
from openpair.driving.recording import Recording, read_recording
from openpair.driving.records import read_drive_file
from openpair.errors import OpenPairError
from openpair.viewer.columns import DataOrigin, Result
from openpair.viewer.drive_results import drive_path
from openpair.viewer.result_table import Column, ResultTable
from openpair.visualization.camera_strip import jpeg_data_uri
from openpair.visualization.drive_account import SCORE_NAME, account
from openpair.visualization.drive_drawing import ShownDrive, draw_drives
from openpair.visualization.filed_drive import FiledDrive
from openpair.visualization.scene_view import NUM_TONES

RECORDINGS_KEPT = 8
CAMERA_SIZE = (640, 360)


class DriveBook(ResultTable):
    """Folders of drives that are looked at together; a row is a log.

    Args:
        results: of :func:`openpair.viewer.drive_results.open_drives`.
        open_dataset: opens where they were driven; may raise OpenPairError, which every log then says.
    """

    kind = "drives"
    thing = "log"

    def __init__(self, results: Sequence[Result], open_dataset: Callable[[DataOrigin], Dataset]) -> None:
        super().__init__(results)
        self._dataset: Callable[[int], Dataset] = lru_cache(len(results))(
            lambda number: open_dataset(self.results[number].origin)
        )
        self._recording: Callable[[int, str], Recording] = lru_cache(RECORDINGS_KEPT)(
            lambda number, log: read_recording(self._dataset(number), log)
        )
        self._lock = threading.RLock()

    def can_draw(self, column: Column) -> bool:
        """Every drive is on file."""
        return True

    def drive(self, column: Column, log: str) -> FiledDrive:
        """One drive. Raises OpenPairError where its file, its dataset or its log cannot be read."""
        number = self.results.index(column.result)
        data = read_drive_file(drive_path(column.result.folder, log, column.column.agent))
        return FiledDrive(data, self._recording(number, log), self._dataset(number))

    def drives(self, token: str, keys: Sequence[str]) -> tuple[list[tuple[Column, FiledDrive]], list[tuple[str, str]]]:
        """The drives of some agents in a log, and (label, reason) of those without one."""
        place = self.place(token)
        found: list[tuple[Column, FiledDrive]] = []
        missing: list[tuple[str, str]] = []
        for column in map(self.column, keys):
            if column.rows[place] < 0:
                missing.append((column.label, "it did not drive this log"))
                continue
            drive = self.drive(column, token)
            if len(drive.states):
                found.append((column, drive))
            else:
                missing.append((column.label, str(drive.data["row"]["error"]) or "it did not start"))
        return found, missing

    def scene(self, token: str, keys: Sequence[str]) -> dict[str, Any]:
        """The drives of some agents in a log, drawn and judged."""
        with self._lock:
            place = self.place(token)
            drives, missing = self.drives(token, keys)
            labels = {column.key: column.label for column, _ in drives}
            tones = iter(range(len(drives)))
            shown = [
                ShownDrive(column.key, drive, None if column.column.agent == "human" else next(tones) % NUM_TONES)
                for column, drive in drives
            ]
            drawing: dict[str, Any] = draw_drives(shown) if shown else {"svg": "", "last": 0, "drives": {}, "casts": []}
            plans = [
                {
                    "key": one.key,
                    "label": labels[one.key],
                    "tone": one.tone,
                    **account(one.drive),
                    **drawing["drives"][one.key],
                }
                for one in shown
            ]
            return {
                "token": token,
                "log": self.logs[place],
                "score_name": SCORE_NAME,
                "cameras": bool(shown) and shown[0].drive.dataset.ray_cast,
                **{name: value for name, value in drawing.items() if name != "drives"},
                "plans": plans,
                "missing": missing,
            }

    def camera(self, token: str, key: str, step: int) -> dict[str, Any]:
        """The front camera of one drive at a step of 0.1 s. Raises OpenPairError where the dataset cannot show it."""
        with self._lock:
            self.place(token)
            drive = self.drive(self.column(key), token)
            if not drive.dataset.ray_cast:
                raise OpenPairError(
                    "recorded cameras cannot follow a car that leaves the recorded path", where=drive.dataset.name
                )
            scene = drive.scene(int(np.clip(step, 0, len(drive.states) - 1)))
            sensors = drive.dataset.load_sensors(scene, size=CAMERA_SIZE, lidar=False)
            assert sensors.images is not None
            image = sensors.images["cam_f0"]
            return {"src": jpeg_data_uri(image), "width": image.shape[1], "height": image.shape[0]}
