"""What ``openpair doctor`` looks at on any machine: versions, cores, memory, GPU, disk."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from openpair import __version__
from openpair.cli.doctor_check import Check
from openpair.machine import memory_bytes

NEEDED_DISK_GB = 5.0
EXTRAS = {
    "train": "plan with networks and train them: pip install 'openpair[train]'",
    "world": "build other towns than the embedded one: pip install 'openpair[world]'",
    "ray": "work on a cluster: pip install 'openpair[ray]'",
}


def machine_checks(cache: Path | None) -> list[Check]:
    """Findings about this machine. ``cache``: folder whose disk counts; None = the user's cache folder."""
    return [_versions(), *_extras(), _cores(), _gpu(), _disk(cache)]


def _requirements(extra: str | None) -> list[Requirement]:
    found = []
    for text in requires("openpair") or ():
        requirement = Requirement(text)
        marker = requirement.marker
        wanted = marker is None if extra is None else marker is not None and marker.evaluate({"extra": extra})
        if wanted:
            found.append(requirement)
    return found


def _unmet(requirements: list[Requirement]) -> list[str]:
    unmet = []
    for requirement in requirements:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            unmet.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            unmet.append(f"{requirement.name} is {installed}, needed is {requirement.specifier}")
    return unmet


def _versions() -> Check:
    names = f"openpair {__version__}, Python {platform.python_version()}"
    try:
        unmet = _unmet(_requirements(None))
    except PackageNotFoundError:
        return Check("versions", "note", f"{names}, not installed as a package", "Run 'pip install .' in its folder")
    if unmet:
        return Check("versions", "missing", f"{names}; {'; '.join(unmet)}", "Run 'pip install --upgrade openpair'")
    found = ", ".join(f"{name} {version(name)}" for name in ("numpy", "shapely", "warp-lang"))
    return Check("versions", "ok", f"{names}, {found}")


def _extras() -> list[Check]:
    checks = []
    for extra, purpose in EXTRAS.items():
        try:
            wanted = _requirements(extra)
            unmet = _unmet(wanted)
        except PackageNotFoundError:
            continue
        if unmet:
            checks.append(Check(f"extra '{extra}'", "note", "; ".join(unmet), f"Only needed to {purpose}"))
        else:
            found = ", ".join(f"{requirement.name} {version(requirement.name)}" for requirement in wanted)
            checks.append(Check(f"extra '{extra}'", "ok", found))
    return checks


def _cores() -> Check:
    cores = os.cpu_count() or 1
    memory = memory_bytes()
    if memory is None:
        return Check("machine", "ok", f"{cores} CPU cores")
    finding = f"{cores} CPU cores, {memory / 1e9:.0f} GB of memory"
    if memory / 1e9 < 2 * cores:
        return Check("machine", "note", finding, "Use fewer --workers if memory runs out: each takes 1 to 2 GB")
    return Check("machine", "ok", finding)


def _gpu() -> Check:
    if find_spec("torch") is None:
        return Check("GPU", "note", "without PyTorch none is used")
    import torch

    if not torch.cuda.is_available():
        return Check(
            "GPU",
            "note",
            "PyTorch finds none: small networks and all scoring run well on CPUs, published sizes train slowly",
            "" if torch.version.cuda is None else "A CUDA build of PyTorch is installed; check the driver (nvidia-smi)",
        )
    names = ", ".join(
        f"{torch.cuda.get_device_name(i)} ({torch.cuda.get_device_properties(i).total_memory / 1e9:.0f} GB)"
        for i in range(torch.cuda.device_count())
    )
    return Check("GPU", "ok", names)


def _disk(cache: Path | None) -> Check:
    from openpair.datasets.environment import cache_folder

    folder = cache_folder() if cache is None else cache
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    finding = f"{free_gb:.0f} GB free at {folder}"
    if not os.access(existing, os.W_OK):
        return Check("disk", "missing", f"{folder} cannot be written", "Choose another folder, or set XDG_CACHE_HOME")
    if free_gb < NEEDED_DISK_GB:
        return Check("disk", "missing", finding, "Free some space: prepared scenes take 20 to 60 kB each")
    return Check("disk", "ok", finding)
