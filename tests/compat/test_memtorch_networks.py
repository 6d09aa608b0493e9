"""Patched networks: every keyword counts or is refused, and what befalls the cells is right."""

from __future__ import annotations

import copy
import inspect
import io
import math
from collections.abc import Callable
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Cauchy, LogNormal, Poisson, Uniform

import mho
import mho.compat.memtorch as memtorch
from mho.compat.memtorch.bh.crossbar import Scheme, naive_program
from mho.compat.memtorch.bh.memristor import VTEAM, Data_Driven
from mho.compat.memtorch.bh.nonideality import endurance_retention_models as models
from mho.compat.memtorch.bh.nonideality.NonIdeality import NonIdeality, apply_nonidealities
from mho.compat.memtorch.map.Input import naive_scale
from mho.compat.memtorch.map.Module import naive_tune
from mho.compat.memtorch.map.Parameter import naive_map
from mho.compat.memtorch.mn.Module import patch_model
from mho.errors import ConfigError
from mho.nn import analog_layers

StochasticParameter = memtorch.bh.StochasticParameter
SPREAD = {"r_on": StochasticParameter(loc=60.0, scale=15.0, min=20.0)}


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 4)).eval()


IMAGES = torch.linspace(-1, 1, 150).sin().view(3, 2, 5, 5)
BASE: dict[str, Any] = {
    "memristor_model": VTEAM,
    "memristor_model_params": {"time_series_resolution": 1e-10},
    "module_parameters_to_patch": [nn.Conv2d, nn.Linear],
    "max_input_voltage": 0.3,
    "ADC_resolution": 8,
    "verbose": False,
    "seed": 0,
}


def patched(**keywords: Any) -> nn.Module:
    return patch_model(keywords.pop("model", None) or network(), **{**BASE, **keywords})


