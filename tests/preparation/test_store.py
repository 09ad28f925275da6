"""The store of prepared scenes: equal to fresh ones, resumable, and refused when it no longer fits."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
from small_town import ToyDataset, open_toy_dataset

from openpair.checksums import read_sealed_json
from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.preparation.prepare import prepare_scene
from openpair.preparation.store import MANIFEST, PreparedStore, shard_path
from openpair.preparation.store_build import build_store
from openpair.preparation.tensor_file import TensorFile, write_tensor_file


def assert_equal(ours, theirs, place="scene"):
    """Two scenes are equal to the last bit, dtypes included."""
    assert type(ours) is type(theirs), place
    if dataclasses.is_dataclass(ours):
        for field in dataclasses.fields(ours):
            assert_equal(getattr(ours, field.name), getattr(theirs, field.name), f"{place}.{field.name}")
    elif isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype, place
        np.testing.assert_array_equal(ours, theirs, err_msg=place)
    else:
        assert ours == theirs, place


def contents(folder):
    """Every file of a store by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=list(Protocol), ids=lambda protocol: protocol.value)
def store(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return build_store(folder, ToyDataset, request.param, source="as it is")


def test_stored_scenes_equal_fresh_ones_to_the_last_bit(store):
    dataset = ToyDataset()
    assert len(store) == 90
    for token in store.tokens:
        assert_equal(store.load(token), prepare_scene(dataset.load_scene(token), store.protocol))


def test_a_store_in_use_can_be_sent_to_another_process(store):
    token = store.tokens[0]
    assert_equal(store.load(token), pickle.loads(pickle.dumps(store)).load(token))


def test_scenes_that_fail_are_listed_with_their_reason_and_never_loaded(store):
    assert len(store.failures) == 9
    token = f"{9:016x}"
    assert "the route is empty" in store.failures[token]
    with pytest.raises(OpenPairError, match=r"could not be prepared.*the route is empty"):
        store.load(token)
    with pytest.raises(OpenPairError, match="there is no scene nonsense"):
        store.load("nonsense")


def test_any_number_of_workers_writes_the_same_bytes(store, tmp_path):
    seen = []
    build_store(
        tmp_path,
        open_toy_dataset,
        store.protocol,
        source="as it is",
        workers=2,
        on_progress=lambda *told: seen.append(told),
    )
    assert contents(tmp_path) == contents(store.folder)
    assert seen[0] == ("prepare scenes", 0, 99) and seen[-1] == ("prepare scenes", 99, 99)


def test_a_build_goes_on_where_it_stopped(tmp_path):
    class Interrupted(ToyDataset):
        def load_scene(self, token):
            if int(token, 16) == 70:  # in the second shard
                raise KeyboardInterrupt
            return super().load_scene(token)

    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path, Interrupted, Protocol.V1_1, source="s")
    with pytest.raises(OpenPairError, match="there is no store"):
        PreparedStore(tmp_path)

    class Counting(ToyDataset):
        loaded = 0

        def load_scene(self, token):
            Counting.loaded += 1
            return super().load_scene(token)

    store = build_store(tmp_path, Counting, Protocol.V1_1, source="s")
    assert len(store) == 90
    assert Counting.loaded == 99 - 64


def test_a_damaged_shard_is_built_again(tmp_path):
    whole = build_store(tmp_path, ToyDataset, Protocol.V1_1, source="s")
    before = contents(tmp_path)
    damaged = shard_path(whole.folder, 0)
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(OpenPairError, match=r"00000.safetensors.*cannot be read"):
        PreparedStore(tmp_path).load(whole.tokens[0])
    build_store(tmp_path, ToyDataset, Protocol.V1_1, source="s")
    assert contents(tmp_path) == before


def test_only_the_wanted_tokens_are_prepared_in_the_order_asked_for(tmp_path):
    wanted = [f"{number:016x}" for number in (5, 3, 4)]
    store = build_store(tmp_path, ToyDataset, Protocol.V1_1, source="s", tokens=wanted)
    assert list(store.tokens) == wanted
    with pytest.raises(OpenPairError, match="asked for twice"):
        build_store(tmp_path, ToyDataset, Protocol.V1_1, source="s", tokens=wanted + wanted)


def test_a_store_of_changed_data_of_another_protocol_or_schema_is_refused(tmp_path):
    build_store(tmp_path, ToyDataset, Protocol.V1_1, source="before", tokens=[f"{1:016x}"])
    with pytest.raises(OpenPairError, match="logs or maps changed"):
        PreparedStore(tmp_path, source="after")
    with pytest.raises(OpenPairError, match="logs or maps changed"):
        build_store(tmp_path, ToyDataset, Protocol.V1_1, source="after")
    with pytest.raises(OpenPairError, match=r"protocol v1.1, not v2.2"):
        PreparedStore(tmp_path, protocol=Protocol.V2_2)
    manifest = read_sealed_json(tmp_path / MANIFEST)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"schema": 0}))
    with pytest.raises(OpenPairError, match="schema 0"):
        PreparedStore(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(OpenPairError, match="list cannot be read"):
        PreparedStore(tmp_path)


def test_tensor_files_come_back_as_they_were_and_broken_ones_are_refused(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([True, False]), "c": np.zeros((0, 4))}
    path = tmp_path / "x.safetensors"
    write_tensor_file(path, arrays, {"k": "v"})
    file = TensorFile(path)
    np.testing.assert_array_equal(file["a"], arrays["a"])
    assert file["b"].tolist() == [1, 0]
    assert file["c"].shape == (0, 4)
    assert file.metadata == {"k": "v"}
    with pytest.raises(ValueError, match="read-only"):
        file["a"][0, 0] = 1.0
    with pytest.raises(OpenPairError, match="no array 'd'"):
        file["d"]
    whole = path.read_bytes()
    header = len(whole) - arrays["a"].nbytes - 2
    for broken in (b"", b"\xff" * 40, whole[: header - 5], whole[:-10], whole.replace(b'"F64"', b'"F99"')):
        path.write_bytes(broken)
        with pytest.raises(OpenPairError, match=r"x.safetensors"):
            TensorFile(path)
    assert list(tmp_path.iterdir()) == [path]


def test_golden_scenes_take_at_most_sixty_kilobytes(whole_path, tmp_path):
    store = build_store(tmp_path, whole_path.dataset, Protocol.V2_2, source="golden")
    assert len(store) == 105
    assert sum(len(data) for data in contents(tmp_path).values()) / len(store) < 60_000
    token = whole_path.tokens[50]
    assert_equal(store.load(token), prepare_scene(whole_path.scenes[token], Protocol.V2_2))
