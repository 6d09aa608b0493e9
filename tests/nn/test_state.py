"""What a chip survives: saving, loading, copying, moving; and what makes it stale."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import mho
from mho.errors import ChipNotUsedWarning, NotProgrammedError, StaleChipWarning

HARDWARE = mho.Hardware(
    device=mho.devices.PCM(read_scale=0.0),
    tile=mho.Tile(rows=32, columns=16),
    dac=mho.DAC(bits=8),
    adc=mho.ADC(bits=8),
)
NOISY = mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=32, columns=16))


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10)
    )


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, 1, 8, 8)


@pytest.fixture
def chip(x: torch.Tensor) -> nn.Module:
    analog = mho.convert(network(), HARDWARE)
    mho.calibrate(analog, [x])
    mho.program(analog, seed=4)
    mho.age(analog, 86_400)
    mho.compensate(analog)
    return analog.eval()


def test_state_dict_round_trip_is_bit_equal(chip: nn.Module, x: torch.Tensor, tmp_path: Path) -> None:
    torch.save(chip.state_dict(), tmp_path / "chip.pt")
    state = torch.load(tmp_path / "chip.pt", weights_only=True)
    fresh = mho.convert(network(), HARDWARE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.load_state_dict(state)
        fresh.eval()
        assert torch.equal(fresh(x), chip(x))
    for path, g in mho.conductances(chip).items():
        assert torch.equal(mho.conductances(fresh)[path], g)
    mho.age(fresh, 3600)
    mho.age(chip, 3600)
    assert torch.equal(fresh(x), chip(x))


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), "torch"])
def test_copies_are_the_same_chip_and_independent(chip: nn.Module, x: torch.Tensor, copier: object) -> None:
    if copier == "torch":
        buffer = io.BytesIO()
        torch.save(chip, buffer)
        twin = torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    else:
        twin = copier(chip)
    before = chip(x)
    assert torch.equal(twin(x), before)
    mho.age(twin, 31_536_000)
    assert torch.equal(chip(x), before) and not torch.equal(twin(x), before)
    mho.age(chip, 31_536_000)
    assert torch.equal(chip(x), twin(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_moving_to_a_dtype_and_back(chip: nn.Module, x: torch.Tensor, dtype: torch.dtype) -> None:
    before, g = chip(x), mho.conductances(chip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chip.to(dtype).to(torch.float32).eval()
        after = chip(x)
    for path, value in mho.conductances(chip).items():
        assert torch.equal(value, g[path])
    assert (after - before).abs().max() <= (0 if dtype == torch.float64 else 0.05) * before.abs().max()


def test_one_seed_one_chip_in_any_company() -> None:
    """The chip of a layer depends on the seed, its path and its weights: nothing else."""
    alone = nn.ModuleDict({"b": nn.Linear(12, 5)})
    crowd = nn.ModuleDict({"a": nn.Conv1d(2, 3, 3), "b": copy.deepcopy(alone["b"]), "c": nn.Linear(3, 3)})
    one = mho.convert(alone, NOISY)
    two = mho.convert(crowd, mho.Hardware(device=mho.devices.PCM(), tile=mho.Tile(rows=5, columns=2)))
    three = mho.convert(crowd, NOISY, select=lambda path, _: path == "b")
    for model in (one, two, three):
        mho.program(model, seed=7)
    assert torch.equal(one["b"].chip_g, two["b"].chip_g) and torch.equal(one["b"].chip_g, three["b"].chip_g)
    assert torch.equal(one["b"].chip_cells, two["b"].chip_cells)
    mho.program(two, seed=8)
    assert not torch.equal(one["b"].chip_g, two["b"].chip_g)
    mho.program(two, seed=7)
    assert torch.equal(one["b"].chip_g, two["b"].chip_g)


@pytest.mark.parametrize("off", ["program_scale", "drift_scale", "read_scale"])
def test_switching_a_mechanism_off_moves_no_other_draw(off: str) -> None:
    layer = nn.Linear(12, 5)
    full = mho.convert(layer, NOISY)
    less = mho.convert(layer, mho.Hardware(device=mho.devices.PCM(**{off: 0.0}), tile=NOISY.tile))
    for model in (full, less):
        mho.program(model, seed=7)
    assert torch.equal(full.chip_g, less.chip_g) == (off != "program_scale")
    if off != "drift_scale":
        assert torch.equal(full.chip_cells, less.chip_cells)
    if off == "program_scale":
        assert torch.allclose(less.effective_weight(), layer.weight, atol=1e-6)
    if off == "drift_scale":
        mho.age(less, 1e6)
        assert torch.equal(mho.conductances(less)[""], less.chip_g)
    if off == "read_scale":
        less.eval()
        x = torch.randn(3, 12)
        assert torch.equal(less(x), less(x)) and not torch.equal(full.eval()(x), full(x))


def test_wrappers_leave_no_trace_in_the_chip(x: torch.Tensor) -> None:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    plain, wrapped = mho.convert(network(), NOISY), mho.convert(network(), NOISY)
    mho.program(plain, seed=1)
    wrapped[0] = checkpoint_wrapper(wrapped[0])
    around = torch.compile(nn.DataParallel(wrapped))
    mho.program(around, seed=1)
    for path, g in mho.conductances(plain).items():
        assert torch.equal(g, mho.conductances(around)[path])
    average = torch.optim.swa_utils.AveragedModel(plain)
    assert list(mho.conductances(average)) == list(mho.conductances(plain))


def test_a_child_of_such_a_name_is_no_wrapper() -> None:
    """A network may call a child as the wrappers do."""
    model = nn.ModuleDict({"module": nn.ModuleDict({"fc": nn.Linear(3, 2)}), "fc": nn.Linear(3, 2)})
    analog = mho.convert(model, NOISY)
    mho.program(analog, seed=1)
    assert list(mho.conductances(analog)) == ["module.fc", "fc"]


def test_age_is_absolute_and_resets_the_gain(chip: nn.Module, x: torch.Tensor) -> None:
    mho.age(chip, 3600)
    hour = chip(x)
    assert bool((chip[4].chip_gain == 1).all())
    for seconds in (1e7, 0, 10, 3600):
        mho.age(chip, seconds)
    assert torch.equal(chip(x), hour)


# --- stale chips ------------------------------------------------------------------------------


def _in_place(model: nn.Module) -> None:
    with torch.no_grad():
        model[4].weight.add_(0.1)


def _data(model: nn.Module) -> None:
    model[4].weight.data[0, 0] += 1e-3


def _optimizer(model: nn.Module) -> None:
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 1, 8, 8)).sum().backward()
    optimizer.step()


def _assign(model: nn.Module) -> None:
    state = dict(network().state_dict())
    state["4.weight"] = torch.randn(10, 256)
    model.load_state_dict(state, assign=True, strict=False)


@pytest.mark.parametrize("change", [_in_place, _data, _optimizer, _assign])
def test_a_changed_weight_is_noticed(chip: nn.Module, change: object) -> None:
    change(chip)
    with pytest.warns(StaleChipWarning) as seen:
        chip.eval()
    assert any("'4' changed after programming" in str(w.message) for w in seen)
    mho.program(chip, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chip.eval()


def test_an_update_in_eval_mode_is_noticed_by_the_next_forward(chip: nn.Module, x: torch.Tensor) -> None:
    _in_place(chip)
    with pytest.warns(StaleChipWarning):
        chip(x)


def test_verbs_notice_a_stale_chip(chip: nn.Module) -> None:
    _data(chip)
    for verb in (lambda: mho.age(chip, 10), lambda: mho.compensate(chip)):
        with pytest.warns(StaleChipWarning):
            verb()


def test_a_dict_without_a_chip_keeps_it_and_marks_it_stale(chip: nn.Module, x: torch.Tensor) -> None:
    g = chip[4].chip_g.clone()
    other = network()
    nn.init.normal_(other[4].weight)
    chip.load_state_dict(other.state_dict())
    assert torch.equal(chip[4].chip_g, g)
    with pytest.warns(StaleChipWarning):
        chip.eval()


def test_a_chip_of_other_hardware_is_refused(chip: nn.Module) -> None:
    other = mho.convert(network(), mho.Hardware(device=mho.devices.PCM(g_max=20e-6)))
    with pytest.raises(RuntimeError, match="another hardware description"):
        other.load_state_dict(chip.state_dict())


def test_loading_a_chip_over_another_one(chip: nn.Module, x: torch.Tensor) -> None:
    other = mho.convert(network(), HARDWARE)
    mho.calibrate(other, [2 * x])
    mho.program(other, seed=99)
    other.load_state_dict(chip.state_dict())
    assert torch.equal(other.eval()(x), chip(x))


def test_verbs_need_a_chip() -> None:
    analog = mho.convert(network(), HARDWARE)
    for verb in (
        lambda: mho.age(analog, 1),
        lambda: mho.compensate(analog),
        lambda: mho.conductances(analog),
        lambda: mho.effective_weights(analog),
        lambda: mho.train_on_chip(analog),
        lambda: mho.revert(analog, weights="programmed"),
    ):
        with pytest.raises(NotProgrammedError, match="mho.program"):
            verb()


def test_programming_inside_inference_mode(x: torch.Tensor) -> None:
    analog = mho.convert(network(), NOISY)
    with torch.inference_mode():
        mho.program(analog, seed=0)
        mho.age(analog, 100)
        mho.compensate(analog)
        analog.eval()(x)
    mho.train_on_chip(analog)
    analog.train()(x).sum().backward()
    assert analog[4].weight.grad is not None


def test_changing_one_conductance_changes_the_predicted_outputs(chip: nn.Module) -> None:
    """In place, in eval mode: no verb needed."""
    layer = mho.convert(
        nn.Linear(6, 4), mho.Hardware(device=mho.devices.Ideal(), tile=mho.Tile(rows=3))
    ).eval()
    mho.program(layer, seed=0)
    v = torch.randn(5, 6)
    before = layer(v)
    delta = 2e-6
    layer.chip_g[0, 0, 4, 2] += delta
    moved = layer(v) - before
    scale = float(layer.weight.detach()[2].abs().max()) / 25e-6
    assert torch.allclose(moved[:, 2], v[:, 4] * delta * scale, atol=1e-6)
    assert torch.allclose(moved[:, [0, 1, 3]], torch.zeros(5, 3), atol=1e-6)


def test_evaluating_in_training_mode_warns(x: torch.Tensor) -> None:
    analog = mho.convert(network(), NOISY).train()
    with torch.no_grad():
        analog(x)  # no chip yet: nothing to forget
        mho.program(analog, seed=0)
        with pytest.warns(ChipNotUsedWarning, match="eval"):
            analog(x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mho.train_on_chip(analog)
            analog(x)
            mho.train_on_chip(analog, on=False)
            analog.eval()(x)
