"""Golden cases: a neutral scene as flat arrays (``in_*``) with plans (``trajs``), read from .npz without pickles."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import MapLayer, Protocol
from openpair.datatypes.scoring_scene import DrivableMap, PolygonSet, RedLights, ScoringScene, Tracks
from openpair.errors import OpenPairError
from openpair.scoring.overlap import without_overlapping

Case = Mapping[str, NDArray]


def read_case(path: str | PathLike[str]) -> dict[str, NDArray]:
    """All arrays of a case file.

    Raises:
        OpenPairError: the file is missing, is not an .npz archive, or holds pickled objects.
    """
    path = Path(path)
    if not path.is_file():
        raise OpenPairError("there is no such case file", where=path, fix="Give the path of a golden case (.npz)")
    broken = OpenPairError(
        "the file is not an .npz archive of plain arrays", where=path, fix="Copy it again, or give a golden case"
    )
    if not zipfile.is_zipfile(path):
        raise broken
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError) as error:
        raise broken from error


def case_protocol(case: Case) -> Protocol:
    """The protocol a case was cut for (``in_version``)."""
    return Protocol.V1_1 if str(case["in_version"]) == "v1" else Protocol.V2_2


def scene_from_case(case: Case, protocol: Protocol, token: str = "case") -> ScoringScene:
    """A scoring scene from the ``in_*`` arrays of a case.

    Raises:
        OpenPairError: arrays are missing, or the case belongs to the other protocol.
    """
    get = _Reader(case, token)
    if case_protocol({"in_version": get("in_version")}) is not protocol:
        raise OpenPairError(
            f"the case was cut for protocol {case_protocol(case).value}, not {protocol.value}",
            where=token,
            fix=f"Use --protocol {case_protocol(case).value}",
        )
    is_v2 = protocol is Protocol.V2_2
    route = set(get("in_route_lane_ids").tolist())
    map_tokens = tuple(get("in_map_token").tolist())
    layer = get("in_map_type").astype(np.int64)
    is_lane = np.isin(layer, (MapLayer.LANE, MapLayer.LANE_CONNECTOR))
    red_lights = None
    tracks = _tracks(get)
    if is_v2:
        tracks = without_overlapping(tracks, get("in_ego_state"))
        red_lights = RedLights(
            tokens=tuple(get("in_tl_token").tolist()),
            polygons=_polygons(get("in_tl_poly_xy"), get("in_tl_poly_offset")),
            active=get("in_tl_active").astype(bool),
        )
    return ScoringScene(
        token=token,
        protocol=protocol,
        time_us=int(get("in_time_us")),
        ego_state=get("in_ego_state"),
        drivable_map=DrivableMap(
            polygons=_polygons(get("in_map_poly_xy"), get("in_map_poly_offset")),
            layer=layer,
            tokens=map_tokens,
            on_route=np.array([name in route for name in map_tokens], bool) & is_lane,
        ),
        centerline=get("in_centerline"),
        tracks=tracks,
        reference_time_us=get("in_pdm_time_us").astype(np.int64),
        reference_states=get("in_pdm_states"),
        red_lights=red_lights,
        human_trajectory=get("in_human_traj") if is_v2 else None,
        past_time_us=get("in_past_time_us").astype(np.int64) if is_v2 else None,
        past_states=get("in_past_states") if is_v2 else None,
        is_synthetic=is_v2 and str(get("in_scene_type")) != "ORIGINAL",
    )


class _Reader:
    """Arrays of a case by name; a missing one is bad input."""

    def __init__(self, case: Case, token: str) -> None:
        self.case = case
        self.token = token

    def __call__(self, name: str) -> Any:
        if name not in self.case:
            raise OpenPairError(
                f"the case has no array '{name}'", where=self.token, fix="Give a golden case of the score"
            )
        return self.case[name]


def _polygons(xy: NDArray[np.float64], offset: NDArray[np.int64]) -> PolygonSet:
    """Polygons without holes."""
    return PolygonSet(
        xy=xy.reshape(-1, 2),
        ring_offset=offset.astype(np.int64),
        polygon_offset=np.arange(len(offset), dtype=np.int64),
    )


def _tracks(get: _Reader) -> Tracks:
    track = get("in_trk_token_idx").astype(np.int64)
    tokens = tuple(get("in_trk_token").tolist())
    category = np.zeros(len(tokens), np.int64)
    category[track[::-1]] = get("in_trk_type")[::-1]
    return Tracks(
        tokens=tokens,
        category=category,
        frame_offset=get("in_trk_frame_offset").astype(np.int64),
        track=track,
        box=get("in_trk_box").reshape(-1, 6),
        velocity=get("in_trk_vel").reshape(-1, 2),
    )


def case_name(source: str | PathLike[str] | Case) -> str:
    """A name for error messages: the file's stem, or "case"."""
    return "case" if isinstance(source, Mapping) else Path(fspath(source)).stem
