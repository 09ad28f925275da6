"""How a seed was made: machine, versions, hashes. Written when it begins: the page tells of that moment."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openpair.checksums import read_sealed_json, sealed_json
from openpair.damage import reading
from openpair.evaluation.summary import versions
from openpair.files import write_atomically
from openpair.reproduction.code_version import source_hash
from openpair.reproduction.scoring import seed_folder

RUN_FILE, TIMING_FILE = "run.json", "timing.json"
WHOLE = "whole"
"""Part of timing.json that is the time from beginning to end; others may have run side by side."""


@dataclass(frozen=True)
class SeedRecord:
    """How a seed was made.

    Attributes:
        seed: which.
        command: that made it.
        machine: "2 cores, AMD EPYC".
        data: fingerprints of the data by name ("train", "val", "test").
        configuration: hash of the settings, the seed left out.
        code: hash of the package's source.
        versions: of OpenPaIR, Python and what computes.
    """

    seed: int
    command: str
    machine: str
    data: dict[str, str]
    configuration: str
    code: str
    versions: dict[str, str] = field(default_factory=dict)


def record_seed(run: Path, seed: int, *, command: str, configuration: Any, data: dict[str, str]) -> SeedRecord:
    """Write ``seed-<seed>/run.json``, in place of an older one.

    Args:
        run: run folder.
        seed: which seed.
        command: as a reader would type it.
        configuration: settings as plain data (:func:`openpair.checkpoints.to_plain`), without the seed.
        data: fingerprints of the data by name.
    """
    text = json.dumps(configuration, sort_keys=True)
    record = SeedRecord(
        seed,
        command,
        machine(),
        data,
        hashlib.sha256(text.encode()).hexdigest()[:16],
        source_hash(),
        versions(),
    )
    folder = seed_folder(run, seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RUN_FILE, sealed_json(asdict(record), end="\n", indent=2))
    return record


def read_record(run: Path, seed: int) -> SeedRecord | None:
    """The record of a seed; None where none was written. Raises OpenPairError for a damaged one."""
    path = seed_folder(run, seed) / RUN_FILE
    if not path.exists():
        return None
    with reading(path, "the record of a seed", fix="Run the seed again"):
        return SeedRecord(**read_sealed_json(path))


def read_seconds(run: Path, seed: int) -> dict[str, float]:
    """Seconds of each part of a seed, from ``timing.json``; empty where there is none."""
    path = seed_folder(run, seed) / TIMING_FILE
    if not path.exists():
        return {}
    with reading(path, "the times of a seed", fix="Remove the file"):
        return {part: float(seconds) for part, seconds in read_sealed_json(path).items()}


def whole_seconds(parts: Mapping[str, float]) -> float:
    """Seconds of a seed from beginning to end; the sum of its parts where that was not noted."""
    return parts.get(WHOLE, sum(parts.values()))


def machine() -> str:
    """Cores this process may use, and the processor: ``2 cores, AMD EPYC``; that float32 takes the place of
    bfloat16, where the processor has none; and the GPU, where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [f"{cores} core{'s' if cores > 1 else ''}", _processor()]
    import torch

    from openpair.training.optimiser import computes_bfloat16

    if not computes_bfloat16("cpu"):
        parts.append("float32 in place of bfloat16")
    if torch.cuda.is_available():
        parts.append(f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    return ", ".join(parts)


def _processor() -> str:
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [line.split(":", 1)[1].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
        if names and names[0]:
            return names[0]
    return platform.processor() or platform.machine()
