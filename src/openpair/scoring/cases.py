"""Golden cases: a neutral scene as flat arrays (``in_*``) with plans (``trajs``), read from .npz without pickles."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.archives import read_arrays
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
    return read_arrays(path, "the case", fix="Copy it again, or give a golden case (.npz of plain arrays)")


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


LAYOUT: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "in_version": ("U", ()),
    "in_time_us": ("iu", ()),
    "in_ego_state": ("f", (11,)),
    "in_map_poly_xy": ("f", ("corners", 2)),
    "in_map_poly_offset": ("iu", ("elements+1",)),
    "in_map_type": ("iu", ("elements",)),
    "in_map_token": ("U", ("elements",)),
    "in_route_lane_ids": ("U", ("lanes",)),
    "in_centerline": ("f", ("points", 3)),
    "in_trk_frame_offset": ("iu", ("samples+1",)),
    "in_trk_token_idx": ("iu", ("rows",)),
    "in_trk_token": ("U", ("tracks",)),
    "in_trk_type": ("iu", ("rows",)),
    "in_trk_box": ("f", ("rows", 6)),
    "in_trk_vel": ("f", ("rows", 2)),
    "in_pdm_time_us": ("iu", ("states",)),
    "in_pdm_states": ("f", ("states", 11)),
    "in_tl_token": ("U", ("lights",)),
    "in_tl_poly_xy": ("f", ("light corners", 2)),
    "in_tl_poly_offset": ("iu", ("lights+1",)),
    "in_tl_active": ("biu", (41, "lights")),
    "in_human_traj": ("f", (8, 3)),
    "in_past_time_us": ("iu", ("past",)),
    "in_past_states": ("f", ("past", 11)),
    "in_scene_type": ("U", ()),
}
"""Kind (numpy's letters) and shape of each array; the same word is the same number throughout a case."""


class _Reader:
    """Arrays of a case by name; one that is missing or laid out otherwise is bad input."""

    def __init__(self, case: Case, token: str) -> None:
        self.case = case
        self.token = token
        self.sizes: dict[str, int] = {}

    def __call__(self, name: str) -> Any:
        if name not in self.case:
            raise OpenPairError(
                f"the case has no array '{name}'", where=self.token, fix="Give a golden case of the score"
            )
        array = np.asarray(self.case[name])
        kinds, shape = LAYOUT[name]
        if not array.size and len(shape) and isinstance(shape[0], str):  # an empty list keeps neither type nor shape
            array = np.zeros(
                (0, *(n for n in shape[1:] if isinstance(n, int))), {"U": "U1", "f": "f8"}.get(kinds, "i8")
            )
        if array.dtype.kind not in kinds or not self._fits(array.shape, shape):
            wanted = " x ".join(map(str, shape)) or "one value"
            raise OpenPairError(
                f"the array '{name}' is {array.dtype} of shape {array.shape}, not {wanted} of kind {kinds}",
                where=self.token,
                fix="Give a golden case of the score",
            )
        return array

    def _fits(self, found: tuple[int, ...], wanted: tuple[str | int, ...]) -> bool:
        """Is this the shape, sizes with names being those of the arrays before?"""
        if len(found) != len(wanted):
            return False
        for size, word in zip(found, wanted, strict=True):
            more = isinstance(word, str) and word.endswith("+1")
            known = word if isinstance(word, int) else self.sizes.setdefault(word.removesuffix("+1"), size - more)
            if size != known + more or size < more:
                return False
        return True


def _polygons(xy: NDArray[np.float64], offset: NDArray[np.int64]) -> PolygonSet:
    """Polygons without holes."""
    return PolygonSet(
        xy=xy,
        ring_offset=offset.astype(np.int64),
        polygon_offset=np.arange(len(offset), dtype=np.int64),
    )


def _tracks(get: _Reader) -> Tracks:
    track = get("in_trk_token_idx").astype(np.int64)
    tokens = tuple(get("in_trk_token").tolist())
    offset = get("in_trk_frame_offset").astype(np.int64)
    if len(track) and not (track.min() >= 0 and track.max() < len(tokens)):
        raise OpenPairError("an agent's row names a track that is not there", where=get.token)
    if offset[0] != 0 or (np.diff(offset) < 0).any() or offset[-1] != len(track):
        raise OpenPairError("the agents' rows and offsets do not belong together", where=get.token)
    category = np.zeros(len(tokens), np.int64)
    category[track[::-1]] = get("in_trk_type")[::-1]
    return Tracks(
        tokens=tokens,
        category=category,
        frame_offset=offset,
        track=track,
        box=get("in_trk_box"),
        velocity=get("in_trk_vel"),
    )


def case_name(source: str | PathLike[str] | Case) -> str:
    """A name for error messages: the file's stem, or "case"."""
    return "case" if isinstance(source, Mapping) else Path(fspath(source)).stem
