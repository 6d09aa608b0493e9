"""Whole models: there and back, with everything that hangs on their modules."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import mho
from mho.errors import NotMappableError, StaleChipWarning
from mho.nn import AnalogConv2d, AnalogLayer, AnalogLinear, Crossbar

IDEAL = mho.Hardware()
NOISY = mho.Hardware(device=mho.devices.PCM())
SILENT = mho.Hardware(device=mho.devices.PCM(read_scale=0.0))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-6) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max())


def ready(model: nn.Module, hardware: mho.Hardware = SILENT, seed: int = 0) -> nn.Module:
    analog = mho.convert(model, hardware)
    mho.program(analog, seed=seed)
    return analog.eval()


class Own(nn.Module):
    """A module of the user's own, with a weight matrix that mho knows no arrays for."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


class Block(nn.Module):
    """A residual block as in ResNet, with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


def residual() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    blocks = nn.ModuleDict({"a": Block(4, 4, 1), "b": Block(4, 8, 2)})
    return nn.Sequential(stem, *blocks.values(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


IMAGES = (2, 3, 8, 8)


# --- a whole model ----------------------------------------------------------------------------


def test_a_residual_network_there_and_back() -> None:
    model = residual().eval()
    x = torch.randn(IMAGES)
    wanted = model(x)
    analog = mho.convert(model, IDEAL).eval()
    assert close(analog(x), wanted)
    mho.program(analog, seed=0)
    assert close(analog(x), wanted)
    expected = [name for name, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert [row.path for row in analog.report.rows if row.analog] == expected
    back = mho.revert(analog)
    assert [type(m) for m in back.modules()] == [type(m) for m in model.modules()]
    assert torch.equal(back(x), wanted)
    assert list(back.state_dict()) == list(model.state_dict())
    assert not hasattr(back, "report")


def test_the_original_is_untouched() -> None:
    model = residual()
    model[0][0].weight.requires_grad_(False)
    before = copy.deepcopy(model)
    analog = mho.convert(model, NOISY)
    mho.program(analog, seed=0)
    analog(torch.randn(IMAGES)).sum().backward()
    with torch.no_grad():
        for p in analog.parameters():
            p.add_(1)
    assert [type(m) for m in model.modules()] == [type(m) for m in before.modules()]
    assert not hasattr(model, "report") and all(p.grad is None for p in model.parameters())
    for (name, a), (_, b) in zip(model.state_dict().items(), before.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert all(m.training for m in model.modules())
    assert analog[0][0].weight.requires_grad is False and analog[0][0].weight is not model[0][0].weight


def test_mode_dtype_and_frozen_parameters_are_kept() -> None:
    model = residual().double()
    model[1].eval()
    model[5].bias.requires_grad_(False)
    analog = mho.convert(model, IDEAL)
    layers = [m for m in analog.modules() if not isinstance(m, Crossbar)]
    assert [m.training for m in layers] == [m.training for m in model.modules()]
    assert all(m.crossbar.training == m.training for m in layers if isinstance(m, AnalogLayer))
    assert {p.dtype for p in analog.parameters()} == {torch.float64}
    assert [p.requires_grad for p in analog.parameters()] == [p.requires_grad for p in model.parameters()]
    assert [n for n, _ in analog.named_parameters()] == [n for n, _ in model.named_parameters()]


def test_a_model_that_is_one_layer() -> None:
    layer = nn.Linear(6, 4)
    analog = mho.convert(layer, IDEAL)
    assert type(analog) is AnalogLinear and analog.report.rows[0].path == ""
    assert type(mho.revert(analog)) is nn.Linear


def test_containers_in_containers() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict(
                {"x": nn.ModuleList([nn.Sequential(nn.Linear(4, 4)), nn.Linear(4, 2)])}
            )
            self.gain = nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts["x"]:
                x = part(x)
            return self.gain * x

    model, x = Deep().eval(), torch.randn(3, 4)
    analog = ready(model, IDEAL)
    assert close(analog(x), model(x))
    rows = {row.path: row for row in analog.report.rows}
    assert set(rows) == {"", "parts.x.0.0", "parts.x.1"}
    assert not rows[""].analog and rows["parts.x.1"].analog
    assert set(mho.conductances(analog)) == {"parts.x.0.0", "parts.x.1"}


def test_converting_twice_leaves_what_is_analog() -> None:
    model = residual()
    first = mho.convert(model, IDEAL, select=lambda _, module: isinstance(module, nn.Linear))
    both = mho.convert(first, SILENT)
    assert type(both[5].hardware.device) is mho.devices.Ideal
    assert all(
        type(m.hardware.device) is mho.devices.PCM for m in both.modules() if isinstance(m, AnalogConv2d)
    )
    assert torch.equal(mho.revert(both).eval()(torch.ones(IMAGES)), model.eval()(torch.ones(IMAGES)))


# --- ties, hooks ------------------------------------------------------------------------------


def test_ties_are_ties_of_the_parameter() -> None:
    """Two modules that share a Parameter are two arrays with two chips, and stay one Parameter."""
    model = nn.ModuleDict({"own": Own(5, 7), "a": nn.Linear(5, 7), "b": nn.Linear(5, 7, bias=False)})
    model["a"].weight = model["b"].weight = model["own"].weight
    analog = ready(model)
    assert analog["a"].weight is analog["b"].weight is analog["own"].weight
    assert analog["a"].weight is not model["a"].weight
    assert not torch.equal(analog["a"].chip_g, analog["b"].chip_g)
    rows = {row.path: row for row in analog.report.rows}
    assert rows["own"].parameters == 35 and not rows["own"].analog
    assert (rows["a"].parameters, rows["b"].parameters) == (7, 0)
    assert "tied" in rows["a"].note and "tied" in rows["b"].note
    with torch.no_grad():
        analog["own"].weight.zero_()
    for path in "ab":
        with pytest.warns(StaleChipWarning):
            analog[path](torch.ones(1, 5))
    back = mho.revert(analog)
    assert back["a"].weight is back["b"].weight is back["own"].weight
    apart = mho.revert(analog, weights="programmed")
    assert apart["a"].weight is not apart["b"].weight


def test_a_module_used_twice_is_one_array() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(5, 5)
            self.again = self.first
            self.inner = nn.Sequential(self.first, nn.Tanh())

        def forward(self, x: Tensor) -> Tensor:
            return self.again(self.inner(self.first(x)))

    model, x = Twice().eval(), torch.randn(3, 5)
    analog = ready(model)
    assert analog.first is analog.again is analog.inner[0]
    assert list(mho.conductances(analog)) == ["first"]
    weight = mho.effective_weights(analog)["first"]
    digital = copy.deepcopy(model)
    digital.first.weight.data = weight
    assert close(analog(x), digital(x))
    back = mho.revert(analog)
    assert back.first is back.again is back.inner[0]


def test_hooks_run_in_the_copy() -> None:
    calls: list[str] = []
    model = nn.Sequential(nn.Linear(4, 3), nn.Conv1d(3, 2, 1))
    model[0].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))
    model[0].register_forward_hook(lambda module, inputs, output: output.unsqueeze(-1) + 1)
    model[1].register_forward_hook(lambda *_: calls.append("forward"))
    model[1].register_forward_pre_hook(lambda m, args, kwargs: calls.append("keywords"), with_kwargs=True)
    model[1].register_full_backward_hook(lambda *_: calls.append("backward"))
    model[1].register_full_backward_pre_hook(lambda *_: calls.append("before backward"))
    model[1].register_state_dict_post_hook(lambda *_: calls.append("state"))
    x = torch.randn(5, 4)
    wanted = model(x)
    analog = mho.convert(model, IDEAL).eval()
    calls.clear()
    got = analog(x)
    assert close(got, wanted)
    got.sum().backward()
    analog.state_dict()
    assert calls == ["keywords", "forward", "before backward", "backward", "state"]
    back = mho.revert(analog)
    assert torch.equal(back(x), wanted)
    # the copy's hooks are its own
    handle = analog[1].register_forward_hook(lambda *_: calls.append("only here"))
    calls.clear()
    model(x)
    assert "only here" not in calls
    handle.remove()


def test_buffers_and_attributes_of_a_layer_are_kept() -> None:
    layer = nn.Linear(4, 3)
    layer.register_buffer("seen", torch.arange(3.0))
    layer.register_buffer("passing", torch.ones(2), persistent=False)
    layer.note = "an attribute"
    layer.child = nn.ReLU()
    for made in (mho.convert(layer, IDEAL), mho.revert(mho.convert(layer, IDEAL))):
        assert (
            torch.equal(made.seen, layer.seen) and made.note == "an attribute" and type(made.child) is nn.ReLU
        )
        assert "seen" in made.state_dict() and "passing" not in made.state_dict()
    back = mho.revert(mho.convert(layer, IDEAL))
    assert set(vars(back)) == set(vars(layer)) and list(back.state_dict()) == list(layer.state_dict())


# --- computed weights -------------------------------------------------------------------------


class Symmetric(nn.Module):
    """A parametrisation of the user's own, without an inverse."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.tanh() * 2


