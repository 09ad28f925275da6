"""How scene ingredients and map shapes lie in the arrays of a store's files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scoring_scene import PolygonSet
from openpair.preparation.ingredients import RedKeyframes, SceneIngredients
from openpair.preparation.map_shapes import MapShapes
from openpair.preparation.observation import Sightings
from openpair.preparation.tensor_file import TensorFile

SCHEMA_VERSION = 1
"""Grows with every change of the layout below or of what preparation computes: older stores are refused."""


def pack_shapes(shapes: MapShapes) -> dict[str, NDArray]:
    """Arrays of a map file."""
    return {
        "layer": shapes.layer,
        "tokens": _encode_text(shapes.tokens),
        "polygon_xy": shapes.polygons.xy,
        "ring_offset": shapes.polygons.ring_offset,
        "polygon_offset": shapes.polygons.polygon_offset,
        "baseline_offset": shapes.baseline_offset,
        "baselines": shapes.baselines,
    }


def unpack_shapes(file: TensorFile) -> MapShapes:
    """Shapes of a map file; the arrays stay mapped."""
    return MapShapes(
        layer=file["layer"],
        tokens=_decode_text(file["tokens"]),
        polygons=PolygonSet(file["polygon_xy"], file["ring_offset"], file["polygon_offset"]),
        baseline_offset=file["baseline_offset"],
        baselines=file["baselines"],
    )


def pack_scenes(scenes: Sequence[SceneIngredients], map_number: Sequence[int]) -> dict[str, NDArray]:
    """Arrays of a shard: each field of all its scenes in one array, ``..._start`` (S+1,) where a scene's rows begin.

    Args:
        scenes: of one protocol, at least one.
        map_number: (S,) which map of the shard each scene lies in.
    """
    arrays: dict[str, NDArray] = {
        "map": np.array(map_number, np.int32),
        "time_us": np.array([s.time_us for s in scenes], np.int64),
        "ego_state": np.stack([s.ego_state for s in scenes]),
        "reference_poses": np.stack([s.reference_poses for s in scenes]),
        "element_start": _starts([len(s.elements) for s in scenes]),
        "element": np.concatenate([s.elements for s in scenes]).astype(np.int32),
        "on_route": np.concatenate([s.on_route for s in scenes]),
        "lane_start": _starts([len(s.centerline_lanes) for s in scenes]),
        "lane": np.concatenate([s.centerline_lanes for s in scenes]).astype(np.int32),
        "track_start": _starts([len(s.sightings.tokens) for s in scenes]),
        "track_category": np.concatenate([s.sightings.category for s in scenes]).astype(np.uint8),
        "track_size": np.concatenate([s.sightings.size for s in scenes]),
        "track_present": np.concatenate([s.sightings.present for s in scenes]),
        "motion_start": _starts([len(s.sightings.motion) for s in scenes]),
        "motion": np.concatenate([s.sightings.motion for s in scenes]),
    }
    text = [_encode_text((s.token, *s.sightings.tokens)) for s in scenes]
    arrays["text_start"] = _starts([len(t) for t in text])
    arrays["text"] = np.concatenate(text)
    if scenes[0].protocol is Protocol.V2_2:
        red = [s.red for s in scenes if s.red is not None]
        arrays |= {
            "red_start": _starts([len(r.elements) for r in red]),
            "red_element": np.concatenate([r.elements for r in red]).astype(np.int32),
            "red_active": np.concatenate([r.active.T for r in red]),
            "human_trajectory": np.stack([s.human_trajectory for s in scenes if s.human_trajectory is not None]),
            "past_time_us": np.stack([s.past_time_us for s in scenes if s.past_time_us is not None]),
            "past_states": np.stack([s.past_states for s in scenes if s.past_states is not None]),
        }
    return arrays


def unpack_scene(file: TensorFile, row: int, protocol: Protocol) -> tuple[SceneIngredients, int]:
    """Scene ``row`` of a shard and the number of its map; the larger arrays stay mapped."""
    elements = _rows(file, "element_start", row)
    lanes = _rows(file, "lane_start", row)
    tracks = _rows(file, "track_start", row)
    token, *track_tokens = _decode_text(file["text"][_rows(file, "text_start", row)])
    is_v2 = protocol is Protocol.V2_2
    red = None
    if is_v2:
        reds = _rows(file, "red_start", row)
        red = RedKeyframes(file["red_element"][reds].astype(np.int64), file["red_active"][reds].view(np.bool_).T)
    ingredients = SceneIngredients(
        token=token,
        protocol=protocol,
        time_us=int(file["time_us"][row]),
        ego_state=file["ego_state"][row],
        elements=file["element"][elements].astype(np.int64),
        on_route=file["on_route"][elements].view(np.bool_),
        centerline_lanes=file["lane"][lanes].astype(np.int64),
        sightings=Sightings(
            tokens=tuple(track_tokens),
            category=file["track_category"][tracks].astype(np.int64),
            size=file["track_size"][tracks],
            present=file["track_present"][tracks].view(np.bool_),
            motion=file["motion"][_rows(file, "motion_start", row)],
        ),
        reference_poses=file["reference_poses"][row],
        red=red,
        human_trajectory=file["human_trajectory"][row] if is_v2 else None,
        past_time_us=file["past_time_us"][row] if is_v2 else None,
        past_states=file["past_states"][row] if is_v2 else None,
    )
    return ingredients, int(file["map"][row])


def _rows(file: TensorFile, name: str, row: int) -> slice:
    start = file[name]
    return slice(int(start[row]), int(start[row + 1]))


def _starts(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *counts]).astype(np.int64)


def _encode_text(words: Sequence[str]) -> NDArray[np.uint8]:
    """Words as UTF-8, a zero byte between them."""
    return np.frombuffer("\0".join(words).encode(), np.uint8)


def _decode_text(text: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(text.tobytes().decode().split("\0"))
