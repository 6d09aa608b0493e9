"""Names that the first lines of MemTorch's scripts ask for."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import mho.compat.memtorch as memtorch
from mho.compat.memtorch.bh.map.Parameter import naive_map
from mho.compat.memtorch.bh.memristor import window
from mho.compat.memtorch.bh.Quantize import quantize
from mho.compat.memtorch.utils import LoadCIFAR10, LoadMNIST
from mho.converters import AutoRange, TwosComplement


def test_names_are_one_thing_under_each_path() -> None:
    assert memtorch.__version__ == ("1.1.6" if torch.cuda.is_available() else "1.1.6-cpu")
    assert memtorch.bh.Scheme is memtorch.bh.crossbar.Crossbar.Scheme
    assert naive_map is memtorch.map.Parameter.naive_map is memtorch.bh.map.Parameter.naive_map
    assert memtorch.bh.Quantize.quantize is quantize
    assert memtorch.bh.memristor.window is window


@pytest.mark.parametrize("bits, overflow", [(2, 0.0), (4, 0.0), (6, 0.2)])
def test_the_quantiser_is_that_of_the_converters(bits: int, overflow: float) -> None:
    """``clamp(floor(x / 2^f + 1/2), -2^(b-1), 2^(b-1) - 1) 2^f``, f by the largest that must fit."""
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    ranked = x.abs().flatten().sort(descending=True).values
    top = ranked[round(overflow * x.numel())]
    unit = 2.0 ** (1 - bits + int(torch.ceil(torch.log2(top))))
    wanted = (x / unit + 0.5).floor().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * unit
    torch.testing.assert_close(quantize(x, bits, overflow, "linear"), wanted)
    limit = AutoRange(overflow=overflow).full_scale(x.flatten(), (0,), ((0, x.numel()),))
    torch.testing.assert_close(
        quantize(x, bits, overflow, "linear"), TwosComplement(bits=bits).quantise(x, limit)
    )
    assert not quantize(torch.zeros(3), 4, quant_method="linear").any()


def test_levels_between_two_ends() -> None:
    x = torch.tensor([-3.0, -0.2, 0.3, 5.0])
    assert quantize(x, 5, min=-1.0, max=1.0).tolist() == [-1.0, 0.0, 0.5, 1.0]
    assert quantize(x, 2).tolist() == [-3.0, -3.0, -3.0, 5.0]
    assert quantize(torch.ones(3), 4).tolist() == [1.0] * 3
    with pytest.raises(ValueError, match="quant_method = 'log'"):
        quantize(x, 4, quant_method="log")
    with pytest.raises(ValueError, match="quant = 1"):
        quantize(x, 1)
    with pytest.raises(TypeError, match="minimum"):
        quantize(x, 4, minimum=0.0)


@pytest.mark.parametrize("x", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_windows(x: float) -> None:
    assert window.Jogelkar(x, 3) == pytest.approx(1 - (2 * x - 1) ** 6)
    assert window.Prodromakis(x, 2.0, 1.5) == pytest.approx(1.5 * (1 - ((x - 0.5) ** 2 + 0.75) ** 2))
    for volts, step in ((1.0, 0), (-1.0, 1)):
        assert window.Biolek(volts, x, 2) == pytest.approx(1 - (x - step) ** 4)


def test_mnist_from_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 5100), ("t10k", 40)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        labels[:10] = range(10)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (tmp_path / name).write_bytes(head + array.tobytes())
    train, validation, test = LoadMNIST(batch_size=20, root=tmp_path)
    assert [len(loader.dataset) for loader in (train, validation, test)] == [100, 5000, 40]
    images, labels = next(iter(test))
    assert images.shape == (20, 1, 28, 28) and images.dtype == torch.float32 and labels.shape == (20,)
    together, nothing, _ = LoadMNIST(batch_size=20, validation=False, root=tmp_path)
    assert len(together.dataset) == 5100 and nothing is None
    with pytest.raises(ValueError, match="CIFAR10"):
        LoadCIFAR10(root=tmp_path)