def outcome(make: Callable[[], nn.Module]) -> Any:
    """What is printed and computed, or the error."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed), torch.no_grad():
            y = make()(IMAGES)
    except (ValueError, TypeError) as error:
        return type(error)
    return printed.getvalue(), y.numpy().tobytes()


def differ(a: Callable[[], nn.Module], b: Callable[[], nn.Module]) -> bool:
    first, second = outcome(a), outcome(b)
    assert not isinstance(first, type), first
    return first != second


# --- every keyword of patch_model ---------------------------------------------------------------

PASSIVE = {"transistor": False, "programming_routine": naive_program}
# keyword: the keywords around it, and its altered value
ALTERED: dict[str, tuple[dict[str, Any], Any]] = {
    "model": ({}, nn.Sequential(nn.Flatten(), nn.Linear(50, 4))),
    "memristor_model": ({}, Data_Driven),
    "memristor_model_params": ({}, {"r_on": 120.0}),
    "module_parameters_to_patch": ({}, [nn.Conv2d]),
    "mapping_routine": ({}, mho.mapping.Offset()),
    "transistor": ({}, False),
    "programming_routine": ({}, naive_program),
    "programming_routine_params": ({"programming_routine": naive_program}, {"rel_tol": 0.01}),
    "p_l": ({}, 0.7),
    "scheme": ({}, Scheme.SingleColumn),
    "tile_shape": ({}, (9, 3)),
    "max_input_voltage": ({}, 0.5),
    "scaling_routine": ({}, mho.DAC(bits=3, range=mho.converters.Dynamic())),
    "scaling_routine_params": ({}, {"force_scale": False}),
    "source_resistance": (PASSIVE, 5.0),
    "line_resistance": (PASSIVE, 1.0),
    "ADC_resolution": ({}, 5),
    "ADC_overflow_rate": ({}, 0.4),
    "quant_method": ({}, "log"),
    "use_bindings": ({}, False),
    "random_crossbar_init": ({}, True),
    "verbose": ({}, True),
    "seed": ({"memristor_model_params": SPREAD}, 1),
}


def test_the_table_has_every_keyword() -> None:
    assert set(inspect.signature(patch_model).parameters) == set(ALTERED)


@pytest.mark.parametrize("name", ALTERED)
def test_every_keyword_counts(name: str) -> None:
    around, altered = ALTERED[name]
    assert differ(lambda: patched(**around), lambda: patched(**around, **{name: altered}))


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"transistor": False}, "disturb the others"),
        ({"source_resistance": 1.0}, "they belong to transistor=False"),
        ({"programming_routine_params": {"rel_tol": 0.1}}, "they belong to naive_program"),
        ({"quant_method": "tanh"}, "switch the ADC off in silence"),
        ({"ADC_resolution": None, "quant_method": "linear"}, "there is no ADC"),
        ({"ADC_resolution": None, "ADC_overflow_rate": 0.1}, "there is no ADC"),
        ({"module_parameters_to_patch": []}, "give classes of layers"),
        ({"memristor_model": "VTEAM"}, "give a class of memtorch.bh.memristor"),
        ({"mapping_routine": print}, "give naive_map, or a mho.mapping.Mapping"),
        ({"mapping_routine": mho.mapping.Offset(), "p_l": 0.5}, "they belong to naive_map"),
        ({"programming_routine": print}, "give None, naive_program"),
        ({"scaling_routine": print}, "give naive_scale, or a mho.DAC"),
        ({"memristor_model_params": {"r_on": 2000.0}}, "did you swap them"),
        (
            {"memristor_model_params": {"k_on": StochasticParameter(loc=-5.0, scale=1.0, min=-9.0)}},
            "k_on = .* would be drawn, .*low and high are min and max",
        ),
        (
            {"memristor_model_params": {"r_on": StochasticParameter(Poisson, rate=6.0)}},
            "r_on = .* would be drawn",
        ),
        (
            {
                "memristor_model": Data_Driven,
                "memristor_model_params": {"r_p": StochasticParameter(loc=1.0, scale=0.1)},
            },
            "r_p",
        ),
        (
            {
                "memristor_model_params": {
                    "time_series_resolution": StochasticParameter(loc=1e-9, scale=1e-10)
                }
            },
            "time_series_resolution .* give a number of seconds",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        patched(**keywords)


# --- stochastic parameters ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, name, parameter, ours, law",
    [
        (VTEAM, "r_off", {"distribution": LogNormal, "loc": 7.0, "scale": 0.2}, "r_off", None),
        (VTEAM, "k_off", {"loc": 5e-4, "scale": 1e-5}, "k_off", stats.norm(5e-4, 1e-5)),
        (VTEAM, "k_on", {"loc": -10.0, "scale": 1.0, "min": -20.0, "max": -1.0}, "k_on", stats.norm(-10, 1)),
        (
            VTEAM,
            "d",
            {"distribution": Uniform, "low": 2e-9, "high": 4e-9},
            "x_off",
            stats.uniform(2e-9, 2e-9),
        ),
        (Data_Driven, "A_p", {"loc": 743.0, "scale": 50.0}, "a_p", stats.norm(743, 50)),
    ],
)
def test_any_parameter_of_the_cells_is_drawn(
    kind: Any, name: str, parameter: dict[str, Any], ours: str, law: Any
) -> None:
    if parameter.get("distribution") is LogNormal:
        law = stats.lognorm(0.2, scale=math.exp(7.0))
    drawn = {name: StochasticParameter(**parameter)}
    layer = nn.Linear(50, 30)
    one, again, other = (
        patched(memristor_model=kind, memristor_model_params=drawn, seed=seed, model=layer)
        for seed in (0, 0, 1)
    )
    device = one.hardware.device
    assert device.names == (ours,)
    assert torch.equal(one.chip_cells, again.chip_cells) and torch.equal(one.chip_g, again.chip_g)
    assert not torch.equal(one.chip_cells, other.chip_cells)
    assert stats.kstest(one.chip_cells.flatten().numpy(), law.cdf).pvalue > 1e-3


def test_pulses_move_cells_as_their_own_parameters_say() -> None:
    parameters = {"k_off": StochasticParameter(loc=5e-4, scale=1e-4, min=1e-4)}
    made = [
        patched(memristor_model_params=p, programming_routine=naive_program)
        for p in (parameters, {}, parameters)
    ]
    spread, plain, again = (next(iter(analog_layers(m).values())).chip_g for m in made)
    assert torch.equal(spread, again) and not torch.equal(spread, plain)


def test_a_law_without_a_mean_has_a_median() -> None:
    r_on = StochasticParameter(Cauchy, loc=60.0, scale=2.0, min=20.0, max=500.0)
    assert r_on.mean == pytest.approx(60.0, rel=0.05)
    patched(memristor_model_params={"r_on": r_on})
    assert 20 <= VTEAM(r_on=r_on).r_on <= 500


# --- the chip -----------------------------------------------------------------------------------


def quantised(amperes: torch.Tensor, bits: int, overflow: float) -> torch.Tensor:
    """MemTorch's linear quantiser on the currents of one tile for one input row."""
    top = amperes.abs().sort(descending=True).values[min(round(overflow * len(amperes)), len(amperes) - 1)]
    step = 2.0 ** (1 - bits + math.ceil(math.log2(float(top) + 1e-12)))
    return (amperes / step + 0.5).floor().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step


