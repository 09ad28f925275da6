"""The networks that come with the package: small ones of the embedded world, without vision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

PRETRAINED: Final = "pretrained"
"""Name that stands for their run folder wherever a run folder is asked for."""

FOLDER: Final = Path(__file__).parent / "data" / PRETRAINED


def run_folder(path: Path) -> Path:
    """The run folder that a path means: the package's own for ``pretrained``, unless there is a file of that name."""
    return FOLDER if str(path) == PRETRAINED and not path.exists() else path


def read_provenance() -> dict[str, Any]:
    """How they were made: ``command``, ``seed``, ``machine``, hashes and versions."""
    made: dict[str, Any] = json.loads((FOLDER / "run.json").read_text(encoding="utf-8"))
    return made
