"""``openpair import-checkpoint``: a released checkpoint becomes one of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

NAMES_SHOWN = 6


@dataclass(frozen=True)
class ImportCheckpoint:
    """Read a checkpoint that was released with PaIR-Drive, NAVSIM or DiffusionDrive, and write it as OpenPaIR's own.

    Nothing in the file is executed, and what is no tensor is left out. Wrappers' prefixes (module., _orig_mod., model.,
    agent. ...) are taken off; of a file that holds averaged parameters (EMA) beside the others, those are taken.
    Parameters that are missing, of another shape or (reward model) unexpected are
    named, and nothing is written. Three of them make a run folder that 'openpair eval' drives with:
    il/policy.safetensors, rl/sampler.safetensors and reward/reward_model.safetensors.

    Example: openpair import-checkpoint tree.ckpt --kind parallel_ir --out runs/released/rl/sampler.safetensors
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The released file: PyTorch (Lightning or state dict) or safetensors."""

    out: Path
    """Where to write; ends in .safetensors. A JSON of the same name comes to lie beside it."""

    kind: str | None = None
    """Which network it is: transfuser, diffusiondrive, parallel_ir, rwm, or a registered one of another package. May be
    left out where the parameters tell."""

    def run(self) -> int:
        """Import; say what was written and what the file holds besides."""
        from openpair.checkpoints import (
            load_released,
            network_class,
            own_names,
            read_weights,
            recognise,
            save_checkpoint,
        )
        from openpair.features.config import FeatureConfig
        from openpair.planning.networks import features_note

        weights = read_weights(self.file)
        kind = self.kind or recognise(weights.tensors, where=str(self.file))
        network = load_released(weights.tensors, kind, where=str(self.file))
        notes = {**features_note(FeatureConfig.published()), "imported from": self.file.name}
        save_checkpoint(self.out, network, notes=notes)
        own = network.state_dict()
        print(f"{self.out}: {kind}, {sum(p.numel() for p in network.parameters()):,} parameters")
        if weights.taken_from:
            print(f"taken from: {weights.taken_from}")
        others = [name for name in own_names(weights.tensors, network_class(kind)) if name not in own]
        for what, names in (
            ("not part of the network, left out", others),
            ("no parameters, left out", weights.left_out),
            ("classes in the file, not built", weights.foreign),
        ):
            if names:
                shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
                print(f"{what}: {len(names)} ({shown})")
        return 0