@pytest.mark.parametrize("overflow", [0.0, 0.3])
def test_currents_are_converted_as_in_memtorch(overflow: float) -> None:
    """In amperes, for each input row and tile, with a step that is a power of two; scaled back after."""
    torch.manual_seed(1)
    layer = nn.Linear(20, 10).double()
    analog = patched(
        model=nn.Sequential(layer), tile_shape=(8, 6), ADC_resolution=6, ADC_overflow_rate=overflow
    )
    x = torch.randn(4, 20, dtype=torch.float64) * torch.tensor([[0.1], [1.0], [10.0], [0.01]])
    plus, minus = naive_map(layer.weight.detach().T, 50.0, 1000.0)
    g = plus - minus
    factor = x.abs().amax(1, keepdim=True) / 0.3
    expected = torch.zeros(4, 10, dtype=torch.float64)
    for a in range(0, 20, 8):
        for c in range(0, 10, 6):
            currents = (x / factor)[:, a : a + 8] @ g[a : a + 8, c : c + 6]
            expected[:, c : c + 6] += torch.stack([quantised(i, 6, overflow) for i in currents])
    scale = layer.weight.abs().max() / (1 / 50 - 1 / 1000)
    with torch.no_grad():
        torch.testing.assert_close(analog(x), expected * factor * scale + layer.bias)


