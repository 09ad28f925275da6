"""Files that hold their own checksum, so that a damaged one is an error and not other numbers.

The text ``crc32:`` and eight hexadecimal digits stands near the file's beginning: as an entry of a JSON object, or of
the metadata of a safetensors file. It is the CRC-32 of the whole file with eight zeros in place of the digits. CRC-32
notices every change of up to 32 neighbouring bits; it is no protection against forgery. Files without the text, which
older versions wrote, are taken as they are.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CHECKSUM: Final = "checksum"
"""Name of the entry that holds it."""

UNSEALED: Final = "crc32:00000000"
"""Value of that entry until the file is sealed."""

HEAD_BYTES: Final = 1 << 16
"""The checksum stands within the first bytes."""

BLOCK_BYTES: Final = 1 << 20

_ENTRY: Final = f'"{CHECKSUM}"'.encode()
_SEAL: Final = re.compile(rb"crc32:([0-9a-f]{8})")


class WrongChecksum(ValueError):
    """A file is not the one that was written."""

    def __init__(self) -> None:
        super().__init__("its checksum is wrong: bytes of it have changed since it was written")


def sealed(data: bytes) -> bytes:
    """The content of a file with its checksum in the place of :data:`UNSEALED`, which stands near its beginning."""
    at = data.index(UNSEALED.encode(), 0, HEAD_BYTES) + UNSEALED.index(":") + 1
    return b"%b%08x%b" % (data[:at], zlib.crc32(data), data[at + 8 :])


def seal_file(path: Path) -> None:
    """:func:`sealed` for a file that is written already. Raises OSError where that is impossible."""
    with path.open("rb+") as stream:
        head = stream.read(HEAD_BYTES)
        at = head.index(UNSEALED.encode()) + UNSEALED.index(":") + 1
        value = _crc32_of(head, _blocks(stream.read))
        stream.seek(at)
        stream.write(b"%08x" % value)


def check(data: bytes) -> None:
    """Raises :class:`WrongChecksum` for the content of a file whose checksum does not fit."""
    check_read(io.BytesIO(data).read)


def check_file(path: Path) -> None:
    """Raises :class:`WrongChecksum` for a file whose checksum does not fit, OSError for one that cannot be read."""
    with path.open("rb") as stream:
        check_read(stream.read)


def check_read(read: Callable[[int], bytes]) -> None:
    """As :func:`check_file`, by the method ``read`` of a stream at its beginning."""
    head = read(HEAD_BYTES)
    found = _SEAL.search(head)
    if found is None:
        if _ENTRY in head:  # the checksum itself is damaged
            raise WrongChecksum
        return
    begin, end = found.span(1)
    if _crc32_of(head[:begin] + b"0" * 8 + head[end:], _blocks(read)) != int(found[1], 16):
        raise WrongChecksum


def _crc32_of(head: bytes, blocks: Iterable[bytes]) -> int:
    value = zlib.crc32(head)
    for block in blocks:
        value = zlib.crc32(block, value)
    return value


def _blocks(read: Callable[[int], bytes]) -> Iterable[bytes]:
    return iter(lambda: read(BLOCK_BYTES), b"")


def sealed_json(record: Mapping[str, Any], *, end: str = "", **layout: Any) -> bytes:
    """A JSON object with its checksum as the first entry, then ``end``; ``layout`` goes to :func:`json.dumps`."""
    return sealed((json.dumps({CHECKSUM: UNSEALED, **record}, **layout) + end).encode())


def read_sealed_json(path: Path) -> dict[str, Any]:
    """The object that :func:`sealed_json` wrote, or one from before, without its checksum.

    Raises ValueError for a file that is damaged, TypeError for one that holds no object, OSError for one that cannot
    be read.
    """
    data = path.read_bytes()
    check(data)
    record = json.loads(data)
    if not isinstance(record, dict):
        raise TypeError("it holds no JSON object")
    record.pop(CHECKSUM, None)
    return record


def hash_files(files: Sequence[Path]) -> str:
    """SHA-256 of one file's content; of several: over their folders' and own names and contents, in order.

    Raises OSError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        if len(files) > 1:
            digest.update(f"{file.parent.name}/{file.name}".encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
