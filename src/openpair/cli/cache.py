"""``openpair cache``: prepare scenes, and what networks see of them, once."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from openpair.errors import OpenPairError

if TYPE_CHECKING:
    from openpair.pools import Ray

FAILURES_SHOWN = 10


@dataclass(frozen=True)
class Cache:
    """Prepare the scenes of a dataset once, so that 'openpair eval --prepared OUT' and 'openpair train --cache OUT'
    need not do it again.

    Writes OUT/prepared-PROTOCOL-KEY (scenes ready to be scored) and, with --features, OUT/features/KEY (cameras, LiDAR
    and targets as networks take them). The key changes with logs, maps and the choice of scenes, so a stale store is
    never used. The same command resumes an interrupted build.

    Exit status: 0 all scenes cached, 2 bad input, 3 scenes failed.

    Example: openpair cache --dataset navsim --root DIR --split test --tokens navtest.yaml --out cache
    """

    MAIN_OPTIONS: ClassVar = ("dataset", "out", "root", "split", "tokens", "protocol", "features", "preset", "workers")

    dataset: str
    """What kind of data: world, navsim, argoverse2, or what an installed package registers."""

    out: Path
    """Folder for the stores; made if absent. Several datasets and protocols may share it."""

    root: Path | None = None
    """Folder of the dataset, as for 'openpair eval'."""

    split: str | None = None
    """Part of the dataset, as for 'openpair eval'; world: train, val or test (the default)."""

    tokens: Path | None = None
    """navsim: which scenes, as for 'openpair eval'."""

    mapping: Path | None = None
    """navsim: a two-stage set, as for 'openpair eval --stages 2'."""

    second_stage: Path | None = None
    """navsim: folder of the second stage, as for 'openpair eval --stages 2'."""

    protocol: Literal["v1.1", "v2.2"] = "v1.1"
    """Which score the scenes are prepared for."""

    features: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also build features and targets; needs sensor files where sensors are recorded."""

    preset: str = "published"
    """Sizes of features: those of this training preset (demo, quick, published)."""

    max_scenes: int | None = None
    """world: only this many scenes, spread evenly, as training presets choose them."""

    workers: int = 0
    """Processes; 0 means one per CPU core."""

    ray: str | None = None
    """Work on a Ray cluster instead: its address, or 'local'. Needs the extra 'ray'; OUT must be reachable from it."""

    allow_failures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Exit with 0 even if some scenes failed. They are listed all the same."""

    def run(self) -> int:
        """Build the stores, list failures, return the exit status."""
        from openpair.configs.experiment import preset
        from openpair.datatypes.columns import Protocol
        from openpair.evaluation.failures import exit_status
        from openpair.features.cache import FeatureStore
        from openpair.files import made
        from openpair.preparation import PreparedStore
        from openpair.progress import ProgressView
        from openpair.training.data import DataSpec, build_features_of, build_prepared_scenes

        if self.workers < 0:
            raise OpenPairError(f"there cannot be {self.workers} workers", where="--workers", fix="Give 0 or more")
        config = preset(self.preset).features
        name, options = self._dataset()
        spec = DataSpec(name, None if self.root is None else str(self.root), options)
        protocol = Protocol(self.protocol)
        workers = self.workers or os.cpu_count() or 1
        stores: list[Any] = []
        with made(self.out), ray_pool(self.ray, self.workers) as pool, ProgressView() as view:
            common: dict[str, Any] = {"workers": workers, "on_progress": view.update, "pool": pool}
            stores.append(PreparedStore(build_prepared_scenes(spec, self.out, protocol, **common)))
            if self.features:
                stores.append(FeatureStore(build_features_of(spec, self.out, config, **common)))
        for store in stores:
            print(f"{len(store)} scenes, {_size_mb(store.folder):.1f} MB: {store.folder}")
        failures = {token: reason for store in stores for token, reason in store.failures.items()}
        if failures:
            print(failure_text(failures, len(stores[0]) + len(stores[0].failures)), file=sys.stderr)
        nothing_done = not all(len(store) for store in stores)
        return exit_status(some_failed=bool(failures), nothing_done=nothing_done, allow_failures=self.allow_failures)

    def _dataset(self) -> tuple[str, dict[str, Any]]:
        """Name and options of the dataset: those that 'openpair eval' opens."""
        from openpair.datasets.choice import SceneChoice, choose_scenes

        choice = SceneChoice(self.split, self.tokens, self.max_scenes, self.mapping, self.second_stage)
        return choose_scenes(self.dataset, self.root, choice, stages=1 if self.mapping is None else 2)


def ray_pool(address: str | None, workers: int) -> Ray | nullcontext[None]:
    """A Ray cluster, or nothing where none is asked for."""
    from openpair.pools import Ray

    return nullcontext() if address is None else Ray(address, workers)


def failure_text(failures: dict[str, str], expected: int) -> str:
    """What failed and why, in words that cannot be overlooked."""
    head = f"openpair cache: {len(failures)} of {expected} scenes FAILED and are in no store:"
    lines = [f"  {token}: {reason}" for token, reason in list(failures.items())[:FAILURES_SHOWN]]
    if len(failures) > FAILURES_SHOWN:
        lines.append(f"  ... and {len(failures) - FAILURES_SHOWN} more; the stores list every scene.")
    return "\n".join([head, *lines])


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