def test_without_converters_the_network_is_the_digital_one() -> None:
    """Also negative weights on single columns, and inputs of any size, one by one or together."""
    model, x = network(), IMAGES * torch.tensor([0.1, 1.0, 30.0]).view(3, 1, 1, 1)
    for scheme in Scheme:
        analog = patched(ADC_resolution=None, scheme=scheme, tile_shape=(128, 128))
        with torch.no_grad():
            torch.testing.assert_close(analog(x), model(x), rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(torch.cat([analog(i[None]) for i in x]), analog(x))


@pytest.mark.parametrize("transistor", [True, False])
def test_pulses_bring_cells_to_their_targets(transistor: bool) -> None:
    exact = patched()
    analog = patched(
        transistor=transistor, programming_routine=naive_program, programming_routine_params={"rel_tol": 0.05}
    )
    wanted, held = mho.conductances(exact), mho.conductances(analog)
    for path, g in held.items():
        error = (g / wanted[path] - 1).abs()
        assert 0.001 < float(error.max()) <= 0.05 + 1e-4
    report = mho.programming_report(analog)
    assert sum(layer.failures for layer in report.layers.values()) == 0


def test_training_mode_computes_on_the_chip_and_legacy_does_not() -> None:
    model, analog = network(), patched(ADC_resolution=3)
    with torch.no_grad():
        on_chip, digital = analog(IMAGES), model(IMAGES)
        assert not torch.allclose(on_chip, digital, atol=1e-3)
        torch.testing.assert_close(analog.train()(IMAGES), on_chip)
        analog.forward_legacy(True)
        torch.testing.assert_close(analog(IMAGES), digital)
        torch.testing.assert_close(copy.deepcopy(analog)(IMAGES), digital)
        analog.forward_legacy(False)
        torch.testing.assert_close(analog(IMAGES), on_chip)
        torch.testing.assert_close(analog[0].forward_legacy(IMAGES), model[0](IMAGES))


def test_copies_and_files(tmp_path) -> None:
    analog = patched()
    analog.tune_(seed=0)
    torch.save(analog, tmp_path / "patched.pt")
    loaded = torch.load(tmp_path / "patched.pt", weights_only=False)
    again = patched(seed=5)
    again.load_state_dict(analog.state_dict())
    with torch.no_grad():
        for other in (copy.deepcopy(analog), loaded, again):
            assert torch.equal(other(IMAGES), analog(IMAGES))
    loaded.tune_(seed=3)  # of the copy, not of the model that it was copied from
    assert torch.equal(loaded(IMAGES), analog(IMAGES)) is False
    torch.testing.assert_close(again(IMAGES), analog(IMAGES))


def test_stochastic_resistances_of_cells() -> None:
    analog, alike = patched(memristor_model_params=SPREAD), patched(memristor_model_params={"r_on": 60.0})
    for path, g in mho.conductances(analog).items():
        wanted = mho.conductances(alike)[path]
        high = 1 / analog_layers(analog)[path].chip_cells[0]
        torch.testing.assert_close(g, torch.minimum(wanted, high))
        assert bool((g < wanted).any()) and high.unique().numel() > g.numel() / 3


# --- tuning -------------------------------------------------------------------------------------


def test_tuning_is_one_line_for_each_layer() -> None:
    analog = patched(ADC_resolution=4)
    layer = analog[3]
    before = copy.deepcopy(layer)
    analog.tune_({nn.Linear: {"input_shape": 500}}, seed=0)
    x = torch.rand(200, 54) * 2 - 1
    with torch.no_grad():
        y = before(x) - layer.bias
        torch.testing.assert_close(layer(x), layer.transform_output(y) + layer.bias)
    gain = layer.chip_gain
    assert gain.unique().numel() == 1 and float(gain[0]) != 1
    # the line is that of least squares: no other one is nearer on the same inputs
    generator = mho.random.fork(0, "tune", "3")
    inputs = 2 * torch.rand(500, 54, generator=generator) - 1
    with torch.no_grad():
        measured, wanted = (f(inputs) - layer.bias for f in (before, layer.forward_legacy))
        columns = torch.stack([measured.flatten(), torch.ones(measured.numel())], 1).double()
        line = torch.linalg.lstsq(columns, wanted.flatten().double()).solution
    torch.testing.assert_close(
        line.float(), torch.stack([gain[0], layer.chip_shift[0]]), rtol=1e-4, atol=1e-6
    )


def tuned(*args: Any, **keywords: Any) -> nn.Module:
    analog = patched(ADC_resolution=4)
    analog.tune_(*args, **{"seed": 0, **keywords})
    return analog


def test_every_keyword_of_tuning_counts() -> None:
    assert differ(tuned, lambda: tuned(seed=1))
    for kind in (nn.Linear, "Linear", "<class 'memtorch.mn.Linear.Linear'>"):
        assert differ(tuned, lambda kind=kind: tuned({kind: {"input_shape": 50}}))
    assert differ(tuned, lambda: tuned({"Conv2d": {"verbose": True}}))
    with pytest.raises(TypeError, match="input_shape"):
        tuned({nn.Linear: {"shape": 50}})
    with pytest.raises(ValueError, match="Conv2d, Linear"):
        tuned({nn.Conv1d: {}})
    assert set(inspect.signature(naive_tune).parameters) == {"module", "input_shape", "verbose", "seed"}


# --- non-idealities -----------------------------------------------------------------------------

GRADUAL = {"operation_mode": models.OperationMode.gradual, "p_lrs": [1, 0.1, 0.1, 0.05], "temperature": 320.0}
SUDDEN = {
    "operation_mode": models.OperationMode.sudden, "p_lrs": [1, 0, 0, 0], "stable_resistance_lrs": 100,
    "p_hrs": [1, 0, 0, 0], "stable_resistance_hrs": 1000, "cell_size": 10, "temperature": 350,
}  # fmt: skip
SWEEP = {
    "sweep_duration": 2e-8, "sweep_voltage_signal_amplitude": 1.0, "sweep_voltage_signal_frequency": 5e7,
}  # fmt: skip
PLAIN: dict[NonIdeality, dict[str, Any]] = {
    NonIdeality.DeviceFaults: {"lrs_proportion": 0.1, "hrs_proportion": 0.2, "electroform_proportion": 0.1},
    NonIdeality.Endurance: {"x": 1e4, "endurance_model_kwargs": GRADUAL},
    NonIdeality.Retention: {"time": 1e3, "retention_model_kwargs": {"initial_time": 1}},
    NonIdeality.FiniteConductanceStates: {"conductance_states": 5},
    NonIdeality.NonLinear: SWEEP,
}


def spread_drift() -> mho.devices.Effect:
    return mho.devices.RetentionLoss(nu=0.2, nu_std=0.05)


OTHER: dict[NonIdeality, dict[str, Any]] = {
    NonIdeality.DeviceFaults: {"lrs_proportion": 0.2, "hrs_proportion": 0.1, "electroform_proportion": 0.3},
    NonIdeality.Endurance: {
        "x": 1e5,
        "endurance_model": lambda **_: mho.devices.SuddenFailure(
            g_lrs=0.01, g_hrs=0.0, p_lrs=(1.0, 0.0, 0.0, 0.0)
        ),
        "endurance_model_kwargs": {**GRADUAL, "cell_size": 12.0},
    },
    NonIdeality.Retention: {
        "time": 1e4,
        "retention_model": lambda **_: spread_drift(),
        "retention_model_kwargs": {"initial_time": 1, "drift_coefficient": 0.2},
    },
    NonIdeality.FiniteConductanceStates: {"conductance_states": 4},
    NonIdeality.NonLinear: {
        "sweep_duration": 4e-8,
        "sweep_voltage_signal_amplitude": 0.5,
        "sweep_voltage_signal_frequency": 1e8,
        "simulate": True,
    },
}


def applied(which: NonIdeality, **keywords: Any) -> nn.Module:
    return apply_nonidealities(patched(ADC_resolution=None), [which], **{"seed": 0, **keywords})


@pytest.mark.parametrize("which, name", [(which, name) for which in OTHER for name in OTHER[which]])
def test_every_keyword_of_the_nonidealities_counts(which: NonIdeality, name: str) -> None:
    plain = PLAIN[which]
    assert differ(
        lambda: applied(which, **plain), lambda: applied(which, **{**plain, name: OTHER[which][name]})
    )
    assert differ(lambda: patched(ADC_resolution=None), lambda: applied(which, **plain))


def test_the_table_has_every_nonideality() -> None:
    from mho.compat.memtorch.bh.nonideality.NonIdeality import _arguments

    assert set(OTHER) == set(NonIdeality)
    assert {which: _arguments(which) for which in OTHER} == {which: set(OTHER[which]) for which in OTHER}
    assert set(inspect.signature(apply_nonidealities).parameters) == {
        "model", "non_idealities", "seed", "arguments",
    }  # fmt: skip


def test_seeds_count() -> None:
    faults = PLAIN[NonIdeality.DeviceFaults]
    assert differ(
        lambda: applied(NonIdeality.DeviceFaults, **faults),
        lambda: applied(NonIdeality.DeviceFaults, **faults, seed=1),
    )
    drift = {"time": 1e3, "retention_model": spread_drift}
    assert differ(
        lambda: applied(NonIdeality.Retention, **drift),
        lambda: applied(NonIdeality.Retention, **drift, seed=1),
    )


@pytest.mark.parametrize(
    ("plain", "refused"),
    [
        (SUDDEN, ("p_hrs",)),
        ({**GRADUAL, "p_hrs": [1, 0.2, 0.1, -0.05]}, ()),
    ],
)
def test_every_argument_of_the_failure_law_counts(plain: dict[str, Any], refused: tuple[str, ...]) -> None:
    altered = {
        "operation_mode": models.OperationMode.gradual,
        "p_lrs": [2, 0.1, 0.2, 0.1],
        "p_hrs": None,
        "stable_resistance_lrs": 200,
        "stable_resistance_hrs": 900,
        "cell_size": 11,
        "temperature": 300,
        "temperature_threshold": 290.0,
    }
    assert set(altered) == set(inspect.signature(models.model_endurance_retention).parameters)
    law = models.model_endurance_retention(**plain)
    for name, value in altered.items():
        if plain.get(name) == value:
            continue
        if name in refused:
            with pytest.raises((ValueError, ConfigError)):
                models.model_endurance_retention(**{**plain, name: value})
            continue
        changed = {**plain, name: value}
        if models.OperationMode.gradual is changed["operation_mode"] and "stable" in "".join(changed):
            with pytest.warns(UserWarning, match="cells that fail gradually end at no resistance"):
                assert (models.model_endurance_retention(**changed) == law) == name.startswith("stable")
        else:
            assert models.model_endurance_retention(**changed) != law, name


@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), True, "100"])
def test_a_stable_resistance_is_one(wrong: Any) -> None:
    with pytest.raises(ValueError, match="stable_resistance_hrs = .*give a resistance in ohms above 0"):
        models.model_endurance_retention(**GRADUAL, stable_resistance_hrs=wrong)


