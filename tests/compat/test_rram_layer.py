"""TorchRRAMLinear: levels, effects, boards, and when its cells are programmed."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import mho
from mho.compat.rram import BoardError, RRAMEffects, RRAMLinearLayer, TorchRRAMLinear
from mho.nn import AnalogLinear

QUIET = RRAMEffects(variability=0.0, read_noise=0.0, bandwidth=None, dac_bits=None, adc_bits=None)
X = torch.linspace(-1, 1, 5 * 24).reshape(5, 24)


def layer(effects=QUIET, bits=None, seed=3, **given):
    """A layer of always the same weights."""
    made = TorchRRAMLinear(24, 10, True, quantization_bits=bits, effects=effects, seed=seed, **given)
    made.weight.data = torch.randn(10, 24, generator=torch.Generator().manual_seed(0)) / 5
    made.bias.data.zero_()
    return made.eval()


def held(made):
    """Its effective weights, once programmed."""
    made(X)
    return made.effective_weight()


def test_it_is_a_linear_layer_and_without_simulation_nothing_else():
    made = layer(use_simulation=False)
    assert isinstance(made, nn.Linear) and isinstance(made, RRAMLinearLayer)
    assert torch.equal(made(X), nn.functional.linear(X, made.weight, made.bias)) and made.chip_g is None
    with pytest.raises(TypeError):
        RRAMLinearLayer()  # it is abstract


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_levels(bits):
    found = held(layer(bits=bits)).unique()
    assert 2 ** (bits - 1) < len(found) <= 2**bits and found.abs().min() < 1e-6
    within = held(layer(bits=bits)) - layer().weight
    assert within.abs().max() <= layer().weight.abs().max() / (2**bits - 2) + 1e-6


def test_levels_of_layers_trained_on_digits():
    from sklearn.datasets import load_digits

    x, y = (torch.tensor(part) for part in load_digits(return_X_y=True))
    x = x.float() / 16
    network = nn.Sequential(
        TorchRRAMLinear(64, 16, quantization_bits=4, enable_stochastic=False, seed=0),
        nn.ReLU(),
        TorchRRAMLinear(16, 10, quantization_bits=4, enable_stochastic=False, seed=1),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    network.eval()
    assert (network(x).argmax(1) == y).float().mean() > 0.85
    for k in (0, 2):
        assert 8 < network[k].effective_weight().unique().numel() <= 16


# Each effect of the document, and the hardware that has it by hand.
DEVICE = mho.devices.Generic(g_min=1e-6, g_max=40e-6, v_read=0.2)
SCATTER = dataclasses.replace(DEVICE, program=mho.devices.Proportional(sigma=0.1))
HOT = mho.devices.Temperature(kelvin=380.0, activation=0.1, alpha=1e-3, device=DEVICE)
EFFECTS = {
    "variability": ({"variability": 0.1}, SCATTER, mho.array.Ideal()),
    "stuck cells": (
        {"stuck_lrs": 0.1, "stuck_hrs": 0.05},
        mho.devices.StuckAt(lrs=0.1, hrs=0.05, device=DEVICE),
        mho.array.Ideal(),
    ),
    "line resistance": ({"line_resistance": 20.0}, DEVICE, mho.array.Wires(row=20.0, column=20.0)),
    "temperature": ({"kelvin": 380.0}, HOT, mho.array.Ideal()),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_each_effect_is_that_of_hardware(name):
    given, device, array = EFFECTS[name]
    one = held(layer(dataclasses.replace(QUIET, **given)))
    hardware = mho.Hardware(
        device=device, mapping=mho.mapping.Offset(scale=mho.mapping.Maximum()), array=array
    )
    other = AnalogLinear(24, 10, hardware=hardware)
    other.weight.data = layer().weight.data
    mho.program(other, seed=3)
    assert torch.equal(one, other.eval().effective_weight())
    clean = held(layer())
    assert (one - clean).norm() > 0.005 * clean.norm()


def spread_of_reads(effects):
    made = layer(effects)
    with torch.no_grad():
        return made(X[:1].expand(4_000, -1)).std(0)


def test_noise_of_reads_and_of_heat():
    """The variance of an output is that of all its cells: sum of x^2 sigma^2."""
    x, w_per_g = X[0], 2 * layer().weight.abs().max().item() / 39e-6
    expected = w_per_g * 0.02 * 40e-6 * x.norm()
    found = spread_of_reads(dataclasses.replace(QUIET, read_noise=0.02))
    assert ((found / expected - 1).abs() < 0.06).all()
    heat = dataclasses.replace(QUIET, bandwidth=1e8, alpha=0.0, activation=0.0)
    cold, hot = (spread_of_reads(dataclasses.replace(heat, kelvin=k)) for k in (300.0, 450.0))
    assert ((hot / cold / 1.5**0.5 - 1).abs() < 0.09).all()  # 4 k T G df
    assert spread_of_reads(QUIET).max() == 0


def test_without_chance_nothing_scatters_but_stuck_cells_stay():
    effects = RRAMEffects(stuck_lrs=0.2)
    made = layer(effects, bits=4, enable_stochastic=False)
    assert torch.equal(made(X), made(X))
    assert not torch.equal(held(made), held(layer(RRAMEffects(), bits=4, enable_stochastic=False)))


def test_converters_follow_the_inputs():
    made = layer(dataclasses.replace(QUIET, dac_bits=4, adc_bits=None))
    scale = made(X) - layer()(X)
    assert 0 < scale.abs().max() < 0.1
    assert torch.allclose(made(1024 * X), 1024 * made(X))  # a power of two: no code sits on another side


# --- training and programming --------------------------------------------------------------------


def test_training_sees_levels_and_noise_and_has_gradients():
    made = layer(bits=4, enable_stochastic=False).train()
    x = X.clone().requires_grad_()
    y = made(x)
    y.sum().backward()
    assert torch.allclose(y, layer(bits=4)(X), atol=1e-5)  # the levels
    assert torch.allclose(made.weight.grad, X.sum(0).expand(10, -1), atol=1e-5)  # straight through
    assert torch.allclose(x.grad, held(layer(bits=4)).sum(0).expand(5, -1), atol=1e-5)
    noisy = layer(RRAMEffects(dac_bits=None, adc_bits=None)).train()
    assert not torch.equal(noisy(X), noisy(X))


def test_cells_follow_the_weights_in_evaluation_and_nothing_else():
    made = layer(RRAMEffects(read_noise=0.0, bandwidth=None))
    first = held(made)
    made.train(), made.eval()
    assert torch.equal(held(made), first)  # the same chip
    mho.degrade(made, mho.devices.StuckAt(lrs=0.3), seed=1)
    worn = held(made)
    assert not torch.equal(worn, first) and torch.equal(held(made), worn)  # what befell it stays
    made.weight.data = made.weight.data.flip(0)
    assert not torch.equal(held(made), worn)
    assert not made.is_stale()


def test_a_chip_goes_with_state_dict_and_copies():
    made = layer(RRAMEffects(read_noise=0.0, bandwidth=None))
    y = made(X)
    other = layer(RRAMEffects(read_noise=0.0, bandwidth=None), seed=99)
    assert not torch.equal(other(X), y)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(X), y) and torch.equal(copy.deepcopy(made)(X), y)


@pytest.mark.parametrize("bits", [0, 1, 17, 2.5, True, "4"])
def test_numbers_of_bits(bits):
    with pytest.raises((ValueError, TypeError), match="quantization_bits = .*: give"):
        TorchRRAMLinear(4, 2, quantization_bits=bits)


# --- boards --------------------------------------------------------------------------------------


class Board:
    """A board whose cells miss their targets a little."""

    def __init__(self):
        self.cells = np.zeros((10, 24))
        self.written = []

    def write_matrix(self, matrix):
        self.written.append(matrix)
        self.cells = 0.9 * matrix + 1e-6
        return True

    def read_matrix(self):
        return self.cells


def test_a_board_gets_the_targets_and_gives_the_weights():
    board = Board()
    made = layer(RRAMEffects(dac_bits=None, adc_bits=None), bits=4, rram_interface=board)
    y = made(X)
    (targets,) = board.written
    assert targets.shape == (10, 24) and len(np.unique(targets)) <= 16
    assert targets.min() >= 1e-6 and np.isclose(targets.max(), 40e-6)
    scale = made.weight.abs().max().item()
    g_low = 1e-6 + 39e-6 / 15  # an even number of levels leaves the lowest one unused
    span = 40e-6 - g_low
    weights = torch.tensor((2 * board.cells - 40e-6 - g_low) / span * scale)
    assert torch.allclose(y.double(), X.double() @ weights.t(), rtol=1e-4, atol=1e-5)
    board.cells = board.cells * 0.5
    assert torch.equal(made(X), y)  # what was read is what counts
    made.update_weights_from_rram()
    assert not torch.allclose(made(X), y) and len(board.written) == 1
    made.weight.data = -made.weight.data
    made(X)
    assert len(board.written) == 2


WRONG = {
    "shape": (lambda cells: cells.T, r"has shape \(24, 10\): the layer has \(10, 24\)"),
    "nan": (
        lambda cells: np.where(np.arange(24) == 7, np.nan, cells),
        "10 of 240 cells are NaN, the first one for output 0 and input 7",
    ),
    "scpi": (lambda cells: np.where(np.arange(24) == 3, 9.91e37, cells), "cells are 9.91e37"),
    "negative": (lambda cells: cells - 1e-3, "are below zero"),
    "ohms": (lambda cells: 1 / cells, "are above 1 S, more than any cell conducts"),
    "words": (lambda cells: "compliance", "gave a str: give numbers of siemens"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_board_cannot_hold_is_refused(name):
    board = Board()
    made = layer(rram_interface=board)
    y = made(X)
    change, words = WRONG[name]
    board.read_matrix = lambda: change(board.cells)
    for verb in (made.update_weights_from_rram, made.program_rram_weights):
        with pytest.raises(BoardError, match=words):
            verb()
    assert torch.equal(made(X), y)


def test_stale_data_and_writes_that_fail_are_refused():
    board = Board()
    made = layer(rram_interface=board)
    y, kept = made(X), board.cells.copy()
    made.weight.data = made.weight.data.flip(1)
    board.read_matrix = lambda: kept
    with pytest.raises(BoardError, match="the data are stale"):
        made(X)
    board.write_matrix = lambda matrix: False
    with pytest.raises(BoardError, match="write_matrix of Board gave False"):
        made(X)
    made.weight.data = made.weight.data.flip(1)
    assert torch.equal(made(X), y)  # the cells and the weights of before
    with pytest.raises(TypeError, match="is a list without write_matrix and read_matrix"):
        TorchRRAMLinear(4, 2, rram_interface=[])
