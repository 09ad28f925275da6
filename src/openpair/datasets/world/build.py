"""Builds worlds: town by town, episode by episode, the same bytes from the same seeds."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np

from openpair.datasets.world.demand import write_demand
from openpair.datasets.world.demonstration import drivable_area
from openpair.datasets.world.episode import tracks_of
from openpair.datasets.world.logs import Candidate, Episode, candidates, choose, stored_log
from openpair.datasets.world.map_from_net import build_town_map
from openpair.datasets.world.recipes import TownRecipe
from openpair.datasets.world.roadside import roadside_objects
from openpair.datasets.world.streets import build_network
from openpair.datasets.world.sumo_net import read_net
from openpair.datasets.world.town_store import SUFFIX, StoredTown
from openpair.datasets.world.traffic import simulate
from openpair.errors import OpenPairError

STRIDE_STEPS = 40
STANDING_SHARE = 0.045
INDEX_NAME = "index.json"
FORMAT_VERSION = 1


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
            episode = Episode(number, raw, tracks_of(recipe, raw, number), category, boxes)
            rng = np.random.default_rng([recipe.seed, 8, number])
            share = -(-recipe.logs // recipe.episodes)
            chosen = choose(candidates(episode, town, numbers, road, STRIDE_STEPS), share, rng)
            found += [(episode, candidate) for candidate in chosen]
        keep = _kept_scenes([candidate for _, candidate in found])
        logs = {}
        for i, ((episode, candidate), scenes) in enumerate(zip(found, keep, strict=True)):
            if scenes:
                name = f"{recipe.name}-{i:03d}"
                logs[name] = stored_log(name, candidate, scenes, episode, town, numbers).encode()
        return StoredTown(recipe.name, town.encode(), roadside, logs)
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


def build_world(recipes: list[TownRecipe], out: Path, workers: int = 1) -> dict[str, object]:
    """Build all towns into ``out`` and write its index; returns the index. Finished towns are kept on a rerun."""
    out.mkdir(parents=True, exist_ok=True)
    todo = [recipe for recipe in recipes if not (out / f"{recipe.name}{SUFFIX}").is_file()]
    with ProcessPoolExecutor(max_workers=max(1, workers)) as pool:
        futures = {pool.submit(build_town, recipe): recipe for recipe in todo}
        for future in as_completed(futures):
            town = future.result()
            path = out / f"{town.name}{SUFFIX}"
            partial = path.with_suffix(".part")
            partial.write_bytes(town.to_bytes())
            partial.replace(path)
    return write_index(recipes, out)


def write_index(recipes: list[TownRecipe], out: Path) -> dict[str, object]:
    """Write ``index.json``: splits, scenes, recipes, SUMO's version and a hash over all towns."""
    towns, digest = [], hashlib.sha256()
    for recipe in recipes:
        path = out / f"{recipe.name}{SUFFIX}"
        data = path.read_bytes()
        digest.update(hashlib.sha256(data).digest())
        town = StoredTown.from_file(path)
        logs = {name: town.log(name).scenes for name in town.logs}
        towns.append({"name": recipe.name, "split": recipe.split, "sha256": hashlib.sha256(data).hexdigest(),
                      "logs": logs, "recipe": asdict(recipe)})  # fmt: skip
    index: dict[str, object] = {
        "format": FORMAT_VERSION, "sumo": sumo_version(), "hash": digest.hexdigest(), "towns": towns,
    }  # fmt: skip
    (out / INDEX_NAME).write_text(json.dumps(index, separators=(",", ":")))
    return index


def sumo_version() -> str:
    """Version of the installed SUMO. Raises OpenPairError without one."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("eclipse-sumo")
    except PackageNotFoundError as error:
        raise OpenPairError("SUMO is not installed", fix="pip install 'openpair[world]'") from error