def test_gradual_failure_with_the_numbers_that_memtorch_demands() -> None:
    """By the written law: above its threshold a resistance grows by (x / threshold)^(p3 (p1 size + p2 T))."""
    p = [1.0, 0.1, 0.1, 0.05]
    with pytest.warns(UserWarning, match="stable_resistance_lrs = 200, stable_resistance_hrs = 900"):
        law = models.model_endurance_retention(
            models.OperationMode.gradual,
            p,
            200,
            [1e30, 0.0, 0.0, 0.0],
            900.0,
            cell_size=10,
            temperature=320.0,
        )
    power = p[1] * 10 + p[2] * 298 / 320
    grown = (1e3 / math.exp(power)) ** (p[3] * power)
    g = torch.tensor([1e-2, 1e-5], dtype=torch.float64)
    left = torch.tensor([1 / grown, 1.0], dtype=torch.float64)
    torch.testing.assert_close(law.gradual(g, 1e3, g_min=1e-5, g_max=1e-2), left)


def test_every_argument_of_the_other_laws_counts() -> None:
    drift = models.model_conductance_drift
    assert drift() != drift(initial_time=1.0) and drift() != drift(drift_coefficient=0.2)
    with pytest.raises(ValueError, match="from 0 to 1"):
        drift(drift_coefficient=2.0)
    base = {
        "p_0": 1e6,
        "p_1": 0.1,
        "v_stop": 1.4,
        "v_min": 1.0,
        "v_max": 2.1,
        "v_opt": 1.5,
        "cell_size": 10.0,
    }
    assert set(inspect.signature(models.scale_p_0).parameters) == set(base)
    assert models.scale_p_0(**{**base, "v_stop": 1.5}) == pytest.approx(1e6)
    for name, value in base.items():
        assert models.scale_p_0(**{**base, name: 1.05 * value}) != models.scale_p_0(**base), name


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="did you mean 'lrs_proportion'"):
        apply_nonidealities(patched(), [NonIdeality.DeviceFaults], lrs_propotion=0.1)
    with pytest.raises(TypeError, match="NonIdeality.DeviceFaults"):
        apply_nonidealities(patched(), ["DeviceFaults"])
    with pytest.raises(ValueError, match="give one at least"):
        apply_nonidealities(patched(), [])


