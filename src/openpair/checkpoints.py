"""Networks on disk: the released checkpoints, and our own as safetensors beside JSON. Nothing in a file is executed."""

from __future__ import annotations

import dataclasses
import json
import pickle
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from openpair.datatypes.settings import unused_settings
from openpair.errors import OpenPairError
from openpair.files import whole_file
from openpair.policies.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from openpair.policies.transfuser import Transfuser, TransfuserConfig
from openpair.rewards.pose_aware import PoseAwareConfig, PoseAwareRewardModel
from openpair.rewards.world_model import RewardWorldModel, RewardWorldModelConfig
from openpair.samplers.flat import FlatSampler, FlatSamplerConfig
from openpair.samplers.kinematic_tree import KinematicTree, KinematicTreeConfig
from openpair.samplers.parallel_ir import ParallelIR, ParallelIRConfig

FORMAT_VERSION = 1

NETWORKS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    Transfuser.kind: (Transfuser, TransfuserConfig),
    DiffusionDrive.kind: (DiffusionDrive, DiffusionDriveConfig),
    ParallelIR.kind: (ParallelIR, ParallelIRConfig),
    KinematicTree.kind: (KinematicTree, KinematicTreeConfig),
    FlatSampler.kind: (FlatSampler, FlatSamplerConfig),
    RewardWorldModel.kind: (RewardWorldModel, RewardWorldModelConfig),
    PoseAwareRewardModel.kind: (PoseAwareRewardModel, PoseAwareConfig),
}
"""Kind -> network and its configuration."""

RELEASED_PREFIXES = ("agent._transfuser_model.", "agent.WoTE_model.", "_transfuser_model.", "WoTE_model.")
"""What stands before a parameter's name in the released files."""

TREE_ALIASES = tuple(f"branch_tree.head_{name}.mlp." for name in ("left", "center", "right", "behind"))
"""Second names of the last level's heads, in tree checkpoints that were saved after a forward pass."""

TELLING_PARAMETERS = {
    ParallelIR.kind: "branch_tree.branch_type_embed.weight",
    RewardWorldModel.kind: "reward_trunk.0.weight",
    DiffusionDrive.kind: "_trajectory_head.plan_anchor",
    Transfuser.kind: "_trajectory_head._mlp.0.weight",
}
"""A parameter of each released network that the kinds after it do not have."""

LATENT_PARAMETER = "_backbone.lidar_latent"
"""Only TransFuser's camera-only variant has it."""

