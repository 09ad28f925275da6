"""Which code computed something: a hash of its source."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@lru_cache(maxsize=8)
def source_hash(parts: tuple[str, ...] = ("",)) -> str:
    """Hash (16 hex characters) of some rooms and files of the package; of all its Python files by default."""
    digest = hashlib.sha256()
    named = [PACKAGE / part for part in parts]
    for path in sorted({path for part in named for path in ([part] if part.is_file() else part.rglob("*.py"))}):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