def custom(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Symmetric(), unsafe=True)


def pruned(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", amount=0.5)


def pruned_twice(layer: nn.Module) -> nn.Module:
    return prune.ln_structured(pruned(layer), "weight", amount=0.25, n=2, dim=0)


def old(norm: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    def apply(layer: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated in torch, and still in many models
            return norm(layer)

    return apply


COMPUTED = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "custom": custom,
    "pruned": pruned,
    "pruned twice": pruned_twice,
    "old weight norm": old(nn.utils.weight_norm),
    "old spectral norm": old(nn.utils.spectral_norm),
}
LAYERS = {
    "linear": (lambda: nn.Linear(6, 4), (3, 6)),
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 5)),
}


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("kind", LAYERS)
def test_computed_weights(name: str, kind: str) -> None:
    """Weights that are functions of other Parameters: the chip gets the weights, training the Parameters."""
    make, shape = LAYERS[kind]
    model = nn.Sequential(COMPUTED[name](make())).eval()
    x = torch.randn(shape)
    wanted = model(x)
    analog = mho.convert(model, IDEAL)
    assert isinstance(analog[0], AnalogLayer)
    assert [n for n, _ in analog.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert close(analog.eval()(x), wanted)
    mho.program(analog, seed=0)
    assert close(analog(x), wanted)

    analog.train()(x).square().sum().backward()
    model.train()(x).square().sum().backward()
    for (path, a), (_, b) in zip(analog.named_parameters(), model.named_parameters(), strict=True):
        assert a.grad is not None and close(a.grad, b.grad, 1e-5), path

    # a step of the optimizer, and no forward after it: program takes the weights of now
    with torch.no_grad():
        for made in (analog, model):
            for p in made.parameters():
                p.mul_(1.5).add_(0.01)
    if "spectral" not in name:  # these norms cancel the factor
        with pytest.warns(StaleChipWarning):
            analog.eval()
    mho.program(analog, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analog.train().eval()
    wanted = model.eval()(x)
    assert close(analog(x), wanted, 1e-5)

    for back in (mho.revert(analog), mho.revert(analog, weights="programmed")):
        assert close(back.eval()(x), wanted, 1e-5)
        assert isinstance(back[0], (nn.Linear, nn.Conv2d)) and not isinstance(back[0], AnalogLayer)
    assert list(mho.revert(analog).state_dict()) == list(model.state_dict())
    plain = mho.revert(analog, weights="programmed")[0]
    assert type(plain.weight) is nn.Parameter and plain.weight.requires_grad
    assert set(plain.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("name", ["weight norm", "pruned", "custom", "old weight norm"])
def test_a_chip_of_computed_weights_is_saved_and_loaded(name: str) -> None:
    def make() -> nn.Module:
        return COMPUTED[name](nn.Linear(6, 4))

    analog = ready(nn.Sequential(make()))
    x = torch.randn(3, 6)
    fresh = mho.convert(nn.Sequential(make()), SILENT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.load_state_dict(analog.state_dict())
        fresh.eval()
        assert torch.equal(fresh(x), analog(x))


def test_zeros_of_a_pruned_layer_are_targets_of_zero() -> None:
    analog = ready(pruned(nn.Linear(20, 10)), IDEAL)
    g = mho.conductances(analog)[""][:, 0].mT
    assert bool((g[:, analog.weight_mask == 0] == 0).all())
    assert int((g.sum(0) == 0).sum()) == 100


def test_clipping_a_computed_weight_is_refused() -> None:
    analog = mho.convert(parametrizations.weight_norm(nn.Linear(3, 2)), IDEAL)
    mho.training.attach(analog, mho.training.Recipe(modifiers=(mho.training.WeightClip(),)))
    with pytest.raises(TypeError, match="is computed \\(parametrised or pruned\\)"):
        analog.train()(torch.ones(1, 3))


# --- subclasses, and what stays digital -------------------------------------------------------


class Plain(nn.Linear):
    """A subclass that computes what its base computes."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.scale = 3

    def helper(self) -> int:
        return self.scale


class Other(nn.Linear):
    """A subclass with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class OwnConv(nn.Conv2d):
    """A subclass whose convolution is another one."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, weight.abs(), bias)


def test_subclasses() -> None:
    model = nn.Sequential(Plain(4, 4), Other(4, 4), nn.Unflatten(1, (1, 2, 2)), OwnConv(1, 2, 2)).eval()
    x = torch.randn(3, 4)
    analog = ready(model, IDEAL)
    rows = {row.path: row for row in analog.report.rows}
    assert [rows[p].analog for p in ("0", "1", "3")] == [True, False, False]
    assert "Other has a forward of its own" in rows["1"].note and "OwnConv" in rows["3"].note
    assert close(analog(x), model(x))
    assert type(mho.revert(analog)[0]) is Plain and mho.revert(analog)[0].helper() == 3
    with pytest.raises(
        NotMappableError, match=r"1 \(Other: .*forward of its own.*3 \(OwnConv: .*drop strict"
    ):
        mho.convert(model, IDEAL, strict=True)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_what_stays_digital_is_said() -> None:
    empty = nn.Linear(0, 3)
    model = nn.ModuleList(
        [Own(3, 4), nn.BatchNorm1d(4), nn.PReLU(), nn.Linear(2, 2), empty, nn.LazyLinear(2)]
    )
    analog = mho.convert(model, IDEAL)
    digital = {row.path: row.note for row in analog.report.rows if not row.analog}
    assert set(digital) == {"0", "1", "2", "4", "5"}
    assert digital["0"] == "no mapping onto arrays"
    assert digital["1"] == digital["2"] and "matrix" in digital["1"]
    assert "empty" in digital["4"] and "run the model once" in digital["5"]
    with pytest.raises(
        NotMappableError, match=r"0 \(Own: no mapping.*4 \(Linear.*5 \(LazyLinear.*drop strict"
    ) as error:
        mho.convert(model, IDEAL, strict=True)
    assert "BatchNorm" not in str(error.value) and "3 (Linear" not in str(error.value)
    mho.convert(model[1:4], IDEAL, strict=True)
    tied = nn.ModuleDict({"a": nn.Linear(4, 3), "own": Own(4, 3)})
    tied["own"].weight = tied["a"].weight
    with pytest.raises(NotMappableError, match=r"own \(Own: no mapping"):
        mho.convert(tied, IDEAL, strict=True)


class Reader(nn.Module):
    """A module that multiplies by the weight of its child instead of calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.inner.weight, self.inner.bias)


def test_an_array_that_nobody_reads_is_not_made() -> None:
    model, x = nn.Sequential(Reader()), torch.randn(2, 4)
    analog = mho.convert(model, NOISY).eval()
    (row,) = analog.report.rows
    assert (row.path, row.analog) == ("0.inner", False)
    assert row.note == "Reader reads its weight instead of calling it"
    assert torch.equal(analog(x), model(x))
    with pytest.raises(
        ValueError, match=r"select\['0\.inner'\]: Linear cannot be mapped: Reader reads its weight"
    ):
        mho.convert(model, NOISY, select={"0.inner": NOISY})
    with pytest.raises(NotMappableError, match="Reader reads its weight"):
        mho.convert(model, NOISY, strict=True)


@pytest.mark.filterwarnings("ignore:.*nested tensors")
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("padded", [False, True])
def test_noise_shows_through_fused_transformers(depth: int, padded: bool) -> None:
    """In evaluation without gradients torch would run a fused layer that reads the weights."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    model = (nn.TransformerEncoder(layer, depth) if depth else layer).eval()
    x = torch.randn(2, 5, 8)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[1, 3:] = padded
    given = {"src_key_padding_mask": mask} if padded else {}
    with torch.no_grad():
        wanted = model(x, **given)
        same = mho.convert(model, IDEAL).eval()(x, **given)
        assert close(same[~mask], wanted[~mask], 1e-5)
        for only in ("linear1", "linear2"):
            analog = mho.convert(model, NOISY, select=lambda path, _, only=only: path.endswith(only)).eval()
            mho.program(analog, seed=0)
            assert not torch.equal(analog(x, **given)[~mask], analog(x, **given)[~mask])
        assert close(mho.revert(analog).eval()(x, **given)[~mask], wanted[~mask], 1e-5)


@pytest.mark.parametrize("name", ["residual", "attention", "encoder", "transposed"])
def test_every_converted_layer_counts(name: str) -> None:
    """Other conductances in one layer, other outputs: nothing computes past an array."""
    models = {
        "residual": (residual(), torch.randn(IMAGES)),
        "attention": (nn.MultiheadAttention(8, 2, batch_first=True), *[torch.randn(2, 5, 8)] * 3),
        "encoder": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(2, 5, 8)),
        "transposed": (nn.Sequential(nn.ConvTranspose1d(3, 4, 2), nn.Conv1d(4, 2, 2)), torch.randn(2, 3, 6)),
    }
    model, *inputs = models[name]
    analog = mho.convert(nn.ModuleDict({name: model}), SILENT).eval()
    digital = [row for row in analog.report.rows if not row.analog]
    assert all(row.note for row in digital)
    layers = [m for m in analog.modules() if isinstance(m, Crossbar)]
    if not layers:
        assert digital  # and said so
        return
    mho.program(analog, seed=0)

    def run() -> Tensor:
        y = analog[name](*inputs)
        return y if isinstance(y, Tensor) else y[0]

    with torch.no_grad():
        before = run()
        assert torch.equal(run(), before)
        for layer in layers:
            g = layer.chip_g.clone()
            layer.chip_g.copy_(g.flip(-1))
            assert not torch.equal(run(), before), layer.path
            layer.chip_g.copy_(g)
        assert torch.equal(run(), before)


# --- choosing ---------------------------------------------------------------------------------


def test_each_layer_can_have_its_own_hardware() -> None:
    model = residual()
    coarse = mho.Hardware(mapping=mho.mapping.DifferentialPair(levels=4))
    analog = mho.convert(model, IDEAL, select={"0.0": coarse, "5": SILENT})
    assert [row.path for row in analog.report.rows if row.analog] == ["0.0", "5"]
    assert analog[0][0].hardware == coarse and analog[5].hardware == SILENT
    assert type(analog[1].conv1) is nn.Conv2d
    assert {row.note for row in analog.report.rows if row.layer == "Conv2d" and not row.analog} == {
        "not selected"
    }


def test_a_predicate_sees_path_and_module() -> None:
    seen = {}

    def choose(path: str, module: nn.Module) -> bool:
        seen[path] = type(module)
        return isinstance(module, nn.Conv2d) and path.startswith("1.")

    analog = mho.convert(residual(), IDEAL, select=choose)
    assert [row.path for row in analog.report.rows if row.analog] == ["1.conv1", "1.conv2"]
    assert seen["5"] is nn.Linear and set(seen.values()) == {nn.Linear, nn.Conv2d}


WRONG = {
    "no such path": (
        {"5.weight": IDEAL},
        ValueError,
        r"select\['5\.weight'\]: the model has no '5\.weight'.*it has: ",
    ),
    "a misspelt path": ({"1.conv3": IDEAL}, ValueError, r"did you mean '1\.conv"),
    "not mappable": ({"0.2": IDEAL}, ValueError, r"select\['0\.2'\]: ReLU cannot be mapped: "),
    "no matrix": ({"0.1": IDEAL}, ValueError, r"select\['0\.1'\]: BatchNorm2d cannot be mapped: "),
    "no hardware": ({"5": mho.devices.PCM()}, TypeError, r"select\['5'\] is a PCM: give the mho\.Hardware"),
    "a text": ("5", TypeError, "select is a str: give a predicate"),
    "a list": (["5"], TypeError, "select is a list: give a predicate .* or a dict"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_choices_are_named(name: str) -> None:
    select, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        mho.convert(residual(), IDEAL, select=select)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"model is a type: give a torch\.nn\.Module"):
        mho.convert(nn.Linear, IDEAL)
    with pytest.raises(TypeError, match=r"model is a str: give a torch\.nn\.Module"):
        mho.revert("model")
    with pytest.raises(TypeError, match=r"hardware is a PCM: give a mho\.Hardware"):
        mho.convert(nn.Linear(2, 2), mho.devices.PCM())
    with pytest.raises(ValueError, match="weights = 'chip': choose 'ideal' or 'programmed'"):
        mho.revert(ready(nn.Linear(2, 2)), weights="chip")
    with pytest.raises(ValueError, match="it has no analog layer|the model has no analog layer"):
        mho.program(nn.Linear(2, 2), seed=0)
    with pytest.raises(NotMappableError, match=r"weight has shape \(2, 0\).*leave such a layer digital"):
        AnalogLinear(0, 2, hardware=IDEAL)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(bad: float) -> None:
    model = residual()
    model[1].conv2.weight.data[0, 1] = bad
    with pytest.raises(
        ValueError, match=r"weight of '1\.conv2': 9 of 144 values are NaN or infinite.*repair"
    ):
        mho.convert(model, IDEAL)


# --- back -------------------------------------------------------------------------------------


def test_the_programmed_weights_in_plain_torch() -> None:
    """Aged, compensated, corrected: the digital network computes what the chip computes."""
    model = residual().eval()
    x = torch.randn(16, 3, 8, 8)
    analog = ready(model)
    mho.age(analog, 1e6)
    mho.compensate(analog)
    mho.compensate(analog, mho.periphery.Affine(), data=[x])
    chip = analog(x)
    digital = mho.revert(analog, weights="programmed")
    assert close(digital(x), chip, 1e-5)
    assert not close(digital(x), model(x), 0.01)
    for path, weight in mho.effective_weights(analog).items():
        assert torch.equal(digital.get_submodule(path).weight, weight)
    again = ready(digital, IDEAL)
    assert close(again(x), chip, 1e-4)
    assert torch.equal(mho.revert(analog)(x), model(x))
    assert torch.equal(analog(x), chip)  # untouched


# --- the report -------------------------------------------------------------------------------


def test_report() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 10))
    hardware = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=9, columns=8))
    analog = mho.convert(model, hardware)
    conv, norm, linear = analog.report.rows
    assert (conv.path, conv.layer, conv.analog, conv.parameters, conv.analog_parameters) == (
        "0",
        "Conv2d",
        True,
        224,
        216,
    )
    assert (conv.cells, conv.tiles) == (2 * 216, 2 * 3)
    assert (norm.layer, norm.analog, norm.parameters, norm.analog_parameters, norm.cells) == (
        "BatchNorm2d",
        False,
        16,
        0,
        0,
    )
    assert (linear.cells, linear.analog_parameters) == (640, 320)
    assert "27 x 8 on PCM, DifferentialPair" in conv.note
    assert analog.report.analog_fraction == pytest.approx((216 + 320) / (224 + 16 + 330))
    assert not analog.report.programmed
    text = str(analog.report)
    for part in (
        "path",
        "Conv2d",
        "BatchNorm2d",
        "analog",
        "digital",
        "27 x 8 on PCM",
        "not programmed",
        "94.0%",
    ):
        assert part in text, part
    mho.program(analog, seed=0)
    assert analog.report.programmed and "not programmed" not in str(analog.report)
    assert "; programmed" in str(analog.report)
    assert mho.convert(nn.Sequential(nn.ReLU()), IDEAL).report.analog_fraction == 0


def test_resnet_18_in_numbers() -> None:
    """11 million weights are 22 million cells in pairs; a digital bias is no cell."""
    from mho.experiments.models.resnet import ResNet18

    with torch.device("meta"):
        model = ResNet18().build(channels=3, size=32, classes=10)
    weights = {n: m.weight.numel() for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    total = sum(p.numel() for p in model.parameters())
    small = nn.Sequential(*(m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))).to_empty(
        device="cpu"
    )
    for p in small.parameters():
        nn.init.zeros_(p)
    report = mho.convert(small, NOISY).report
    assert sum(weights.values()) == 11_164_352 and total == 11_173_962
    assert sum(row.cells for row in report.rows) == 2 * 11_164_352
    assert sum(row.analog_parameters for row in report.rows) == 11_164_352
    assert sum(row.parameters for row in report.rows) == 11_164_352 + 10