NAMES_SHOWN = 6
"""At most so many names of parameters are shown in a sentence."""


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
    """

    kind: str
    config: Any
    seed: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def network_kind(config: Any) -> str:
    """The kind of network that a configuration describes. Raises OpenPairError for one that describes none."""
    for kind, (_, config_class) in NETWORKS.items():
        if isinstance(config, config_class):
            return kind
    raise OpenPairError(f"a {type(config).__name__} describes no network", where="config")


def build_network(kind: str, config: Any = None) -> nn.Module:
    """A fresh network of a kind; without a configuration the published size, or the small one where none is published.

    Raises OpenPairError for an unknown kind and for a configuration of another kind.
    """
    if kind not in NETWORKS:
        raise OpenPairError(f"there is no network '{kind}'", where="kind", fix=f"choose from {', '.join(NETWORKS)}")
    network_class, config_class = NETWORKS[kind]
    if config is not None and not isinstance(config, config_class):
        raise OpenPairError(
            f"a {type(config).__name__} does not configure '{kind}'", where="config", fix=f"use {config_class.__name__}"
        )
    return network_class(config)


# ------------------------------------------------------------------------------------------------ released checkpoints


def load_released(source: str | Path | Mapping[str, Tensor], kind: str, *, where: str | None = None) -> nn.Module:
    """A released checkpoint as a network in eval mode.

    Args:
        source: a file (PyTorch or safetensors) or a state dict.
        kind: "transfuser" (the camera-only variant is recognised), "diffusiondrive", "parallel_ir" or "rwm".
        where: names the source in complaints; the file, unless said.

    Raises:
        OpenPairError: the file cannot be read without executing code, or its parameters are not those of the network;
            missing, unexpected and differently shaped parameters are named.
    """
    raw = read_state(Path(source)) if isinstance(source, (str, Path)) else source
    where = where or (f"state dict of {len(raw)} tensors" if raw is source else str(source))
    state = released_names(raw)
    latent = kind == Transfuser.kind and LATENT_PARAMETER in state
    network = build_network(kind, TransfuserConfig.published_latent() if latent else None)
    known = set(network.state_dict())
    # The original loads all but the reward model leniently; files carry parts that the network never runs.
    if kind != RewardWorldModel.kind:
        state = {name: value for name, value in state.items() if name in known}
    load_strictly(network, state, where=where)
    return network.eval()


def recognise(state: Mapping[str, Tensor], *, where: str) -> str:
    """Which of the released networks a file holds, by its parameters. Raises OpenPairError for none of them."""
    names = released_names(state)
    for kind, parameter in TELLING_PARAMETERS.items():
        if parameter in names:
            return kind
    raise OpenPairError(
        "the parameters are those of none of the released networks",
        where=where,
        fix=f"Give a checkpoint of {', '.join(TELLING_PARAMETERS)}",
    )


def released_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters under their own names: without the file's prefix and without second names of the tree's heads."""
    prefix = next((p for p in RELEASED_PREFIXES if any(name.startswith(p) for name in state)), "")
    stripped = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    return {name: value for name, value in stripped.items() if not name.startswith(TREE_ALIASES)}


