"""Datasets by name."""

from __future__ import annotations

import importlib
import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from openpair.datasets.base import Dataset
from openpair.errors import OpenPairError

_CLASSES: Final = {
    "world": ("openpair.datasets.world.dataset", "WorldDataset"),
    "navsim": ("openpair.datasets.navsim.dataset", "NavsimDataset"),
    "navsim_two_stage": ("openpair.datasets.navsim.two_stage", "TwoStageDataset"),
    "argoverse2": ("openpair.datasets.argoverse2.dataset", "Argoverse2Dataset"),
}

DATASET_NAMES: Final = tuple(_CLASSES)


def open_dataset(name: str, root: Path | str | None = None, **options: Any) -> Dataset:
    """Open a dataset.

    Args:
        name: "world" (embedded, needs no root), "navsim", "navsim_two_stage" (option ``mapping``) or "argoverse2".
        root: its folder; None = the dataset's own default, where it has one.
        options: keyword arguments of the dataset's class; those that are None count as not given.

    Raises:
        OpenPairError: an unknown name or option, or a folder that is not such a dataset.
    """
    if name not in _CLASSES:
        close = get_close_matches(name, _CLASSES, n=1)
        hint = f"Did you mean '{close[0]}'" if close else f"There are: {', '.join(_CLASSES)}"
        raise OpenPairError(f"there is no dataset '{name}'", fix=hint)
    module, class_name = _CLASSES[name]
    dataset_class = getattr(importlib.import_module(module), class_name)
    given = {key: value for key, value in options.items() if value is not None}
    parameters = inspect.signature(dataset_class).parameters
    for option in given:
        if option not in parameters:
            close = get_close_matches(option, parameters, n=1)
            known = ", ".join(key for key in parameters if key != "root")
            hint = f"Did you mean '{close[0]}'" if close else f"It knows: {known}"
            raise OpenPairError(f"the dataset '{name}' has no option '{option}'", fix=hint)
    if root is not None:
        given["root"] = root
    elif parameters["root"].default is inspect.Parameter.empty:
        raise OpenPairError(f"the dataset '{name}' needs a folder", fix="Use --root FOLDER")
    dataset: Dataset = dataset_class(**given)
    return dataset