def test_faults_are_exact_and_disjoint() -> None:
    analog = applied(
        NonIdeality.DeviceFaults, lrs_proportion=0.25, hrs_proportion=0.05, electroform_proportion=0.05
    )
    for g in mho.conductances(analog).values():
        for copy_ in g[:, 0]:
            whole = {float(v): int((copy_ == v).sum()) for v in (copy_.max(), copy_.min())}
            assert whole[float(copy_.max())] >= int(0.25 * copy_.numel())
    sound = mho.conductances(patched(ADC_resolution=None))
    for path, g in mho.conductances(analog).items():
        stuck = analog_layers(analog)[path].chip_cells[0] >= 0
        cells = stuck[0].numel()
        assert int(stuck[0].sum()) == int(0.25 * cells) + int(0.1 * cells)
        assert torch.equal(g[~stuck], sound[path][~stuck])


def test_the_tutorial_wears_out_every_cell() -> None:
    """Its threshold is one cycle; a cell's class is that of half the sum of both resistances, 525 ohm."""
    analog = applied(NonIdeality.Endurance, x=1e4, endurance_model_kwargs=SUDDEN)
    sound = mho.conductances(patched(ADC_resolution=None))
    for path, g in mho.conductances(analog).items():
        expected = torch.where(1 / sound[path] < 525, 1 / 100, 1 / 1000)
        torch.testing.assert_close(g, expected)


