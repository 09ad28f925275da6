"""Reading ahead changes who reads a batch and when, never what is read."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from openpair.errors import OpenPairError
from openpair.training.batch import SceneBatch, evaluation_batches
from openpair.training.order import BatchOrder
from openpair.training.read_ahead import ReadAhead, following


class Reader:
    """Batches that hold their own positions; remembers which thread read which."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, indices: np.ndarray) -> SceneBatch:
        self.threads.append(threading.current_thread().name)
        if (indices < 0).any():
            raise OpenPairError("there is no such scene")
        return SceneBatch(tuple(map(str, indices)), {"x": torch.from_numpy(indices.copy())}, {})


def test_every_batch_is_the_one_asked_for_and_all_but_the_first_of_an_epoch_are_read_ahead() -> None:
    order, ahead = BatchOrder(num_items=10, batch_size=3, seed=0), ReadAhead(Reader())
    for step in range(9):  # three epochs
        assert ahead.batch(order.indices(step)).features["x"].tolist() == order.indices(step).tolist()
    assert ahead.ready == 6


def test_what_is_read_is_read_by_another_thread() -> None:
    reader, order = Reader(), BatchOrder(num_items=8, batch_size=2, seed=0)
    ahead = ReadAhead(reader)
    for step in range(4):
        ahead.batch(order.indices(step))
    assert len(reader.threads) == 4  # nothing is read twice
    assert sum(name.startswith("read-ahead") for name in reader.threads) == 3


def test_a_wrong_guess_costs_a_reading_and_nothing_else() -> None:
    order, ahead = BatchOrder(num_items=12, batch_size=3, seed=0), ReadAhead(Reader())
    for step in (0, 2, 1, 3):
        assert ahead.batch(order.indices(step)).features["x"].tolist() == order.indices(step).tolist()
    assert ahead.ready == 0


def test_lists_of_their_own_are_not_guessed_from() -> None:
    reader = Reader()
    for indices in evaluation_batches(10, 4):
        ReadAhead(reader).batch(indices)
    assert set(reader.threads) == {threading.current_thread().name}


def test_errors_appear_where_the_batch_is_asked_for() -> None:
    whole = np.array([0, 1, -1, 2, 3, 4])
    ahead = ReadAhead(Reader())
    ahead.batch(whole[:2])
    with pytest.raises(OpenPairError, match="no such scene"):
        ahead.batch(whole[2:4])
    assert ahead.batch(whole[4:]).tokens == ("3", "4")


def test_following() -> None:
    whole = np.arange(10)
    assert following(whole[:4]).tolist() == [4, 5, 6, 7]
    assert following(whole[4:8]) is None  # two are left, four are wanted
    assert following(whole[::2]) is None and following(whole[0:0]) is None
    assert following(np.array([1, 2])) is None
    assert following(np.zeros((3, 4), np.int64)[0]) is None
