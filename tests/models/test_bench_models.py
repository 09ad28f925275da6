"""The benchmark of the networks."""

from __future__ import annotations

import pytest

from openpair.checkpoints import NETWORKS
from openpair.cli.bench_models import BenchModels
from openpair.errors import OpenPairError


def test_every_small_network_is_measured() -> None:
    rows = BenchModels(size="small", repeats=1, train=True).rows()
    assert [row[0] for row in rows if row[1]] == list(NETWORKS)
    assert all(float(row[3]) > 0 and float(row[4]) > 0 and float(row[5]) > 0 for row in rows if row[1])


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(OpenPairError, match="no network 'vgg'"):
        BenchModels(networks=("vgg",)).rows()
