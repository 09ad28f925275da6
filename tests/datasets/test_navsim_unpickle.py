"""The restricted unpickler: reads what logs contain under every protocol, refuses everything else unexecuted."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from openpair.datasets.navsim.unpickle import load_plain, loads_plain
from openpair.errors import OpenPairError

CONTENT = {
    "numbers": np.linspace(0, 1, 7).reshape(7, 1),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    "empty": np.zeros((0, 7)),
    "names": np.array(["vehicle", "pedestrian"]),
    "big_endian": np.arange(3, dtype=">f8"),
    "scalar": np.float64(1.5),
    "flag": np.bool_(True),
    "nested": [(1, True), {"x": {"y"}}, b"raw", None, 2**70],
}


def assert_same(a: object, b: object) -> None:
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        assert a.shape == b.shape
        assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")  # numpy itself may swap on reading
        assert np.array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("protocol", range(2, 6))
def test_reads_arrays_and_builtins_of_every_protocol(protocol: int) -> None:
    result = loads_plain(pickle.dumps(CONTENT, protocol=protocol), "log")
    assert result.keys() == CONTENT.keys()
    for key, value in CONTENT.items():
        assert_same(value, result[key])


@pytest.mark.parametrize(("values", "kind"), [(["a", "bc"], "U"), ([1.5, 2], "f"), ([3, 4], "i")])
def test_arrays_of_objects_are_read_as_text_or_numbers(values: list, kind: str) -> None:
    array = loads_plain(pickle.dumps(np.array(values, dtype=object)), "log")
    assert array.dtype.kind == kind and array.tolist() == values
    with pytest.raises(OpenPairError, match="array of objects"):
        loads_plain(pickle.dumps(np.array([*values, []], dtype=object)), "log")


def test_reads_numpy_1_module_names() -> None:
    data = pickle.dumps(CONTENT, protocol=2).replace(b"cnumpy._core.", b"cnumpy.core.")
    assert b"numpy.core" in data
    assert b"numpy._core" not in data
    assert_same(CONTENT["numbers"], loads_plain(data, "log")["numbers"])


class Attack:
    """Unpickling it would create a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(0, 6))
def test_malicious_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "created"
    path = tmp_path / "log.pkl"
    path.write_bytes(pickle.dumps([{"token": Attack(target)}], protocol=protocol))
    with pytest.raises(OpenPairError, match="was not loaded"):
        load_plain(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cbuiltins\ngetattr\n(cnumpy\nndarray\nVtofile\ntR.",
        b"cnumpy\nload\n(Vx.npy\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(V/etc/passwd\ntR.",
        b"cpathlib\nPath\n(V/\ntR.",
    ],
)
def test_other_names_are_refused(program: bytes) -> None:
    with pytest.raises(OpenPairError):
        loads_plain(program, "log")


def forged(dtype_code: str, dtype_state: tuple, array_state: tuple) -> bytes:
    """An array pickle put together by hand: its parts need not fit each other."""

    class Dtype:
        def __reduce__(self) -> tuple:
            return np.dtype, (dtype_code, False, True), dtype_state

    class Array:
        def __reduce__(self) -> tuple:
            reconstruct = np.zeros(1).__reduce__()[0]
            return reconstruct, (np.ndarray, (0,), b"b"), (1, array_state[0], Dtype(), False, array_state[1])

    return pickle.dumps(Array(), protocol=4)


def test_forged_array_states_are_refused() -> None:
    plain = (3, "<", None, None, None, -1, -1, 0)
    assert_same(np.array([0.0]), loads_plain(forged("f8", plain, ((1,), b"\0" * 8)), "log"))
    attacks = [
        forged("O", plain, ((1,), b"\x01" * 8)),  # raw bytes as object pointers
        forged("f8", plain, ((1000,), b"\0" * 8)),  # reads past the end
        forged("f8", plain, ((-1,), b"")),
        forged("V8", (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), ((1,), b"\x01" * 8)),
        forged("O", plain, ((10,), [])),
    ]
    for data in attacks:
        with pytest.raises(OpenPairError):
            loads_plain(data, "log")


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "log.pkl"
    whole = pickle.dumps([CONTENT], protocol=4)
    for cut in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(OpenPairError, match="not a complete pickle"):
            load_plain(path)
    path.write_bytes(b"PK\x03\x04 this is a zip file")
    with pytest.raises(OpenPairError, match="not a complete pickle"):
        load_plain(path)
    with pytest.raises(OpenPairError, match="cannot be read"):
        load_plain(tmp_path / "absent.pkl")
