"""Which scenes of a dataset commands mean by --split, --tokens and the like, as options that open it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from openpair.datasets.registry import dataset_options, load_dataset_class
from openpair.errors import OpenPairError


@dataclass(frozen=True)
class SceneChoice:
    """Which scenes are wanted; None where nothing is said.

    Attributes:
        split: part of the dataset.
        tokens: file that names the scenes.
        max_scenes: so many alone, spread evenly.
        mapping: a two-stage set: file that says which second-stage scenes follow which.
        second_stage: folder of its second stage.
    """

    split: str | None = None
    tokens: Path | None = None
    max_scenes: int | None = None
    mapping: Path | None = None
    second_stage: Path | None = None

    def given(self) -> dict[str, Any]:
        """What is said, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


REFUSED = {
    "tokens": "takes no list of scenes",
    "max_scenes": "cannot be asked for a number of scenes",
    "mapping": "has no second stage unless two stages are asked for (--stages 2)",
    "second_stage": "has no second stage unless two stages are asked for (--stages 2)",
}
"""What is said where a dataset has no use for a choice; an unknown split is the dataset's own affair."""


def choose_scenes(
    dataset: str, root: Path | str | None, choice: SceneChoice, *, use: str = "test", stages: int = 1
) -> tuple[str, dict[str, Any]]:
    """Name and options for :func:`~openpair.datasets.registry.open_dataset`.

    A dataset's class may offer ``scene_options(root, choice) -> options``; otherwise the choices are options of its
    constructor by their names. ``default_splits`` (use -> split) says what an unnamed split means for "train",
    "validation" and "test"; ``two_stage`` names the dataset that evaluates in two stages.

    Args:
        dataset: a registered name.
        root: its folder.
        choice: which scenes.
        use: what for.
        stages: 1 or 2.

    Raises OpenPairError for an unknown dataset, and for choices that it does not offer.
    """
    dataset_class = load_dataset_class(dataset)
    if stages == 2:
        dataset = getattr(dataset_class, "two_stage", None) or _refuse_stages(dataset)
        dataset_class = load_dataset_class(dataset)
    given = choice.given()
    if "split" not in given and (usual := getattr(dataset_class, "default_splits", {}).get(use)) is not None:
        given["split"] = usual
    if hasattr(dataset_class, "scene_options"):
        return dataset, dataset_class.scene_options(root, SceneChoice(**given))
    for name in given.keys() - set(dataset_options(dataset)):
        if name in REFUSED:
            raise OpenPairError(
                f"the dataset {dataset} {REFUSED[name]}", where=f"--{name.replace('_', '-')}", fix="Leave it out"
            )
    return dataset, given


def _refuse_stages(dataset: str) -> str:
    raise OpenPairError(f"the dataset {dataset} has one stage", where="--stages", fix="Use --dataset navsim")
