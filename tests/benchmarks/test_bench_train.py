"""The benchmark of training runs real steps of every network, and counts what they do."""

from __future__ import annotations

import json

import pytest

from openpair.cli.main import main


def test_steps_of_every_network_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "train", "--preset", "quick_known", "--steps", "1", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    networks = json.loads(capsys.readouterr().out)["networks"]
    assert list(networks) == ["il", "rl", "reward"]
    for name, figures in networks.items():
        assert figures["scenes/s"] == pytest.approx(4 / figures["s a step"])
        assert 0 < figures["share waiting for data"] < 1
        assert (figures["share waiting for reward"] > 0) == (name == "rl")
        assert figures["share of a matrix product"] > 0


def test_networks_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "train", "--branches", "imitation"])
    assert ended.value.code == 2
    assert "there is no network 'imitation'" in capsys.readouterr().err
