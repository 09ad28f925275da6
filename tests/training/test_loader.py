"""Batches are those of the order, from any step on, whatever the number of workers."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from openpair.datatypes.columns import Protocol
from openpair.errors import OpenPairError
from openpair.features.config import FeatureConfig
from openpair.training.batch import SceneBatch
from openpair.training.data import DataSpec, build_training_data
from openpair.training.loader import BatchLoader
from openpair.training.order import BatchOrder

CPU = torch.device("cpu")


class Positions:
    """Batches that hold their own positions and the process that read them; scene 7 is broken."""

    tokens = tuple(map(str, range(10)))

    def batch(self, indices: np.ndarray) -> SceneBatch:
        if 7 in indices and len(indices) == 1:
            raise OpenPairError("scene 7 cannot be read")
        read_by = torch.full((len(indices),), os.getpid())
        return SceneBatch(tuple(self.tokens[i] for i in indices), {"x": torch.from_numpy(indices), "by": read_by}, {})


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_step_has_the_scenes_of_its_order(workers: int) -> None:
    order = BatchOrder(num_items=10, batch_size=3, seed=0)
    loader = BatchLoader(Positions(), order, CPU, workers=workers)
    for step in (0, 1, 2, 3, 4, 9, 10, 2):  # over an epoch's end, on from a later step, and back
        batch = loader.batch(step)
        assert batch.features["x"].tolist() == order.indices(step).tolist()
        assert (int(batch.features["by"][0]) == os.getpid()) == (workers == 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_appears_at_the_step_that_it_belongs_to(workers: int) -> None:
    order = BatchOrder(num_items=10, batch_size=1, seed=0)
    loader = BatchLoader(Positions(), order, CPU, workers=workers)
    broken = next(step for step in range(10) if order.indices(step)[0] == 7)
    for step in range(10):
        if step == broken:
            with pytest.raises(OpenPairError, match=r"^scene 7 cannot be read"):
                loader.batch(step)
        else:
            assert loader.batch(step).tokens == (str(order.indices(step)[0]),)


def test_a_pickled_store_opens_its_files_again(tmp_path: Path) -> None:
    spec = DataSpec(options={"split": "val", "max_scenes": 2})
    data = build_training_data(spec, tmp_path, FeatureConfig.demo(), Protocol.V1_1, workers=1).open()
    sent = pickle.dumps(data)
    assert len(sent) < 20_000  # a scene alone has 76 kB
    batch, again = data.batch(np.arange(2)), pickle.loads(sent).batch(np.arange(2))
    assert all(torch.equal(batch.features[name], again.features[name]) for name in batch.features)
