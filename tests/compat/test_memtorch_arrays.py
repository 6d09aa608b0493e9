"""Arrays by themselves and inside of patched layers, under MemTorch's names."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import mho
import mho.compat.memtorch as memtorch
from mho.compat.memtorch.bh.crossbar import Crossbar, init_crossbar, simulate_matmul
from mho.compat.memtorch.bh.crossbar.Crossbar import Scheme
from mho.compat.memtorch.mn.Module import patch_model

VTEAM = memtorch.bh.memristor.VTEAM
CELL: dict[str, Any] = {"r_on": 100.0, "r_off": 1000.0}
G_MIN, G_MAX = 1e-3, 1e-2


def patched(model: nn.Module, kind: type[nn.Module], **options: Any) -> Any:
    return patch_model(model, VTEAM, CELL, [kind], verbose=False, seed=0, **options)


def test_patched_layers_have_memtorchs_classes_and_survive_copies() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.ReLU())
    got = patch_model(model, VTEAM, CELL, [nn.Linear, nn.Conv2d], verbose=False, seed=0)
    assert [type(m) for m in got] == [memtorch.mn.Conv2d, nn.Flatten, memtorch.mn.Linear, nn.ReLU]
    x = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(got(x), model(x), rtol=0, atol=1e-5)
    for other in (copy.deepcopy(got), pickle.loads(pickle.dumps(got))):
        assert isinstance(other[2], memtorch.mn.Linear) and torch.equal(other(x), got(x))
    assert type(mho.revert(got)[2]) is nn.Linear


def test_crossbars_hold_the_weights_and_take_others() -> None:
    model = nn.Sequential(nn.Linear(5, 3))
    got = patched(model, nn.Linear)
    plus, minus = got[0].crossbars
    assert plus.conductance_matrix.shape == (5, 3)
    span = model[0].weight.detach().abs().max() / (G_MAX - G_MIN)
    weight = (plus.conductance_matrix - minus.conductance_matrix).T * span
    torch.testing.assert_close(weight, model[0].weight.detach(), rtol=1e-4, atol=1e-6)

    torch.manual_seed(0)
    for crossbar in got[0].crossbars:  # as MemTorch's case study makes chips of chance
        crossbar.conductance_matrix = crossbar.conductance_matrix.uniform_(G_MIN, G_MAX)
    drawn = (plus.conductance_matrix - minus.conductance_matrix).T * span
    wanted = nn.functional.linear(torch.ones(1, 5), drawn, model[0].bias)
    torch.testing.assert_close(got(torch.ones(1, 5)), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"give \[5, 3\]"):
        plus.conductance_matrix = torch.zeros(3, 5)
    with pytest.raises(ValueError, match="groups"):
        _ = patched(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), nn.Conv2d)[0].crossbars


def test_layers_by_themselves() -> None:
    plain = nn.Linear(5, 3)
    got = memtorch.mn.Linear(plain, VTEAM, CELL, max_input_voltage=0.3)
    assert type(got) is memtorch.mn.Linear and hasattr(got, "tune_")
    x = torch.rand(2, 5)
    torch.testing.assert_close(got(x), plain(x), rtol=1e-4, atol=1e-5)
    recurrent = nn.RNN(3, 4)
    made = memtorch.mn.RNN(recurrent, VTEAM, CELL)
    assert len(made.crossbars) == 4  # of inputs and of the state, a pair each
    steps = torch.rand(6, 2, 3)
    torch.testing.assert_close(made(steps)[0], recurrent(steps)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match=r"give a torch\.nn\.Linear"):
        memtorch.mn.Linear(recurrent, VTEAM, CELL)


def test_an_array_by_itself() -> None:
    torch.manual_seed(0)
    fresh = Crossbar(VTEAM, CELL, (2, 3))
    assert (fresh.rows, fresh.columns) == (3, 2)
    assert fresh.conductance_matrix.unique().numel() == 1
    assert float(fresh.conductance_matrix[0, 0]) == pytest.approx(VTEAM(**CELL).g)
    drawn = Crossbar(VTEAM, CELL, (20, 30), random_crossbar_init=True).conductance_matrix
    assert G_MIN < float(drawn.min()) < 2e-3 and 9e-3 < float(drawn.max()) < G_MAX
    fresh.write_conductance_matrix(torch.tensor([[0.002, 0.004, 1.0], [0.0, 0.005, 0.006]]))
    wanted = torch.tensor([[0.002, G_MIN], [0.004, 0.005], [G_MAX, 0.006]])
    torch.testing.assert_close(fresh.conductance_matrix, wanted)
    x = torch.tensor([[0.1, -0.2, 0.3]])
    torch.testing.assert_close(simulate_matmul(x, fresh), x @ wanted)
    coarse = simulate_matmul(x, fresh, ADC_resolution=3, quant_method="linear")
    assert torch.equal(coarse, memtorch.bh.Quantize.quantize(x @ wanted, 3, 0.0, "linear"))
    for options, match in (({"nl": False}, "simulate=True"), ({"max_input_voltage": 0.3}, "naive_scale")):
        with pytest.raises(ValueError, match=match):
            simulate_matmul(x, fresh, **options)


def test_a_pair_of_arrays() -> None:
    weights = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    pair, out = init_crossbar(weights, VTEAM, CELL)
    x = torch.rand(3, 6)
    current = out(pair, lambda crossbar: simulate_matmul(x, crossbar))
    torch.testing.assert_close(
        current * weights.abs().max() / (G_MAX - G_MIN), x @ weights.T, rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="patch_model"):
        init_crossbar(weights, VTEAM, CELL, scheme=Scheme.SingleColumn)


def test_no_spread_is_a_number() -> None:
    assert memtorch.bh.StochasticParameter(loc=500.0, scale=0.0, min=1) == 500.0
