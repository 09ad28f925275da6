"""bfloat16 is a wish: a processor without instructions for it takes float32."""

from __future__ import annotations

import pytest
import torch

from openpair.training import optimiser
from openpair.training.config import Precision
from openpair.training.optimiser import autocast, computes_bfloat16

CPU = torch.device("cpu")


@pytest.fixture
def forget_answer():
    computes_bfloat16.cache_clear()
    yield
    computes_bfloat16.cache_clear()


def dtype_under(precision: Precision) -> torch.dtype:
    with autocast(CPU, precision):
        return torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype


@pytest.mark.parametrize(("able", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_used_only_where_the_processor_computes_it(monkeypatch, forget_answer, able, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert dtype_under("bfloat16") is expected


def test_float32_stays_float32(monkeypatch):
    monkeypatch.setattr(optimiser, "computes_bfloat16", lambda device_type: True)
    assert dtype_under("float32") is torch.float32


def test_a_question_that_pytorch_no_longer_answers_counts_as_no(monkeypatch, forget_answer):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not computes_bfloat16("cpu")


def test_accelerators_compute_it():
    assert computes_bfloat16("cuda")
