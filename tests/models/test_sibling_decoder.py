"""Children of parents: the same as queries of their own, computed from fewer rows."""

import pytest
import torch

from openpair.nn.sibling_decoder import SiblingDecoder

WANTED = torch.tensor([5, 0, 3, 11])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_wanted_children_are_those_of_all_queries(layers: int) -> None:
    torch.manual_seed(0)
    decoder = SiblingDecoder(d_model=16, heads=2, d_ffn=24, layers=layers, dropout=0.0).double()
    for parameter in decoder.parameters():  # biases start at 0, where they would hide
        torch.nn.init.normal_(parameter, std=0.3)
    parents, kinds, tokens = (torch.randn(*shape, 16).double() for shape in ((2, 3), (4,), (2, 5)))
    there = torch.tensor([[True] * 5, [True, True, False, True, False]])

    def outcome(whole: bool) -> list[torch.Tensor]:
        decoder.zero_grad()
        inputs = [x.clone().requires_grad_() for x in (parents, kinds, tokens)]
        context = decoder.project_context(inputs[2], there)
        if whole:
            out = decoder(inputs[0][:, :, None] + inputs[1], context).flatten(1, 2)[:, WANTED]
        else:
            out = decoder.grow(inputs[0], inputs[1], context, WANTED)
        out.square().sum().backward()
        return [out, *(x.grad for x in inputs), *(p.grad for p in decoder.parameters())]

    for ours, plain in zip(outcome(whole=False), outcome(whole=True), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)


def test_attention_dropout_keeps_the_mean() -> None:
    """The value that siblings have in common is dropped with the attention to each of them."""
    torch.manual_seed(0)
    decoder = SiblingDecoder(d_model=8, heads=2, d_ffn=8, layers=1, dropout=0.5).double()
    layer = decoder.layers[0]
    layer.dropout1.p = 0.0
    parents, kinds = torch.randn(1, 1, 8).double(), torch.randn(4, 8).double()
    owner = torch.zeros(4, dtype=torch.int64)
    every = parents[:, 0, None] + kinds
    many = parents.expand(4000, 1, 8)
    drawn = decoder._among_children(layer, every.expand(4000, 4, 8), many, kinds, owner)
    decoder.eval()
    plain = decoder._among_children(layer, every, parents, kinds, owner)[0]
    torch.testing.assert_close(drawn.mean(dim=0), plain, rtol=0.0, atol=0.05)
    assert drawn.std(dim=0).amin() > 0.01
