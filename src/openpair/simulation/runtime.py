"""How this project runs NVIDIA Warp: quietly, without gradients, and with the arithmetic as written.

Kernels are compiled once per machine and kept in Warp's kernel cache.
"""

from __future__ import annotations

from typing import Any

import warp as wp

MODULE_OPTIONS: dict[str, Any] = {
    "enable_backward": False,
    "fast_math": False,
    # A fused multiply-add rounds once where the source rounds twice: CPU and CUDA would differ.
    "fuse_fp": False,
}
"""Options of every kernel module: ``wp.set_module_options(MODULE_OPTIONS)`` at its top."""


def start_warp() -> None:
    """Initialise Warp (once per process); keeps its banner and the advice about absent GPU drivers off the terminal."""
    level = wp.config.log_level
    wp.config.log_level = wp.LOG_ERROR
    try:
        wp.init()
    finally:
        wp.config.log_level = max(level, wp.LOG_WARNING)
