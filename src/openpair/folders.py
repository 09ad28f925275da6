"""Folders as users name them, and where files go that can be made again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with ``~`` as the home folder; as it is where no home is known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def writable_or_temporary(folder: Path) -> Path:
    """The folder, made where it is missing; one of this user's below the temporary folder where it cannot be written.

    Containers often run with a home that cannot be written, or with none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return _own_temporary_folder() / folder.name


def _own_temporary_folder() -> Path:
    """A folder below the temporary one that is this user's alone: others must not put kernels there."""
    folder = Path(tempfile.gettempdir()) / f"openpair-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        return Path(tempfile.mkdtemp(prefix="openpair-"))
    return folder


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted paths without hidden files, such as the ``._name`` that macOS writes beside copies."""
    return sorted(path for path in paths if not path.name.startswith("."))