def read_state(path: Path) -> dict[str, Tensor]:
    """Parameters by name from a PyTorch or safetensors file, without executing anything from it.

    Lightning files keep them below ``state_dict``. Raises OpenPairError for a missing, truncated or foreign file.
    """
    if not path.is_file():
        raise OpenPairError("there is no such checkpoint file", where=path, fix="check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise OpenPairError(
            "the file is not a checkpoint that can be read without executing code from it",
            where=path,
            fix="give a file of plain tensors (torch.save of a state dict, or safetensors)",
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise OpenPairError("the file holds no state dict", where=path, fix="give a file of named tensors")
    return {str(name): value for name, value in state.items()}


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Load parameters; nothing may be missing, left over or of another shape.

    Raises OpenPairError that names what differs; the network is unchanged then.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    complaints = [
        f"{len(names)} {what} ({_some(names)})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if complaints:
        raise OpenPairError(
            f"the parameters are not those of {type(network).__name__}: {'; '.join(complaints)}",
            where=where,
            fix="load it as the kind and size it was saved as",
        )
    network.load_state_dict(state)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown}, ..."


# ----------------------------------------------------------------------------------------------------- our checkpoints


def save_checkpoint(
    path: Path,
    network: nn.Module,
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
    with whole_file(path.with_suffix(".json")) as json_part:
        json_part.write_text(json.dumps(record, indent=2) + "\n")
        with whole_file(path, size_bytes=sum(value.nbytes for value in tensors.values())) as part:
            save_file(tensors, part)
            path.with_suffix(".json").unlink(missing_ok=True)


def load_checkpoint(path: Path, kind: str | None = None) -> tuple[nn.Module, CheckpointInfo]:
    """A saved network in eval mode, and what is known of it.

    Args:
        path: the ``.safetensors`` file; its JSON lies beside it.
        kind: the network that is expected, or one of several separated by "|".

    Raises:
        OpenPairError: a file is missing or damaged, or holds another network.
    """
    info = read_info(path)
    if kind is not None and info.kind not in kind.split("|"):
        raise OpenPairError(
            f"this is a checkpoint of '{info.kind}', not of '{kind.replace('|', ' or ')}'",
            where=path,
            fix="give the checkpoint of the right network",
        )
    network = build_network(info.kind, info.config)
    load_strictly(network, read_state(path), where=str(path))
    return network.eval(), info


def read_info(path: Path) -> CheckpointInfo:
    """What is known of a saved network, without its parameters."""
    beside = path.with_suffix(".json")
    try:
        record = json.loads(beside.read_text())
        if record["format"] != FORMAT_VERSION:
            raise OpenPairError(
                f"the checkpoint has format {record['format']}, this version reads {FORMAT_VERSION}",
                where=beside,
                fix="use the version of OpenPaIR that wrote it",
            )
        kind = str(record["kind"])
        if kind not in NETWORKS:
            raise OpenPairError(f"the checkpoint is of an unknown network '{kind}'", where=beside)
        return CheckpointInfo(
            kind,
            from_plain(NETWORKS[kind][1], record["config"]),
            record["seed"],
            dict(record["metrics"]),
            dict(record["versions"]),
            dict(record["notes"]),
        )
    except FileNotFoundError as error:
        raise OpenPairError(
            "the checkpoint's JSON is missing", where=beside, fix="keep both files of a checkpoint together"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OpenPairError(
            f"the checkpoint's JSON is damaged ({error})", where=beside, fix="restore it or train again"
        ) from error


def _versions() -> dict[str, str]:
    found = {}
    for package in ("openpair", "torch", "timm", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


# -------------------------------------------------------------------------------------------- configurations as JSON


def to_plain(value: Any, *, unused: bool = True) -> Any:
    """A configuration as JSON values; nested dataclasses carry the name of their class under ``"is"``.

    Without ``unused``, later settings at their defaults are left out (:mod:`openpair.datatypes.settings`).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        left_out = set() if unused else unused_settings(value)
        names = [f.name for f in dataclasses.fields(value) if f.name not in left_out]
        return {"is": type(value).__name__, **{name: to_plain(getattr(value, name), unused=unused) for name in names}}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item, unused=unused) for item in value]
    return value


def from_plain(wanted: Any, value: Any) -> Any:
    """The reverse of :func:`to_plain`, by the type hints of dataclass ``wanted``; fields left out keep their defaults.

    Raises ValueError for fields and classes that ``wanted`` does not know.
    """
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return _from_union(typing.get_args(wanted), value)
    if dataclasses.is_dataclass(wanted):
        name = getattr(wanted, "__name__", "")
        if value["is"] != name:
            raise ValueError(f"a {value['is']} stands where a {name} belongs")
        hints = typing.get_type_hints(wanted)
        # A class names settings that it no longer has: files from before stay readable.
        given = {k: v for k, v in value.items() if k != "is" and k not in getattr(wanted, "RETIRED", ())}
        if unknown := given.keys() - hints.keys():
            raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
        return typing.cast(Any, wanted)(**{key: from_plain(hints[key], item) for key, item in given.items()})
    if origin is tuple:
        args = typing.get_args(wanted)
        repeated = len(args) == 2 and args[1] is Ellipsis
        if not repeated and len(args) != len(value):
            raise ValueError(f"{len(value)} values stand where {len(args)} belong")
        return tuple(from_plain(args[0] if repeated else args[i], item) for i, item in enumerate(value))
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return wanted(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, type) and not isinstance(value, wanted):
        raise ValueError(f"{value!r} stands where a {wanted.__name__} belongs")
    return value


def _from_union(options: tuple[Any, ...], value: Any) -> Any:
    for option in options:
        if typing.get_origin(option) is typing.Literal and value in typing.get_args(option):
            return value
        is_class = isinstance(value, dict) and getattr(option, "__name__", None) == value.get("is")
        if is_class or (value is None and option is type(None)):
            return from_plain(option, value) if is_class else None
    plain = [o for o in options if isinstance(o, type) and not dataclasses.is_dataclass(o) and o is not type(None)]
    if value is not None and not isinstance(value, dict) and plain:
        return from_plain(plain[0], value)
    raise ValueError(f"{value!r} is none of the known choices")
