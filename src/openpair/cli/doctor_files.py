"""What ``openpair doctor`` says of single files: checkpoints, plans, lists of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openpair.cli.doctor_check import Check
from openpair.errors import OpenPairError

SCENE_LISTS = (".csv", ".txt", ".yaml", ".yml")


def file_checks(files: Sequence[Path]) -> list[Check]:
    """A finding for each file, by what its name ends in: .npz are plans, lists name scenes, others are checkpoints."""
    return [_file_check(path) for path in files]


def _file_check(path: Path) -> Check:
    try:
        if path.suffix == ".npz":
            return _plans(path)
        return _scenes(path) if path.suffix in SCENE_LISTS else _checkpoint(path)
    except OpenPairError as error:
        return Check(str(path), "missing", error.what, error.fix)


def _plans(path: Path) -> Check:
    from openpair.evaluation.plans_file import read_plans

    return Check(str(path), "ok", f"plans of {len(read_plans(path).tokens)} scenes")


def _scenes(path: Path) -> Check:
    from openpair.datasets.navsim.scene_filter import read_scene_filter

    tokens = read_scene_filter(path).tokens
    if tokens is None:
        return Check(str(path), "ok", "a scene filter that names no tokens")
    return Check(str(path), "ok", f"{len(tokens)} tokens, the first is '{next(iter(tokens), '')}'")


def _checkpoint(path: Path) -> Check:
    from openpair.checkpoints import read_info, read_weights, recognise

    weights = read_weights(path)
    if path.with_suffix(".json").exists():
        kind = read_info(path).kind
    else:
        kind = f"a released {recognise(weights.tensors, where=str(path))}"
    notes = [f"{kind}, {len(weights.tensors)} parameters"]
    if weights.taken_from:
        notes.append(f"in '{weights.taken_from}'")
    if weights.left_out:
        notes.append(f"besides them it holds {', '.join(weights.left_out[:3])}, which is left out")
    if weights.foreign:
        notes.append(f"it names {', '.join(weights.foreign[:3])}, which is not built")
    return Check(str(path), "ok", "; ".join(notes))
