"""Released checkpoints: which network a file holds, and its parameters under the network's own names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from openpair.checkpoints.networks import load_strictly, network_class
from openpair.checkpoints.weights import read_state
from openpair.errors import OpenPairError
from openpair.kinds import POLICIES, REWARD_MODELS, SAMPLERS
from openpair.nn.registered import RegisteredNetwork

WRAPPERS = ("module", "_orig_mod")
"""Parts of a name that DistributedDataParallel and torch.compile put in, wherever they wrapped a module."""

PREFIXES = ("agent.", "model.", "network.", "net.", "_transfuser_model.", "WoTE_model.")
"""What training code puts before all names; taken off where the parameter that tells a network is not there."""


def released_kinds() -> tuple[str, ...]:
    """Kinds of which released files can be recognised; the most special first: a released tree sampler holds the plan
    head of a policy as well."""
    names = [(kind, kinds) for kinds in (SAMPLERS, REWARD_MODELS, POLICIES) for kind in kinds.names()]
    return tuple(kind for kind, kinds in names if network_class(kind, kinds).telling_parameter is not None)


def load_released(
    source: str | Path | Mapping[str, Tensor], kind: str, *, where: str | None = None
) -> RegisteredNetwork:
    """A released checkpoint as a network in eval mode.

    Args:
        source: a file (PyTorch or safetensors) or a state dict.
        kind: which network ("transfuser", whose camera-only variant is recognised, "parallel_ir" ...).
        where: names the source in complaints; the file, unless said.

    Raises:
        OpenPairError: the file cannot be read without executing code, or its parameters are not those of the network;
            missing, unexpected and differently shaped parameters are named.
    """
    raw = read_state(Path(source)) if isinstance(source, (str, Path)) else source
    where = where or (f"state dict of {len(raw)} tensors" if raw is source else str(source))
    built = network_class(kind)
    state = own_names(raw, built)
    network = built(built.released_config(state))
    if built.lenient:  # such files carry parts that the network never runs
        known = set(network.state_dict())
        state = {name: value for name, value in state.items() if name in known}
    load_strictly(network, state, where=where)
    return network.eval()


def recognise(state: Mapping[str, Tensor], *, where: str) -> str:
    """Which of the released networks a file holds, by its parameters. Raises OpenPairError for none of them."""
    kinds = released_kinds()
    for kind in kinds:
        if _prefixes(state, network_class(kind)):
            return kind
    raise OpenPairError(
        "the parameters are those of none of the released networks",
        where=where,
        fix=f"Give a checkpoint of {', '.join(kinds)}",
    )


def own_names(state: Mapping[str, Tensor], network: type[RegisteredNetwork]) -> dict[str, Tensor]:
    """Parameters of a network under its own names, whatever they were wrapped in.

    The prefix is what stands before the parameter that tells the network. Where several have one (a file with averaged
    parameters beside the others, say), the averaged ones are taken, or those with the most parameters. Parameters
    without the prefix belong to something else.
    """
    unwrapped = {_unwrapped(name): value for name, value in state.items()}
    prefixes = _prefixes(state, network)
    if not prefixes:
        return _without_common_prefixes(unwrapped)
    count = {prefix: sum(name.startswith(prefix) for name in unwrapped) for prefix in prefixes}
    prefix = max(prefixes, key=lambda one: ("ema" in one.lower(), count[one]))
    return {name[len(prefix) :]: value for name, value in unwrapped.items() if name.startswith(prefix)}


def _prefixes(state: Mapping[str, Tensor], network: type[RegisteredNetwork]) -> list[str]:
    """What stands before the parameter that tells a network, in the order of the file."""
    telling = network.telling_parameter
    if telling is None:
        return []
    names = [_unwrapped(name) for name in state]
    return [name.removesuffix(telling) for name in names if name == telling or name.endswith(f".{telling}")]


def _without_common_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while shared := next((one for one in PREFIXES if state and all(name.startswith(one) for name in state)), None):
        state = {name.removeprefix(shared): value for name, value in state.items()}
    return state


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
