"""What CrossSim's page on its PyTorch integration says and shows, in its order, with the package replaced.

One script: each section goes on with the names of the one before. Where the page names a limitation, the
test shows that there is none.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mho.compat.crosssim.simulator import CrossSimParameters
from mho.compat.crosssim.simulator.algorithms.dnn.torch.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from mho.compat.crosssim.simulator.algorithms.dnn.torch.convert import (
    analog_modules,
    convertible_modules,
    from_torch,
    inconvertible_modules,
    reinitialize,
    synchronize,
    to_torch,
)
from mho.compat.crosssim.simulator.algorithms.dnn.torch.layer import AnalogLayer
from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear


def with_errors() -> CrossSimParameters:
    params = CrossSimParameters()
    params.xbar.device.programming_error.enable = True
    params.xbar.device.programming_error.model = "NormalProportionalDevice"
    params.xbar.device.programming_error.magnitude = 0.05
    return params


def test_using_analog_layers() -> None:
    params = CrossSimParameters()

    # instantiated like torch layers, with the parameters before and the analog ones after the base layer's
    analog_layer = AnalogLinear(params, 2, 3, bias_rows=1)
    assert (analog_layer.in_features, analog_layer.out_features) == (2, 3)
    assert analog_layer.get_matrix().shape == (3, 2 + 1)
    for kind, base, x in (
        (AnalogConv1d, nn.Conv1d, torch.rand(2, 3, 6)),
        (AnalogConv2d, nn.Conv2d, torch.rand(2, 3, 6, 6)),
        (AnalogConv3d, nn.Conv3d, torch.rand(2, 3, 6, 6, 6)),
    ):
        layer = kind(params, 3, 4, 2, bias_rows=1)
        assert isinstance(layer, base) and torch.allclose(
            layer(x), base.forward(to_torch(layer), x), atol=1e-6
        )

    # device and dtype as in torch
    assert AnalogLinear(params, 2, 3, device="cpu", dtype=torch.float64).weight.dtype == torch.float64

    # two copies: layer.weight is ideal and not used in inference
    analog_layer = AnalogLinear(with_errors(), 2, 3, bias_rows=1)
    x = torch.rand(4, 2)
    weight, bias = analog_layer.get_core_weights()
    assert not torch.equal(weight, analog_layer.weight) and not torch.equal(bias, analog_layer.bias)
    assert torch.allclose(analog_layer(x), nn.functional.linear(x, weight, bias), atol=1e-6)
    assert analog_layer.weight.norm() > 0, "other functions of torch work on it"

    # in-place operations and items need no synchronize(), which draws new errors
    held = analog_layer.get_matrix()
    with torch.no_grad():
        analog_layer.weight.add_(0.5)
    assert float((analog_layer.get_matrix() - held)[:, :2].mean()) > 0.3
    with torch.no_grad():
        analog_layer.weight[0, 1] = 5.0
    assert float(analog_layer.get_matrix()[0, 1]) > 4
    held = analog_layer.get_matrix()
    analog_layer.synchronize()
    assert not torch.equal(analog_layer.get_matrix(), held)

    # reinitialize(), also by layer.params and layer.bias_rows, and by an edit inside of params
    for act in (
        analog_layer.reinitialize,
        lambda: setattr(analog_layer, "params", with_errors()),
        lambda: setattr(analog_layer.params.xbar.device.programming_error, "magnitude", 0.1),
        lambda: setattr(analog_layer.params.xbar.device, "Rmax", 2e4),
    ):
        held = analog_layer.get_matrix()
        act()
        assert not torch.equal(analog_layer.get_matrix(), held)
    analog_layer.bias_rows = 2
    assert analog_layer.get_matrix().shape == (3, 2 + 2)

    # get_matrix() is 2D, get_core_weights() in torch's shape
    conv = AnalogConv2d(with_errors(), 3, 4, 2)
    assert conv.get_matrix().shape == (4, 12)
    assert torch.equal(conv.get_core_weights()[0], conv.get_matrix().view(conv.weight.shape))


def test_working_with_models(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    params = with_errors()

    # conversion and back
    analog_model = from_torch(model, params)
    assert [type(m).__name__ for m in analog_modules(analog_model)] == ["AnalogConv2d", "AnalogLinear"]
    assert type(analog_model[1]) is nn.ReLU, "other layers are unchanged"
    reconstructed_model = to_torch(analog_model)
    assert all(
        torch.equal(a, b) for a, b in zip(reconstructed_model.parameters(), model.parameters(), strict=True)
    )
    assert model[1] in inconvertible_modules(model)

    # one value for each layer, in the order of convertible_modules()
    each = [with_errors() for _ in convertible_modules(model)]
    each[1].xbar.device.programming_error.magnitude = 0.0
    analog_model = from_torch(model, each, bias_rows=[1, 0])
    reconstructed_model = to_torch(analog_model, physical_weights=[False, True])
    assert torch.equal(reconstructed_model[0].weight, model[0].weight)
    assert torch.allclose(reconstructed_model[3].weight, model[3].weight, atol=1e-6)

    # simulating inference
    input = torch.rand(5, 1, 6, 6)
    output = analog_model(input)
    assert output.shape == (5, 3) and not torch.allclose(output, model(input), atol=1e-4)
    for verb in (reinitialize, synchronize):
        verb(analog_model)
        assert not torch.equal(analog_model(input), output)

    # analog-aware training: synchronize(model) after the optimizer, which mho would notice anyway
    target, optimizer = torch.tensor([0, 1, 2, 0, 1]), torch.optim.SGD(analog_model.parameters(), lr=0.5)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(analog_model(input), target)
        loss.backward()
        optimizer.step()
        synchronize(analog_model)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1

    # no limitation: saved and loaded as any module, with its chip; dilated above
    torch.save(analog_model, tmp_path / "model.pt")
    torch.save(analog_model.state_dict(), tmp_path / "state.pt")
    output = analog_model(input)
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=False)(input), output)
    again = from_torch(model, each, bias_rows=[1, 0])
    again.load_state_dict(torch.load(tmp_path / "state.pt"))
    assert torch.equal(again(input), output)


def test_adding_layers() -> None:
    """A layer of one's own: a torch layer's forward around the array's product."""

    class AnalogSigned(AnalogLinear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.sign())

    layer = AnalogSigned(with_errors(), 4, 2, bias_rows=1)
    assert isinstance(layer, (AnalogLayer, nn.Linear))
    for name in ("form_matrix", "reinitialize", "from_torch", "to_torch", "forward"):
        assert callable(getattr(layer, name))
    x = torch.randn(3, 4)
    weight, bias = layer.get_core_weights()
    assert torch.allclose(layer(x), nn.functional.linear(x.sign(), weight, bias), atol=1e-6)
    layer(x).sum().backward()
    assert torch.allclose(layer.weight.grad, x.sign().sum(0).expand(2, 4))
