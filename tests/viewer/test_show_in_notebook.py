"""``openpair.show`` draws the same view inline."""

from __future__ import annotations

import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "visualization"))

from pictures import parked_car, straight

import openpair
from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError


def test_a_prepared_scene_with_plans_by_name():
    shown = openpair.show(parked_car(), {"mine": straight(10.0), "slow": straight(4.0)})
    frame = shown._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts"') and frame.count("<") == 2
    assert shown.page in unescape(frame) and "hits vehicle parked" in shown.page
    assert [plan.label for plan in shown.view.plans] == ["mine", "slow"]


def test_a_scene_of_a_dataset_brings_the_human():
    dataset = open_dataset("world", None, split="test")
    scene = dataset.load_scene(dataset.keys()[0].token)
    plans = np.stack([straight(5.0), straight(6.0)])
    assert [plan.label for plan in openpair.show(scene, plans).view.plans] == ["plan 0", "plan 1", "human"]
    assert openpair.show(scene, plans[0], protocol="v2.2").view.scene.protocol.value == "v2.2"
    assert [plan.label for plan in openpair.show(scene).view.plans] == ["human"]


def test_what_cannot_be_shown_is_said():
    with pytest.raises(OpenPairError, match="there is no plan to show"):
        openpair.show(parked_car())
    with pytest.raises(OpenPairError):
        openpair.show(parked_car(), np.zeros((7, 3)))
    with pytest.raises(AttributeError, match="no attribute 'shaw'"):
        _ = openpair.shaw
