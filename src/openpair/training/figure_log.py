"""Figures and pictures of a training run for programs that show them while it goes on: TensorBoard, W&B."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from openpair.errors import OpenPairError

LogKind = Literal["none", "tensorboard", "wandb"]

MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}
"""What each kind imports."""


class FigureLog(Protocol):
    """Takes figures and pictures as they come."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures of a step, by name."""
        ...

    def show(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Pictures (H, W, 3), RGB, of a step, by name."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class NoLog:
    """The curve file is all there is."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def show(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class TensorBoardLog:
    """Event files in a folder, for ``tensorboard --logdir``."""

    def __init__(self, module: Any, folder: Path) -> None:
        self._writer = module.SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def show(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbLog:
    """A run of Weights & Biases, named after the folder; a resumed branch goes on in the same one."""

    def __init__(self, module: Any, folder: Path) -> None:
        name = f"{folder.parent.name}-{folder.name}"
        self._image = module.Image
        self._run = module.init(project="openpair", name=name, id=name, dir=str(folder), resume="allow", reinit=True)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=step)

    def show(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        self._run.log({name: self._image(picture) for name, picture in pictures.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


def check_log(kind: LogKind) -> None:
    """Raise OpenPairError where the library of a kind of log is not installed."""
    _library(kind)


def open_log(kind: LogKind, folder: Path) -> FigureLog:
    """The log of a branch whose run folder this is. Raises OpenPairError where the library is not installed."""
    module = _library(kind)
    if module is None:
        return NoLog()
    return TensorBoardLog(module, folder) if kind == "tensorboard" else WandbLog(module, folder)


def _library(kind: LogKind) -> Any:
    if kind == "none":
        return None
    try:
        return importlib.import_module(MODULES[kind])
    except ImportError as error:
        raise OpenPairError(
            f"'{kind}' is not installed", where="--log", fix="pip install 'openpair[watch]', or leave --log out"
        ) from error
