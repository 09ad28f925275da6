"""Files that are there whole or not at all, disks that are full, and folders that one process at a time may write."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openpair.errors import OpenPairError

FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""How libraries that raise errors of their own (safetensors, sqlite) name a full disk."""
_NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
LOCK_FILE = ".lock"
_PART = ".part"
_held: set[Path] = set()


class DiskFull(OpenPairError):
    """A disk is full. What was finished before is kept: the same command goes on from there."""


@contextmanager
def whole_file(path: Path, *, size_bytes: int = 0) -> Iterator[Path]:
    """A temporary file beside ``path``, which takes its place when the block ends without an error.

    The content is on the disk before the name is: a power cut leaves the old file or the new one. Whatever ends the
    block otherwise removes the temporary file.

    Args:
        path: the file; its folder is made if absent.
        size_bytes: about how large it becomes, to say how much is missing where the disk is full.

    Raises OpenPairError where it cannot be written; :class:`DiskFull` where the disk is full.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
    try:
        with disk_errors(path, size_bytes=size_bytes):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                yield part
                with part.open("rb+") as stream:
                    os.fsync(stream.fileno())
                os.replace(part, path)
                _flush_folder(path.parent)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (part, path, path.parent):
            raise  # of a file that the block reads
        raise OpenPairError(f"the file cannot be written ({error.strerror or error})", where=path) from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all; text as UTF-8. Raises as :func:`whole_file`."""
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path, size_bytes=len(data)) as part:
        part.write_bytes(data)


@contextmanager
def disk_errors(path: Path, *, size_bytes: int = 0) -> Iterator[None]:
    """Turns every error that means "the disk is full" into :class:`DiskFull`; others pass.

    Args:
        path: what is written.
        size_bytes: how much that is; 0 where it is not known.
    """
    try:
        yield
    except OpenPairError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise disk_full(path, size_bytes) from error


def is_full(error: Exception) -> bool:
    """Whether an error says that a disk, or the user's share of it, is full."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return any(text in str(error) for text in _FULL_TEXTS)


def disk_full(path: Path, size_bytes: int = 0) -> DiskFull:
    """The error for a disk that cannot take ``size_bytes`` more at ``path``."""
    folder = path if path.is_dir() else path.parent
    free = shutil.disk_usage(folder).free
    missing = f"{size_bytes - free} bytes are missing" if size_bytes > free else f"{free} bytes are free"
    return DiskFull(
        f"the disk is full: {missing}",
        where=folder,
        fix="Free some space and run the same command again: it goes on from what is finished",
    )


def allocate(path: Path) -> None:
    """Give a sparse file real blocks, so that a full disk is an error now and not a crash while it is memory-mapped.

    Raises :class:`DiskFull`.
    """
    size = path.stat().st_size
    with disk_errors(path, size_bytes=size), path.open("rb+") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """A folder, made if absent with those above it; what was made and is empty afterwards is removed again.

    Raises OpenPairError where it cannot be made.
    """
    absent = list(itertools.takewhile(lambda path: not path.exists(), (folder, *folder.parents)))
    with _refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in absent:
            try:
                path.rmdir()
            except OSError:  # it holds something, or is gone
                break


@contextmanager
def _refusal(folder: Path) -> Iterator[None]:
    """Turns the error of a folder that cannot be written into an OpenPairError."""
    with disk_errors(folder):
        try:
            yield
        except OSError as error:
            if is_full(error):
                raise
            raise OpenPairError(
                f"cannot write there ({error.strerror or error})", where=folder, fix="Choose another folder"
            ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder that this process writes; :func:`made` if absent. What a killed run left half written is removed.

    A folder that this process holds already is held on.

    Raises OpenPairError where another process holds it, and where it cannot be written.
    """
    place = folder.resolve()
    if place in _held:
        yield
        return
    path = folder / LOCK_FILE
    with made(folder):
        with _refusal(folder):
            handle = _take_lock(path, folder)
        try:
            _held.add(place)
            for part in folder.glob(f".*{_PART}"):
                part.unlink(missing_ok=True)
            yield
        finally:
            _held.discard(place)
            path.unlink(missing_ok=True)
            os.close(handle)


def _take_lock(path: Path, folder: Path) -> int:
    """An open file that is locked and still the one of this name: who held it before removes it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise OpenPairError(
                f"the folder is in use by process {holder}", where=folder, fix="Wait for it, or choose another folder"
            ) from None
        except OSError as error:
            if error.errno not in _NO_FLOCK:  # a network folder without locks is written as if it were free
                os.close(handle)
                raise
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            return handle
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(handle)
