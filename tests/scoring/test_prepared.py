"""Prepared scenes are kept while the scene lives and while there is room."""

from __future__ import annotations

import gc

from straight_road import scene, straight_plan

from openpair.scoring import prepared, score_prepared
from openpair.scoring.prepared import PreparedScenes, prepare


def test_prepared_once_while_the_scene_lives() -> None:
    first = scene()
    kept = prepare(first)
    assert prepare(first) is kept
    assert prepare(scene()) is not kept


def test_forgotten_with_the_scene() -> None:
    gc.collect()
    before = len(prepared.PREPARED)
    short_lived = scene()
    score_prepared(short_lived, straight_plan()[None])
    assert len(prepared.PREPARED) == before + 1
    del short_lived
    gc.collect()
    assert len(prepared.PREPARED) == before


def test_least_recently_used_goes_first() -> None:
    scenes = [scene() for _ in range(4)]
    forms = [prepare(one) for one in scenes]
    size = forms[0].tables.num_bytes
    assert size > 1000
    cache = PreparedScenes(max_bytes=3 * size)
    for one, form in zip(scenes[:3], forms[:3], strict=True):
        cache.put(one, form)
    assert cache.get(scenes[0]) is forms[0]  # used again: now the youngest
    cache.put(scenes[3], forms[3])
    assert cache.get(scenes[1]) is None
    assert cache.get(scenes[0]) is forms[0]
    assert cache.kept_bytes == 3 * size
    cache.put(scenes[0], forms[0])
    assert cache.kept_bytes == 3 * size