def test_retention_counts_from_programming_and_keeps_the_tuning() -> None:
    analog = tuned()
    gains = [layer.chip_gain.clone() for layer in analog_layers(analog).values()]
    sound = mho.conductances(analog)
    arguments = {"time": 1e3, "retention_model_kwargs": {"initial_time": 1, "drift_coefficient": 0.1}}
    for _ in range(2):  # the second one is at the same time already
        apply_nonidealities(analog, [NonIdeality.Retention], seed=0, **arguments)
        for path, g in mho.conductances(analog).items():
            torch.testing.assert_close(g, 0.5011872 * sound[path])
    assert all(
        torch.equal(a, layer.chip_gain)
        for a, layer in zip(gains, analog_layers(analog).values(), strict=True)
    )
    failing = models.model_endurance_retention
    assert differ(tuned, lambda: apply_nonidealities(
        tuned(), [NonIdeality.Retention], time=1e4, retention_model=failing, retention_model_kwargs=SUDDEN
    ))  # fmt: skip


def test_states_are_as_many_as_asked_and_faults_stay() -> None:
    states = torch.linspace(1 / 1000, 1 / 50, 5)
    analog = apply_nonidealities(
        patched(),
        [NonIdeality.DeviceFaults, NonIdeality.FiniteConductanceStates],
        lrs_proportion=0.3, conductance_states=5, seed=0,
    )  # fmt: skip
    for g in mho.conductances(analog).values():
        assert float((g.unsqueeze(-1) - states).abs().amin(-1).max()) < 1e-8
        assert float((g == g.max()).float().mean()) >= 0.29
        assert 2 < g.unique().numel() <= 5


def mean_current(v: float, g: torch.Tensor, duration: float) -> torch.Tensor:
    """Of VTEAM cells during a pulse, by many small steps."""
    model, state = VTEAM().model, VTEAM().model.state_of(g)
    volts = torch.full_like(g, v)
    total = torch.zeros_like(g)
    for _ in range(400):
        state = model.step(state, volts, duration / 800)
        total += model.current(volts, state) / 400
        state = model.step(state, volts, duration / 800)
    return total


@pytest.mark.parametrize("states", [None, 5])
@pytest.mark.parametrize("simulate", [True, False])
def test_nonlinear_cells(states: int | None, simulate: bool) -> None:
    """Infinitely and finitely many states, simulated in each read and from one sweep: cell by cell."""
    torch.manual_seed(0)
    layer = nn.Linear(6, 4, bias=False).double()
    analog = patched(model=nn.Sequential(layer), ADC_resolution=None)
    if states:
        apply_nonidealities(analog, [NonIdeality.FiniteConductanceStates], conductance_states=states)
    apply_nonidealities(analog, [NonIdeality.NonLinear], **({"simulate": True} if simulate else SWEEP))
    g = mho.conductances(analog)["0"][:, 0]
    x = torch.tensor([[1.0, -1.0, 0.5, -0.25, 0.75, 0.0]], dtype=torch.float64)
    y = torch.zeros(4, dtype=torch.float64)
    cell = VTEAM().model
    for row, place in enumerate(x[0, :-1].tolist()):
        volts = 0.3 * place
        if simulate:
            current = mean_current(volts, g[:, row], 1e-10)
        else:
            size = torch.linspace(0, abs(volts), 200, dtype=torch.float64)
            time = torch.asin(size) / (2 * math.pi * 5e7)
            trace = cell.simulate(size, time, cell.state_of(g[:, row]))
            current = math.copysign(1, place) * trace.current[-1]
        y += current[0] - current[1]
    expected = y / 0.3 * layer.weight.abs().max() / (1 / 50 - 1 / 1000)
    linear = patched(model=nn.Sequential(layer), ADC_resolution=None)
    with torch.no_grad():
        torch.testing.assert_close(analog(x)[0], expected, rtol=5e-3, atol=5e-3 * float(expected.abs().max()))
        assert not torch.allclose(analog(x), linear(x), rtol=1e-4)
        assert torch.equal(analog(x), analog(x))  # a read leaves no trace


