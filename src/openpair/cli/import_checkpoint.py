"""``openpair import-checkpoint``: a released checkpoint becomes one of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

NAMES_SHOWN = 6


@dataclass(frozen=True)
class ImportCheckpoint:
    """Read a checkpoint that was released with PaIR-Drive, NAVSIM or DiffusionDrive, and write it as OpenPaIR's own.

    Nothing in the file is executed. Parameters that are missing, of another shape or (reward model) unexpected are
    named, and nothing is written. Three of them make a run folder that 'openpair eval' drives with:
    il/policy.safetensors, rl/sampler.safetensors and reward/reward_model.safetensors.

    Example: openpair import-checkpoint tree.ckpt --kind parallel_ir --out runs/released/rl/sampler.safetensors
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The released file: PyTorch (Lightning or state dict) or safetensors."""

    kind: Literal["transfuser", "diffusiondrive", "parallel_ir", "rwm"]
    """Which network it is."""

    out: Path
    """Where to write; ends in .safetensors. A JSON of the same name comes to lie beside it."""

    def run(self) -> int:
        """Import; say what was written and what the file holds besides."""
        from openpair.checkpoints import load_released, read_state, released_names, save_checkpoint
        from openpair.features.config import FeatureConfig
        from openpair.planning.networks import features_note

        state = read_state(self.file)
        network = load_released(state, self.kind, where=str(self.file))
        notes = {**features_note(FeatureConfig.published()), "imported from": self.file.name}
        save_checkpoint(self.out, network, notes=notes)
        own = network.state_dict()
        print(f"{self.out}: {self.kind}, {sum(p.numel() for p in network.parameters()):,} parameters")
        if ignored := [name for name in released_names(state) if name not in own]:
            shown = ", ".join(ignored[:NAMES_SHOWN]) + (", ..." if len(ignored) > NAMES_SHOWN else "")
            print(f"not part of the network, left out: {len(ignored)} ({shown})")
        return 0
