"""Image-like encoders from timm, cut into the stages between which camera and LiDAR are fused."""

from __future__ import annotations

import difflib
from typing import Any, cast

from torch import Tensor, nn

from openpair.errors import OpenPairError

NUM_STAGES = 4


def build_encoder(name: str, in_channels: int, *, pretrained: bool = False) -> nn.Module:
    """A timm network that yields feature maps, by timm's name ("resnet34", "regnetx_002", "lcnet_050" ...).

    Raises OpenPairError for a name timm does not know and for networks without maps at strides 4, 8, 16 and 32.
    """
    import timm  # with torchvision the most expensive import of all, and small networks do without it

    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "timm.list_models() lists all names"
        raise OpenPairError(f"timm has no encoder '{name}'", where="image_encoder / lidar_encoder", fix=hint)
    encoder = timm.create_model(name, pretrained=pretrained, features_only=True, in_chans=in_channels)
    if _feature_info(encoder).reduction()[-NUM_STAGES:] != [4, 8, 16, 32]:
        raise OpenPairError(
            f"encoder '{name}' has no feature maps at strides 4, 8, 16 and 32",
            where="image_encoder / lidar_encoder",
            fix="choose a convolutional network such as resnet34",
        )
    return encoder


def stage_channels(encoder: nn.Module) -> list[int]:
    """Channels of the four stages."""
    return list(_feature_info(encoder).channels()[-NUM_STAGES:])


def _feature_info(encoder: nn.Module) -> Any:
    return encoder.feature_info


def stages(encoder: nn.Module) -> list[list[nn.Module]]:
    """Modules to run, in order, to get from each stage's map to the next; the first list starts at the input.

    timm names its stages in two ways: networks whose children are the stages, and networks with a list of blocks.
    """
    return_layers = getattr(encoder, "return_layers", None)
    if return_layers is not None:
        children = list(encoder.named_children())
        ends = [i for i, (name, _) in enumerate(children) if name in return_layers]
        modules = [module for _, module in children]
    else:
        stem = [module for name, module in encoder.named_children() if name in ("conv_stem", "bn1", "act1")]
        blocks = list(cast(nn.ModuleList, encoder.blocks))
        modules = stem + blocks
        # timm counts the stem as stage 0 of these networks; stage s ends with block s - 1.
        wanted = [int(info["stage"]) for info in _feature_info(encoder).get_dicts()]
        ends = [len(stem) - 1 + stage for stage in wanted]
    ends = ends[-NUM_STAGES:]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [modules[start : end + 1] for start, end in zip(starts, ends, strict=True)]


def run_stage(modules: list[nn.Module], x: Tensor) -> Tensor:
    """Run the modules of one stage."""
    for module in modules:
        x = module(x)
    return x
