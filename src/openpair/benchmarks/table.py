"""Benchmarks' figures as a table for people, and the machine they were measured on."""

from __future__ import annotations

import math
import platform
from pathlib import Path
from typing import Any


def machine(device: str = "cpu") -> dict[str, str]:
    """What the figures were measured on."""
    import warp

    from openpair import __version__

    processor = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
        processor = f"{names[0]} ({len(names)} logical cores)" if names else processor
    if device == "cuda":
        import torch

        device = torch.cuda.get_device_name()
    else:
        device = "cpu, 1 thread"
    return {"processor": processor, "device": device, "openpair": __version__, "warp": warp.__version__}


def as_table(results: dict[str, Any]) -> str:
    """Text of the figures, one protocol a column."""
    protocols = [key for key, figures in results.items() if key != "machine" and isinstance(figures, dict)]
    names = list(results[protocols[0]])
    width = max(map(len, names))
    lines = [f"{name:<10} {value}" for name, value in results["machine"].items()]
    lines += ["", f"{'':<{width}}" + "".join(f"{protocol:>10}" for protocol in protocols)]
    for name in names:
        lines.append(f"{name:<{width}}" + "".join(_cell(results[p].get(name, math.nan)) for p in protocols))
    if "float32" in results:
        lines += ["", f"float32: {results['float32']}", *(results["missed"] or ["every target is met"])]
    return "\n".join(lines)


def _cell(value: float) -> str:
    """Three decimals, or three digits of what is smaller."""
    return f"{value:>10.3g}" if 0 < abs(value) < 1e-3 else f"{value:>10.3f}"
