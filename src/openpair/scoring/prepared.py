"""The prepared form of a scene: its tables, completed by the scorer's own results for PDM-Closed and the human.

Made at first use and kept while the scene lives, as far as memory allows.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.scoring import arrays
from openpair.scoring.aggregation import NUM_METRICS, ResultIndex
from openpair.scoring.build import build_tables
from openpair.scoring.comfort import ComfortMode
from openpair.scoring.devices import CPU, DeviceTables, fill_struct, place
from openpair.scoring.run import RawResults, run
from openpair.scoring.tables import SceneTables, join_scenes
from openpair.scoring.validation import check_scene
from openpair.simulation.reference import interpolate_states, plan_reference

FORGIVABLE = [
    ResultIndex.NC,
    ResultIndex.DAC,
    ResultIndex.DDC,
    ResultIndex.TLC,
    ResultIndex.TTC,
    ResultIndex.LK,
]
"""Sub-metrics that the human filter can set to 1. The human's own EP and HC are 1 by definition."""


@dataclass
class PreparedScene:
    """A scene ready to score.

    Attributes:
        tables: flat tables.
        raw: results of the PDM-Closed trajectory (row 0) and, in v2.2, of the human (row 1).
        on_device: tables by device.
        strict: the variant they are for.
    """

    tables: SceneTables
    raw: RawResults
    on_device: dict[str, DeviceTables]
    strict: bool = False

    def place(self, device: str) -> DeviceTables:
        """The tables on a device; copied there at first use."""
        if device not in self.on_device:
            self.on_device[device] = place(self.tables, device)
        return self.on_device[device]


MAX_KEPT_BYTES = 1 << 31
"""Prepared scenes are kept up to this much memory in all; the least recently used go first."""


class PreparedScenes:
    """The prepared form of living scenes, least recently used first. Threads may share it."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.kept_bytes = 0
        self._entries: OrderedDict[tuple[int, bool], tuple[weakref.ref[ScoringScene], PreparedScene]] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, scene: ScoringScene, strict: bool = False) -> PreparedScene | None:
        """The prepared form of this very object, if it is kept."""
        with self._lock:
            entry = self._entries.get((id(scene), strict))
            if entry is None or entry[0]() is not scene:
                return None
            self._entries.move_to_end((id(scene), strict))
            return entry[1]

    def put(self, scene: ScoringScene, prepared: PreparedScene) -> None:
        """Keep it until the scene is gone or room is needed."""
        key = (id(scene), prepared.strict)
        with self._lock:
            self._drop(key)
            self._entries[key] = (weakref.ref(scene, lambda gone: self._forget(key, gone)), prepared)
            self.kept_bytes += prepared.tables.num_bytes
            while self.kept_bytes > self.max_bytes and len(self._entries) > 1:
                self._drop(next(iter(self._entries)))

    def _forget(self, key: tuple[int, bool], gone: weakref.ref[ScoringScene]) -> None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry[0] is gone:  # the id may belong to a new scene by now
                self._drop(key)

    def _drop(self, key: tuple[int, bool]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.kept_bytes -= entry[1].tables.num_bytes


PREPARED = PreparedScenes(MAX_KEPT_BYTES)


def prepare(scene: ScoringScene, *, strict: bool = False) -> PreparedScene:
    """Tables and reference results of a scene, kept for the next call while the scene lives and there is room.

    Raises:
        OpenPairError: the scene cannot be scored; says which part is wrong.
    """
    (prepared,) = prepare_all([scene], strict=strict)
    if isinstance(prepared, OpenPairError):
        raise prepared
    return prepared


def prepare_all(scenes: Sequence[ScoringScene], *, strict: bool = False) -> list[PreparedScene | OpenPairError]:
    """:func:`prepare` of scenes of one protocol, in one pass over those that are not kept; of a scene that cannot be
    scored, the error."""
    found: list[PreparedScene | OpenPairError | None] = [PREPARED.get(scene, strict) for scene in scenes]
    blank: dict[int, SceneTables] = {}
    for index, scene in enumerate(scenes):
        if found[index] is None:
            try:
                check_scene(scene)
                blank[index] = build_tables(scene, strict=strict)
            except OpenPairError as error:
                found[index] = error
    fresh = [scenes[index] for index in blank]
    for index, prepared in zip(blank, _prepare(fresh, list(blank.values()), strict), strict=True):
        PREPARED.put(scenes[index], prepared)
        found[index] = prepared
    return [entry for entry in found if entry is not None]


def reference_rows(scene: ScoringScene) -> NDArray[np.float64]:
    """(1 or 2, 41, 3) tracker references around the rear axle: PDM-Closed and, where given, the human."""
    ego = scene.ego_state
    rows = [interpolate_states(scene.reference_states, scene.reference_time_us, scene.time_us)]
    if scene.human_trajectory is not None:
        rows.append(plan_reference(scene.human_trajectory, ego[:3], scene.time_us))
    references = np.array(rows)
    references[..., :2] -= ego[:2]
    return references


def _prepare(scenes: list[ScoringScene], tables: list[SceneTables], strict: bool) -> list[PreparedScene]:
    """Scenes with the results of their references, from their blank tables."""
    if not scenes:
        return []
    placed = place(join_scenes(tables), CPU)
    references = [reference_rows(scene) for scene in scenes]
    owner = np.repeat(np.arange(len(scenes), dtype=np.int32), [len(rows) for rows in references])
    raw = run(
        placed,
        scenes[0].protocol,
        owner,
        reference=np.concatenate(references),
        comfort_mode=ComfortMode.PLAN,
        strict=strict,
    )
    prepared = []
    start = 0
    for scene, blank, rows in zip(scenes, tables, references, strict=True):
        own = raw.rows(start, start + len(rows))
        start += len(rows)
        ego = replace(blank.ego, reference_gain=own.table[:1, ResultIndex.GAIN].copy(), forgiven=forgiven(scene, own))
        completed = replace(blank, ego=ego)
        prepared.append(PreparedScene(completed, own, {}, strict))
    if len(prepared) == 1:
        (only,) = prepared
        ego_struct = fill_struct(arrays.EgoArrays, only.tables.ego, CPU)
        only.on_device[CPU] = replace(placed, ego=ego_struct, keep=only.tables)
    return prepared


def forgiven(scene: ScoringScene, raw: RawResults) -> NDArray[np.int32]:
    """(1, 8) 1 where the human's own sub-metric is 0: the human filter of original scenes in v2.2."""
    flags = np.zeros((1, NUM_METRICS), np.int32)
    if scene.protocol is Protocol.V2_2 and len(raw.table) > 1 and not scene.is_synthetic:
        flags[0, FORGIVABLE] = raw.table[1, FORGIVABLE] == 0.0
    return flags
