"""Our own checkpoints: parameters as safetensors, and beside them a JSON that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from openpair.checkpoints.networks import load_strictly, network_class
from openpair.checkpoints.plain import from_plain, to_plain
from openpair.checkpoints.weights import read_state
from openpair.checksums import hash_files, read_sealed_json, sealed_json
from openpair.damage import reading
from openpair.errors import OpenPairError
from openpair.files import whole_file
from openpair.kinds import network_kinds
from openpair.nn.registered import RegisteredNetwork
from openpair.registry import Registry

FORMAT_VERSION = 1


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint besides its parameters.

    Attributes:
        kind: name of the network.
        config: its configuration.
        seed: of the training run.
        metrics: figures of the training run by name.
        versions: package name -> version at the time of saving.
        notes: anything else worth keeping, such as the data it was trained on.
        sha256: of the file of parameters; None in checkpoints from before it was kept.
    """

    kind: str
    config: Any
    seed: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None


def save_checkpoint(
    path: Path,
    network: RegisteredNetwork,
    *,
    seed: int | None = None,
    metrics: Mapping[str, float] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write ``path`` (``.safetensors``) and, beside it, a JSON with kind, configuration, versions, seed and metrics.

    Both are written whole or not at all; the JSON last, so that a checkpoint with a JSON is complete.
    """
    if path.suffix != ".safetensors":
        raise OpenPairError("a checkpoint's name ends in .safetensors", where=path)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    record = {
        "format": FORMAT_VERSION,
        "kind": network.kind,
        "config": to_plain(network.config),
        "seed": seed,
        "metrics": dict(metrics or {}),
        "versions": _versions(),
        "notes": dict(notes or {}),
    }
    size_bytes = sum(value.nbytes for value in tensors.values())
    with whole_file(path.with_suffix(".json")) as json_part, whole_file(path, size_bytes=size_bytes) as part:
        save_file(tensors, part)
        record["sha256"] = hash_files([part])
        json_part.write_bytes(sealed_json(record, end="\n", indent=2))
        path.with_suffix(".json").unlink(missing_ok=True)


def load_checkpoint(path: Path, kind: str | Registry | None = None) -> tuple[RegisteredNetwork, CheckpointInfo]:
    """A saved network in eval mode, and what is known of it.

    Args:
        path: the ``.safetensors`` file; its JSON lies beside it.
        kind: the network that is expected, or the part of the planner (:mod:`openpair.kinds`) that it is to play.

    Raises:
        OpenPairError: a file is missing or damaged, or holds another network.
    """
    kinds = kind if isinstance(kind, Registry) else None
    info = read_info(path, kinds)
    if isinstance(kind, str) and info.kind != kind:
        raise OpenPairError(
            f"this is a checkpoint of '{info.kind}', not of '{kind}'",
            where=path,
            fix="Give the checkpoint of the right network",
        )
    built = network_class(info.kind, kinds)
    if kinds is not None and (info.kind not in kinds or built.config_class.kinds is not kinds):
        raise OpenPairError(
            f"this is a checkpoint of '{info.kind}', which is no {kinds.what}",
            where=path,
            fix="Give the checkpoint of the right network",
        )
    try:
        network = built(info.config)
    except Exception as error:  # sizes from a file, which need not fit together
        raise OpenPairError(
            f"the network that the checkpoint's JSON describes cannot be built ({type(error).__name__}: {error})",
            where=path.with_suffix(".json"),
            fix="Restore it or train again",
        ) from error
    state = read_state(path)
    if info.sha256 not in (None, hash_files([path])):
        raise OpenPairError(
            "the parameters are not those that were saved with the JSON beside them",
            where=path,
            fix="Keep both files of a checkpoint together, or copy both again",
        )
    load_strictly(network, state, where=str(path))
    return network.eval(), info


def read_info(path: Path, kinds: Registry | None = None) -> CheckpointInfo:
    """What is known of a saved network, without its parameters.

    Args:
        path: the ``.safetensors`` file.
        kinds: the part of the planner whose kinds are meant, where two parts have kinds of that name.

    Raises OpenPairError for a missing or damaged JSON, and for a kind that nobody registers.
    """
    beside = path.with_suffix(".json")
    if not beside.exists():
        raise OpenPairError(
            "the checkpoint's JSON is missing", where=beside, fix="Keep both files of a checkpoint together"
        )
    with reading(beside, "the checkpoint's JSON", fix="Restore it or train again"):
        record = read_sealed_json(beside)
        if record["format"] != FORMAT_VERSION:
            raise OpenPairError(
                f"the checkpoint has format {record['format']}, this version reads {FORMAT_VERSION}",
                where=beside,
                fix="Use the version of OpenPaIR that wrote it",
            )
        kind = str(record["kind"])
        if kind not in network_kinds():
            raise OpenPairError(
                f"the checkpoint is of an unknown network '{kind}'",
                where=beside,
                fix="Install the package that registers it",
            )
        return CheckpointInfo(
            kind,
            from_plain(network_class(kind, kinds).config_class, record["config"]),
            record["seed"],
            dict(record["metrics"]),
            dict(record["versions"]),
            dict(record["notes"]),
            record.get("sha256"),
        )


def _versions() -> dict[str, str]:
    found = {}
    for package in ("openpair", "torch", "timm", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