def test_what_nonlinear_needs() -> None:
    nonlinear = [NonIdeality.NonLinear]
    with pytest.raises(ValueError, match="give max_input_voltage"):
        apply_nonidealities(patched(max_input_voltage=None), nonlinear, simulate=True)
    with pytest.raises(ValueError, match="or simulate=True"):
        apply_nonidealities(patched(), nonlinear)
    with pytest.raises(ValueError, match="give one of them"):
        apply_nonidealities(patched(), nonlinear, simulate=True, **SWEEP)
    with pytest.raises(ValueError, match="a single sweep is one period, 2e-08 s"):
        apply_nonidealities(patched(), nonlinear, **{**SWEEP, "sweep_duration": 1.0})
    with pytest.raises(ValueError, match="apply NonLinear once"):
        apply_nonidealities(patched(), nonlinear * 2, simulate=True)
    with pytest.warns(UserWarning, match="moves the cells before it reaches the read voltage"):
        apply_nonidealities(
            patched(), nonlinear, sweep_duration=2, sweep_voltage_signal_amplitude=1,
            sweep_voltage_signal_frequency=0.5,
        )  # fmt: skip


def test_the_length_of_a_simulated_read_counts() -> None:
    short, long = ({"memristor_model_params": {"time_series_resolution": t}} for t in (1e-11, 1e-9))
    one, other = (
        lambda given=given: apply_nonidealities(patched(**given), [NonIdeality.NonLinear], simulate=True)
        for given in (short, long)
    )
    assert differ(one, other)


# --- maps ---------------------------------------------------------------------------------------


def test_naive_map_keeps_every_weight() -> None:
    w = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    plus, minus = naive_map(w, 50.0, 1000.0)
    torch.testing.assert_close((plus - minus) / (1 / 50 - 1 / 1000), w)
    single = naive_map(w, 50.0, 1000.0, scheme=Scheme.SingleColumn)
    assert torch.equal(single.diff() > 0, torch.ones(4, dtype=torch.bool))
    clipped, _ = naive_map(torch.tensor([0.1, 0.2, 0.3, 4.0]), 50.0, 1000.0, p_l=0.6)
    assert float(clipped[2]) == pytest.approx(1 / 50)
    assert not torch.equal(naive_map(w, 60.0, 1000.0)[0], plus)
    assert not torch.equal(naive_map(w, 50.0, 900.0)[0], plus)
    with pytest.raises(ValueError, match="below r_off"):
        naive_map(w, 1000.0, 50.0)


def test_naive_scale() -> None:
    class Layer:
        max_input_voltage: float | None = 0.3

    x = torch.tensor([[0.1, -0.2], [3.0, 1.0]])
    torch.testing.assert_close(naive_scale(Layer, x), torch.tensor([[0.15, -0.3], [0.3, 0.1]]))
    torch.testing.assert_close(naive_scale(Layer, x, force_scale=False)[0], x[0])
    Layer.max_input_voltage = None
    assert naive_scale(Layer, x) is x


def test_the_memristor_of_each_layer_is_its_own() -> None:
    one, other = patched()[0], patched()[3]
    model = patched()
    model[0].memristor.set_conductance(model[0].memristor.g * 0.5)
    assert model[3].memristor.g == one.memristor.g == other.memristor.g != model[0].memristor.g
    parameters = {"time_series_resolution": 1e-10, "r_on": 40.0}
    model = patched(memristor_model_params=parameters)
    parameters["r_on"] = 45.0
    assert model[0].memristor.r_on == model[3].memristor.r_on == 40.0


def test_inputs_to_be_scaled_have_a_batch() -> None:
    for shape in ((), (3,)):
        with pytest.raises(ValueError, match="its first axis is the batch"):
            naive_scale(SimpleNamespace(max_input_voltage=0.3), torch.ones(shape))
