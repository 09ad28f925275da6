"""Builds worlds: town by town, episode by episode, the same bytes from the same seeds."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from openpair.checksums import sealed_json
from openpair.datasets.world.dataset import INDEX_NAME, OpenTown
from openpair.datasets.world.town_store import SUFFIX, StoredTown
from openpair.datatypes.settings import unused_settings
from openpair.errors import OpenPairError
from openpair.files import locked, write_atomically
from openpair.pools import OnProgress, Processes, silent
from openpair.worldgen.curation import fair_scenes
from openpair.worldgen.demand import write_demand
from openpair.worldgen.demonstration import drivable_area
from openpair.worldgen.episode import tracks_of
from openpair.worldgen.logs import Candidate, Episode, candidates, choose, stored_log
from openpair.worldgen.map_from_net import build_town_map
from openpair.worldgen.recipes import TownRecipe
from openpair.worldgen.roadside import roadside_objects
from openpair.worldgen.streets import build_network
from openpair.worldgen.sumo_net import read_net
from openpair.worldgen.traffic import simulate

TRIED_PER_LOG = 8
STANDING_SHARE = 0.045
FORMAT_VERSION = 1
WHAT = "build towns"


def build_town(recipe: TownRecipe) -> StoredTown:
    """Streets, traffic, demonstrations: one whole town."""
    folder = Path(tempfile.mkdtemp(prefix="openpair-world-"))
    try:
        net = read_net(build_network(recipe, folder))
        town, numbers = build_town_map(recipe, net)
        road = drivable_area(town)
        found: list[tuple[Episode, Candidate]] = []
        roadside = []
        for number in range(recipe.episodes):
            write_demand(recipe, net, number, folder)
            raw = simulate(folder, 1000 * recipe.seed + number)
            category, boxes = roadside_objects(recipe, town, number)
            scale = np.array([100, 100, 1000, 100, 100, 100])
            roadside.append(np.column_stack([category, np.round(boxes * scale).astype(np.int64)]))
            episode = Episode(number, raw, tracks_of(recipe, raw, number, road), category, boxes)
            rng = np.random.default_rng([recipe.seed, 8, number])
            share = -(-recipe.logs // recipe.episodes)
            drives = candidates(episode, town, numbers, road, TRIED_PER_LOG * share, rng, recipe)
            chosen = choose(drives, share, rng)
            found += [(episode, candidate) for candidate in chosen]
        keep = _kept_scenes([candidate for _, candidate in found])
        stored = StoredTown(recipe.name, town.encode(), roadside, {}, provenance(recipe))
        opened = OpenTown(stored)
        for (episode, candidate), scenes in zip(found, keep, strict=True):
            name = f"{recipe.name}-{len(stored.logs):03d}"
            log = stored_log(name, candidate, scenes, episode, town, numbers)
            log.scenes = fair_scenes(opened, log)
            if log.scenes:
                stored.logs[name] = log.encode()
        return stored
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept_scenes(chosen: list[Candidate]) -> list[list[int]]:
    """Scenes of each log; standstill scenes beyond STANDING_SHARE of the town are left out."""
    moving = sum(len(c.scenes) - len(c.standing) for c in chosen)
    allowed = int(moving * STANDING_SHARE / (1 - STANDING_SHARE))
    result = []
    for candidate in chosen:
        standing = set(candidate.standing[: 1 if allowed > 0 else 0])
        allowed -= len(standing)
        result.append([s for s in candidate.scenes if s not in candidate.standing or s in standing])
    return result


def provenance(recipe: TownRecipe) -> dict[str, Any]:
    """What a stored town was made from."""
    settings = {name: value for name, value in asdict(recipe).items() if name not in unused_settings(recipe)}
    return {**json.loads(json.dumps(settings)), "format": FORMAT_VERSION, "sumo": sumo_version()}


def build_world(
    recipes: list[TownRecipe], out: Path, *, workers: int = 1, on_progress: OnProgress = silent
) -> dict[str, Any]:
    """Build all towns into ``out`` and write its index.

    A town that is there already, made from the same recipe by the same SUMO, is kept: an interrupted build goes on.

    Args:
        recipes: the towns.
        out: folder, made if absent.
        workers: processes; the result does not depend on their number.
        on_progress: told towns done and towns in all.

    Returns:
        The index, as written.

    Raises:
        OpenPairError: SUMO is missing or fails, or the folder cannot be written to, or another process builds there.
        WorkersDied: workers were killed again and again; finished towns are kept.
    """
    sumo_version()
    with locked(out):
        todo = {number: recipe for number, recipe in enumerate(recipes) if not _is_built(recipe, out)}
        done = len(recipes) - len(todo)
        on_progress(WHAT, done, len(recipes))
        for _, town in Processes(workers)(_open_worker, todo):
            write_atomically(out / f"{town.name}{SUFFIX}", town.to_bytes())
            done += 1
            on_progress(WHAT, done, len(recipes))
        return _write_index(recipes, out)


def _open_worker() -> Callable[[TownRecipe], StoredTown]:
    """What a worker does with recipes."""
    return build_town


def _is_built(recipe: TownRecipe, out: Path) -> bool:
    path = out / f"{recipe.name}{SUFFIX}"
    return path.is_file() and StoredTown.from_file(path).recipe == provenance(recipe)


def _write_index(recipes: list[TownRecipe], out: Path) -> dict[str, Any]:
    """``index.json``: splits, scenes, SUMO's version and a hash over all towns."""
    towns, digest = [], hashlib.sha256()
    for recipe in recipes:
        path = out / f"{recipe.name}{SUFFIX}"
        data = path.read_bytes()
        town = StoredTown.from_file(path)
        digest.update(hashlib.sha256(data).digest())
        logs = {name: town.log(name).scenes for name in town.logs}
        towns.append(
            {"name": recipe.name, "split": recipe.split, "pattern": recipe.pattern.value, "seed": recipe.seed,
             "sha256": hashlib.sha256(data).hexdigest(), "logs": logs}
        )  # fmt: skip
    index = {"format": FORMAT_VERSION, "sumo": sumo_version(), "hash": digest.hexdigest(), "towns": towns}
    write_atomically(out / INDEX_NAME, sealed_json(index, separators=(",", ":")))
    return index


def sumo_version() -> str:
    """Version of the installed SUMO. Raises OpenPairError without one."""
    try:
        return version("eclipse-sumo")
    except PackageNotFoundError as error:
        raise OpenPairError(
            "building a world needs Eclipse SUMO, which is not installed",
            fix="pip install 'openpair[world]'; the world that comes with the package needs no SUMO",
        ) from error
