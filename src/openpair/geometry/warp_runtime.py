"""How this project runs NVIDIA Warp: quietly, without gradients, and with the arithmetic as written.

Kernels are compiled once per machine and kept in Warp's kernel cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import warp as wp

from openpair.folders import expanded, writable_or_temporary

MODULE_OPTIONS: dict[str, Any] = {
    "enable_backward": False,
    "fast_math": False,
    # A fused multiply-add rounds once where the source rounds twice: CPU and CUDA would differ.
    "fuse_fp": False,
}
"""Options of every float64 kernel module: ``wp.set_module_options(MODULE_OPTIONS)`` at its top."""

NO_DRIVER = b"Could not find or load the NVIDIA CUDA driver"

_started = False


def start_warp() -> None:
    """Initialise Warp once per process, without its banner and without its warning that there is no GPU driver."""
    global _started  # noqa: PLW0603
    if _started:
        return
    if wp.config.kernel_cache_dir is None and "WARP_CACHE_PATH" not in os.environ:
        _keep_kernels_where_they_can_be_written()
    level = wp.config.log_level
    wp.config.log_level = wp.LOG_WARNING
    try:
        _init_without_driver_warning()
    finally:
        wp.config.log_level = max(level, wp.LOG_WARNING)
    _started = True


def _keep_kernels_where_they_can_be_written() -> None:
    """Warp's usual folder, ~/.cache/warp, unless it cannot be written."""
    base = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    usual = base / "warp"
    folder = writable_or_temporary(usual)
    if folder != usual:
        wp.config.kernel_cache_dir = str(folder)


def _init_without_driver_warning() -> None:
    """``wp.init()``; Warp's native code writes straight to the process's stderr, so that is where it is filtered."""
    try:
        stderr = os.dup(2)
    except OSError:
        wp.init()
        return
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        os.dup2(caught.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            for line in caught.read().splitlines():
                if NO_DRIVER not in line:
                    print(line.decode(errors="replace"), file=sys.stderr)
