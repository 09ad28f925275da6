"""Datasets by name: those of OpenPaIR and those that installed packages register.

A dataset is a class (:class:`openpair.datasets.base.Dataset`): its constructor takes ``root`` and typed options;
``ray_cast`` and ``fingerprint()`` say what sensors and stores have to know. What command lines may choose of it is in
:mod:`openpair.datasets.choice`.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from openpair.datasets.base import Dataset
from openpair.errors import OpenPairError
from openpair.registry import Registry

DATASETS: Final = Registry(
    "openpair.datasets",
    "dataset",
    {
        "world": "openpair.datasets.world.dataset:WorldDataset",
        "navsim": "openpair.datasets.navsim.dataset:NavsimDataset",
        "navsim_two_stage": "openpair.datasets.navsim.two_stage:TwoStageDataset",
        "argoverse2": "openpair.datasets.argoverse2.dataset:Argoverse2Dataset",
    },
)


def load_dataset_class(name: str) -> Any:
    """What opens a dataset of this name. Raises OpenPairError for an unknown one."""
    return DATASETS.load(name, where="--dataset")


def dataset_options(name: str) -> tuple[str, ...]:
    """Names of the options that a dataset is opened with, besides its folder."""
    return tuple(key for key in inspect.signature(load_dataset_class(name)).parameters if key != "root")


def open_dataset(name: str, root: Path | str | None = None, **options: Any) -> Dataset:
    """Open a dataset.

    Args:
        name: "world" (embedded, needs no root), "navsim", "navsim_two_stage" (option ``mapping``), "argoverse2", or
            what an installed package registers.
        root: its folder; None = the dataset's own default, where it has one.
        options: keyword arguments of the dataset's class; those that are None count as not given.

    Raises:
        OpenPairError: an unknown name or option, an option that is missing, or a folder that is not such a dataset.
    """
    dataset_class = load_dataset_class(name)
    given = {key: value for key, value in options.items() if value is not None}
    parameters = inspect.signature(dataset_class).parameters
    for option in given:
        if option not in parameters:
            close = get_close_matches(option, parameters, n=1)
            known = ", ".join(key for key in parameters if key != "root")
            hint = f"Did you mean '{close[0]}'" if close else f"It knows: {known}"
            raise OpenPairError(f"the dataset '{name}' has no option '{option}'", fix=hint)
    if root is not None:
        if "root" not in parameters:
            raise OpenPairError(f"the dataset '{name}' has no folder", where=root, fix="Leave --root out")
        given["root"] = root
    for option, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and option not in given:
            if option == "root":
                raise OpenPairError(f"the dataset '{name}' needs a folder", fix="Use --root FOLDER")
            raise OpenPairError(f"the dataset '{name}' needs '{option}'", fix=f"Give {option}")
    dataset = dataset_class(**given)
    if not isinstance(dataset, Dataset):
        raise OpenPairError(
            f"what is registered as the dataset '{name}' is none: it lacks a part of the interface",
            where=f"{type(dataset).__module__}.{type(dataset).__qualname__}",
            fix="See openpair.datasets.base.Dataset",
        )
    return dataset
