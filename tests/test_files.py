"""Files whole or not at all, full disks (a real one of 1 MiB where this user may mount it), folders in use."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from openpair.errors import OpenPairError
from openpair.files import DiskFull, allocate, locked, whole_file, write_atomically

DISK_BYTES = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, "first")
    with pytest.raises(RuntimeError, match="halfway"), whole_file(path) as part:
        part.write_text("sec")
        raise RuntimeError("halfway")
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(small_disk: Path) -> None:
    path = small_disk / "file.bin"
    write_atomically(path, b"old")
    with pytest.raises(DiskFull, match=rf"{small_disk}: the disk is full: \d+ bytes are missing") as raised:
        write_atomically(path, bytes(2 * DISK_BYTES))
    missing = int(str(raised.value).split("full: ")[1].split()[0])
    assert DISK_BYTES <= missing <= DISK_BYTES + 65536
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_a_full_disk_is_known_behind_a_librarys_own_error(small_disk: Path) -> None:
    path = small_disk / "tensors.safetensors"
    with pytest.raises(DiskFull), whole_file(path) as part:
        save_file({"a": np.zeros(DISK_BYTES)}, part)
    assert not list(small_disk.iterdir())


def test_a_sparse_file_gets_its_blocks_before_it_is_mapped(small_disk: Path) -> None:
    path = small_disk / "array.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (2 * DISK_BYTES,))  # sparse: the disk does not mind yet
    with pytest.raises(DiskFull):
        allocate(path)


def test_a_full_disk_without_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        write_atomically(tmp_path / "a", "text")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpenPairError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", "text")


def test_an_error_of_another_file_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a"):
        (tmp_path / "absent" / "b").read_bytes()


def test_a_full_disk_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DiskFull("the disk is full", where="/a", fix="Free some space")))
    assert isinstance(error, DiskFull)
    assert str(error) == "/a: the disk is full. Free some space."


HOLD = """
import sys, pathlib
from openpair.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print(flush=True)
    input()
"""


def test_one_process_at_a_time_writes_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    (folder / ".scores.csv.0123.part").write_text("half")
    with pytest.raises(OpenPairError, match=f"out: the folder is in use by process {holder.pid}"), locked(folder):
        pass
    holder.kill()
    holder.communicate()
    with locked(folder):  # the lock of a killed process is gone with it, and what it left half written is removed
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert not list(folder.iterdir())
