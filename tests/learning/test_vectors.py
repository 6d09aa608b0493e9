"""What layouts say is on the lines of their arrays: times the matrix it is the product."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mho

LAYERS = {
    "linear": (nn.Linear(7, 5), torch.randn(3, 2, 7)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1), torch.randn(2, 4, 9)),
    "conv2d same": (nn.Conv2d(4, 6, (3, 5), padding="same", dilation=(2, 1)), torch.randn(2, 4, 6, 7)),
    "conv2d grouped": (nn.Conv2d(4, 6, 3, groups=2, stride=(1, 2), padding=(2, 0)), torch.randn(2, 4, 6, 7)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), torch.randn(2, 4, 5, 5)),
    "conv3d": (nn.Conv3d(2, 3, 2), torch.randn(2, 2, 3, 4, 3)),
    "transposed": (
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
        torch.randn(2, 4, 4, 5),
    ),
    "transposed grouped": (nn.ConvTranspose1d(4, 6, 4, stride=3, groups=2, dilation=2), torch.randn(2, 4, 5)),
    "transposed cut": (nn.ConvTranspose1d(2, 3, 2, padding=1), torch.randn(2, 2, 5)),
    "embedding": (nn.Embedding(9, 5, padding_idx=2), torch.tensor([[0, 2, 8], [3, 3, 1]])),
}


def array(layer: nn.Module) -> mho.nn.Crossbar:
    (found,) = mho.nn.crossbars(mho.convert(nn.Sequential(layer), mho.Hardware())).values()
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_vectors_times_the_matrix_are_the_output(name: str) -> None:
    layer, x = LAYERS[name]
    held = array(layer)
    matrix = held.layout.matrix(held.weight.detach())
    wanted: Tensor = layer(x)
    if held.bias is not None:
        wanted = wanted - held.layout.over_output(held.bias)
    found = torch.einsum("vgr,grc->vgc", held.layout.vectors(x), matrix)
    assert torch.allclose(found, held.layout.column_vectors(wanted), atol=1e-5)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "embedding"])
def test_their_derivative_takes_errors_back(name: str) -> None:
    """The gradient of the input is what is read from the columns, put back to where it came from."""
    layer, x = LAYERS[name]
    held = array(layer)
    matrix = held.layout.matrix(held.weight.detach())
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    error = torch.randn_like(y)
    (wanted,) = torch.autograd.grad(y, leaf, error)
    again = x.clone().requires_grad_()
    vectors = held.layout.vectors(again)
    back = torch.einsum("vgc,grc->vgr", held.layout.column_vectors(error), matrix)
    (found,) = torch.autograd.grad(vectors, again, back)
    assert torch.allclose(found, wanted, atol=1e-4)
