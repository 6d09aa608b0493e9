"""The parts that the combinations of ``digests.py`` are made of, by name.

Each part is made by a function of the device that it meets, since states, models and bounds have to fit that
device. Only what mho exports is used: the same combinations run before and after its modules are moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import mho
from mho import array, converters, devices, mapping, periphery, programming, training
from mho.devices import Spread, dynamics

Part = Callable[[Any], Any]  # of the bare device

FOUR = (10.0, 0.1, 0.2, 0.3)  # fails after some seconds or cycles
JUMPS = devices.Jumps(
    g=(1e-6, 5e-6, 20e-6), change=(-1e-6, 0.0, 2e-6), cdf=((0.0, 0.3, 1.0), (0.1, 0.4, 0.9), (0.3, 0.8, 1.0))
)
# Windows and thresholds are those of the models; resistances give conductances of crossbars.
MODELS: dict[str, Any] = {
    "VTEAM": dynamics.VTEAM(r_on=1e4, r_off=1e6, v_read=0.2),
    "Yakopcic": dynamics.Yakopcic(),
    "StanfordPKU": dynamics.StanfordPKU(),
    "LinearIonDrift": dynamics.LinearIonDrift(),
    "DataDriven2018": dynamics.DataDriven2018(),
    "JART": dynamics.JART(),
}


def lowest(device: Any) -> float:
    return device.g_min or device.g_max / 100


def model(device: Any) -> Any:
    """A switching model with the conductances of a device."""
    return dynamics.VTEAM(r_on=0.99 / device.g_max, r_off=1.01 / lowest(device), v_read=device.v_read)


def generic(**parts: Any) -> Part:
    return lambda _: devices.Generic(**parts)


def switching(name: str) -> Part:
    return lambda _: devices.Switching(model=MODELS[name], read=devices.Proportional(sigma=0.02))


def around(kind: str, **fields: Any) -> Part:
    return lambda _: getattr(devices, kind)(**fields)


d = devices
DEVICES: dict[str, Part] = {
    "Ideal": lambda _: d.Ideal(),
    "Ideal above zero": lambda _: d.Ideal(g_min=1e-6),
    "PCM": lambda _: d.PCM(),
    "PCM, table of exponents": lambda _: d.PCM(
        nu=d.TableNu(g=(0.0, 25e-6), mean=(0.1, 0.05), std=(0.0, 0.01)), program_scale=0.5
    ),
    "PCM quiet": lambda _: d.PCM(read_scale=0.0),
    "HermesPCM": lambda _: d.HermesPCM(),
    "HermesPCMSingle": lambda _: d.HermesPCMSingle(),
    "ConstantDrift": lambda _: d.ConstantDrift(nu=0.1, nu_std=0.05, read=(0.01, 0.05)),
    "ReRAMCMO": lambda _: d.ReRAMCMO(),
    "ReRAMMilo2021": lambda _: d.ReRAMMilo2021(),
    "ReRAMWan2022": lambda _: d.ReRAMWan2022(),
    "SONOS": lambda _: d.SONOS(),
    "NORFlash": lambda _: d.NORFlash(),
    "ChargeSRAM": lambda _: d.ChargeSRAM(),
    "JumpCell": lambda _: d.JumpCell(up=JUMPS, down=JUMPS, read=d.Proportional(sigma=0.02)),
    "Switching": switching("VTEAM"),
    "Generic proportional": generic(
        program=d.Proportional(sigma=0.1), read=d.Independent(sigma=0.02), nu=d.ConstantNu(mean=0.1, std=0.05)
    ),
    "Generic polynomial": generic(
        program=d.Polynomial(coefficients=(0.01, 0.05, -0.02)),
        read=d.Inverse(sigma=1e-3),
        bias=d.PolynomialBias(coefficients=(0.01, 0.02)),
        nu=d.JoshiNu(),
        clip=True,
    ),
    "Generic log-normal": generic(
        program=d.LogNormal(sigma=0.3), nu=d.SignedNu(law=d.ConstantNu(mean=0.05, std=0.02))
    ),
    "Generic tables": generic(
        program=d.Table(g=(0.0, 10e-6, 25e-6), sigma=(0.2e-6, 1e-6, 0.5e-6)),
        bias=d.TableBias(g=(0.0, 25e-6), mean=(0.1e-6, 24e-6)),
        read=d.Uniform(width=d.Proportional(sigma=0.3)),
        clip=True,
    ),
}

EFFECTS: dict[str, Part] = {
    "sudden Endurance": lambda at: d.Endurance(
        cycles=1e4,
        law=d.SuddenFailure(g_lrs=at.g_max, g_hrs=at.g_min, p_lrs=FOUR, p_hrs=(5.0, 0.1, 0.2, 0.3)),
    ),
    "gradual Endurance": around(
        "Endurance", cycles=1e4, law=d.GradualFailure(p_lrs=FOUR, p_hrs=(5.0, 0.1, 0.2, -0.1))
    ),
    "gradual RetentionFailure": around(
        "RetentionFailure", law=d.GradualFailure(p_lrs=FOUR, p_hrs=(5.0, 0.1, 0.2, -0.1))
    ),
    "UniformG": around("FiniteStates", states=d.UniformG(count=5)),
    "Logarithmic": lambda at: d.FiniteStates(
        states=d.Logarithmic(count=5) if at.g_min > 0 else d.UniformG(count=7)
    ),
    "Measured": lambda at: d.FiniteStates(states=d.Measured(g=(at.g_min, at.g_max / 3, at.g_max))),
    "OwnBounds": lambda at: d.OwnBounds(
        r_on=Spread(mean=1.1 / at.g_max, std=0.1 / at.g_max),
        r_off=Spread(mean=0.9 / lowest(at), std=0.1 / lowest(at)),
    ),
    "RandomTelegraphNoise": around(
        "RandomTelegraphNoise", step=d.Proportional(sigma=0.1), spread=0.5, occupancy=0.3, share=0.6
    ),
    "ReadDisturb": lambda at: d.ReadDisturb(model=model(at), reads=10.0, pulse=1e-9, voltage=0.1),
    "RetentionLoss": around("RetentionLoss", nu=0.1, nu_std=0.05),
    "ShotNoise": around("ShotNoise", bandwidth=1e8),
    "ThermalNoise": around("ThermalNoise", bandwidth=1e8),
    "StuckAt": around("StuckAt", lrs=0.2, hrs=0.1, unformed=0.1),
    "StuckAt exact": around("StuckAt", lrs=0.2, hrs=0.1, exact=True, per="layer"),
    "StuckAt rows": around("StuckAt", hrs=0.4, of="rows"),
    "Temperature": around("Temperature", kelvin=350.0, activation=0.1, alpha=1e-3),
    "Varied": lambda at: d.Varied(spreads=varied(at)),
}
# What takes the logarithm or the inverse of the lowest conductance.
ABOVE_ZERO = ("ReadDisturb", "Simulated", "Simulated pulse", "Swept")


def varied(device: Any) -> dict[str, Spread]:
    """A parameter of a device that may differ from cell to cell, and how it does."""
    owner = device.model if isinstance(device, d.Switching) else device
    name = next(
        n for n in ("nu", "r_on", "t_read", "t0", "g_max") if isinstance(getattr(owner, n, None), float)
    )
    value = getattr(owner, name)
    return {name: Spread(mean=value, std=0.03 * abs(value), low=0.9 * value, high=value)}


CANNOT_VARY = ("JumpCell",)

WIRES = array.Wires(row=50.0, column=70.0)
LAWS = {
    "Sinh": array.Sinh(v_c=0.1),
    "Polynomial": array.Polynomial(coefficients=(0.2, 0.3)),
    "Table": array.Table(v=(0.0, 0.1, 0.3), h=(0.0, 0.1, 0.5)),
    "Series": array.Series(cell=array.Ohmic(), selector=array.Sinh(v_c=0.2), selector_g=1e-3),
}
ARRAYS: dict[str, Part] = {
    "ideal": lambda _: array.Ideal(),
    "Wires": lambda _: WIRES,
    "Wires both ends": lambda _: array.Wires(
        row=50.0, column=70.0, driver=500.0, sense=200.0, far_driver=500.0
    ),
    "AlternateColumns": lambda _: array.AlternateColumns(wires=WIRES),
    "SharedColumns": lambda _: array.SharedColumns(wires=WIRES),
    "Approximate": lambda _: array.Approximate(row=50.0, column=70.0, driver=200.0),
    **{f"Nonlinear {n}": lambda _, law=law: array.Nonlinear(law=law, points=3) for n, law in LAWS.items()},
    "Simulated": lambda at: array.Simulated(model=model(at), points=3),
    "Simulated pulse": lambda at: array.Simulated(model=model(at), pulse=1e-9, points=2),
    "Swept": lambda at: array.Swept(model=model(at), amplitude=1.0, frequency=1e8, points=3),
}
NONLINEAR = tuple(n for n in ARRAYS if n.startswith(("Nonlinear", "Simulated", "Swept")))

m = mapping
MAPPINGS: dict[str, Part] = {
    "pair": lambda _: m.DifferentialPair(),
    "pair, one scale": lambda _: m.DifferentialPair(scale=m.Maximum()),
    "pair, percentile": lambda _: m.DifferentialPair(scale=m.Percentile(fraction=0.9)),
    "pair, percentile by column": lambda _: m.DifferentialPair(
        scale=m.Percentile(fraction=0.9, per_column=True)
    ),
    "pair, fixed": lambda _: m.DifferentialPair(scale=m.Fixed(weight=0.7)),
    "pair, two-sided": lambda _: m.DifferentialPair(two_sided=True, digital_subtraction=True),
    "pair, 5 levels": lambda _: m.DifferentialPair(levels=5),
    "slices": lambda _: m.BitSlicing(bits=4, slices=3),
    "slices offset": lambda _: m.BitSlicing(bits=4, slices=2, offset=True),
    "slices unit column": lambda _: m.BitSlicing(bits=4, slices=2, offset=True, unit_column=True),
    "offset": lambda _: m.Offset(),
    "offset unit column": lambda _: m.Offset(unit_column=True),
    "offset, 8 levels": lambda _: m.Offset(levels=8, counts_unused=True, scale=m.Maximum()),
    "significance": lambda _: m.SignificancePairs(),
}
CHANNELS = {"slices": 3, "slices offset": 2, "slices unit column": 2}

c = converters
DACS: dict[str, Part] = {
    "none": lambda _: None,
    "calibrated": lambda _: mho.DAC(bits=8),
    "quantile": lambda _: mho.DAC(bits=6, range=c.Calibrated(quantile=0.9, per_tile=True)),
    "least squares": lambda _: mho.DAC(bits=4, range=c.LeastSquares()),
    "fixed": lambda _: mho.DAC(bits=6, range=c.Fixed(limit=2.0)),
    "fixed unsigned": lambda _: mho.DAC(bits=6, signed=False, range=c.Fixed(limit=2.0)),
    "learned": lambda _: mho.DAC(bits=6, range=c.Learned(initial=1.5)),
    "dynamic": lambda _: mho.DAC(bits=6, range=c.Dynamic()),
    "stream": lambda _: mho.DAC(bits=5, stream=c.Stream(bits=2)),
    "stream, one read": lambda _: mho.DAC(bits=5, stream=c.Stream(bits=1, each=False)),
    "one bit": lambda _: mho.DAC(bits=1, zero=False),
    "steps": lambda _: mho.DAC(bits=None, steps=12),
    "not rounding": lambda _: mho.DAC(bits=None, range=c.Fixed(limit=2.0)),
    "noise": lambda _: mho.DAC(bits=6, noise=0.02, range=c.Fixed(limit=2.0)),
    "drivers": lambda _: mho.DAC(bits=6, gain=0.02, offset=0.01),
}
MISMATCHED = ("none", "drivers")  # no place beside cells without Ohm's law

FIXED = c.Fixed(limit=4.0)
ADCS: dict[str, Part] = {
    "none": lambda _: None,
    "calibrated": lambda _: mho.ADC(bits=6),
    "by tile": lambda _: mho.ADC(bits=6, range=c.Calibrated(quantile=0.99, per_tile=True)),
    "by slice and tile": lambda _: mho.ADC(
        bits=6, range=c.Calibrated(per_slice=True, per_tile=True, powers_of_two=True)
    ),
    "least squares": lambda _: mho.ADC(bits=5, range=c.LeastSquares(per_tile=True)),
    "fixed": lambda _: mho.ADC(bits=6, range=FIXED),
    "learned": lambda _: mho.ADC(bits=6, range=c.Learned(initial=1.5)),
    "dynamic": lambda _: mho.ADC(bits=6, range=c.Dynamic()),
    "each slice": lambda _: c.EachSlice,  # as many limits as the mapping has channels
    "steps": lambda _: mho.ADC(bits=None, steps=14, range=c.Fixed(low=-1.0, limit=3.0)),
    "noise": lambda _: mho.ADC(bits=6, noise=0.02, range=FIXED),
    "one bit": lambda _: mho.ADC(bits=1, zero=False, range=FIXED),
    "auto range": lambda _: mho.ADC(bits=6, range=c.AutoRange()),
    "TwosComplement": lambda _: c.TwosComplement(bits=6),
    "Flash": lambda _: c.Flash(resistor=0.1, comparator=0.02),
    "SAR": lambda _: c.SAR(bits=6, capacitor=0.05, comparator=0.01, noise=0.01),
    "Cyclic": lambda _: c.Cyclic(bits=6, capacitor=0.02, parasitic=0.01, comparator=0.01),
    "Pipeline": lambda _: c.Pipeline(bits=6, capacitor=0.02, comparator=0.01, gain_db=60.0),
    "Ramp": lambda _: c.Ramp(bits=6, capacitor=0.02, comparator=0.01),
    "Measured": lambda _: c.Measured(bits=6, gain=0.02, offset=0.5, dnl=0.1, inl=0.5, range=FIXED),
}

IDS = torch.tensor([[0, 1, 2, 3], [4, 4, 1, 0]])


class Layer(NamedTuple):
    """A digital layer and the shapes of its inputs; a look-up has none."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]

    def inputs(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        draw = torch.Generator().manual_seed(2)
        return tuple(torch.randn(s, generator=draw).to(dtype) for s in self.shapes) or (IDS,)


LAYERS: dict[str, Layer] = {
    "Linear": Layer(lambda: nn.Linear(9, 5), ((4, 9),)),
    "Conv1d dilated": Layer(lambda: nn.Conv1d(2, 3, 3, dilation=2, padding="same"), ((2, 2, 7),)),
    "Conv2d": Layer(lambda: nn.Conv2d(2, 3, 3, stride=(2, 1), padding=1), ((2, 2, 5, 5),)),
    "Conv2d grouped": Layer(lambda: nn.Conv2d(2, 4, 2, groups=2, padding=1), ((2, 2, 3, 3),)),
    "Conv3d": Layer(lambda: nn.Conv3d(2, 3, (1, 2, 2)), ((1, 2, 2, 3, 3),)),
    "ConvTranspose1d": Layer(lambda: nn.ConvTranspose1d(2, 3, 2, dilation=2), ((2, 2, 4),)),
    "ConvTranspose2d": Layer(
        lambda: nn.ConvTranspose2d(2, 4, 2, stride=2, groups=2, output_padding=1), ((2, 2, 2, 2),)
    ),
    "ConvTranspose3d": Layer(lambda: nn.ConvTranspose3d(2, 3, (1, 2, 1)), ((1, 2, 2, 2, 2),)),
    "RNN": Layer(lambda: nn.RNN(3, 4, nonlinearity="relu"), ((2, 2, 3),)),
    "LSTM": Layer(lambda: nn.LSTM(3, 2, bidirectional=True, batch_first=True), ((2, 2, 3),)),
    "GRU": Layer(lambda: nn.GRU(3, 2), ((2, 2, 3),)),
    "LSTMCell": Layer(lambda: nn.LSTMCell(3, 2), ((2, 3),)),
    "GRUCell": Layer(lambda: nn.GRUCell(3, 2), ((2, 3), (2, 2))),
    "MultiheadAttention": Layer(lambda: nn.MultiheadAttention(4, 2), ((2, 2, 4),) * 3),
    "Bilinear": Layer(lambda: nn.Bilinear(3, 2, 3), ((2, 3), (2, 2))),
    "Embedding": Layer(lambda: nn.Embedding(5, 3, padding_idx=0), ()),
    "EmbeddingBag": Layer(lambda: nn.EmbeddingBag(5, 3, mode="sum"), ()),
}

# Further ones, in few combinations.
MORE_LAYERS: dict[str, Layer] = {
    "Linear, one vector": Layer(lambda: nn.Linear(9, 5), ((9,),)),
    "Linear without bias": Layer(lambda: nn.Linear(9, 5, bias=False), ((2, 3, 9),)),
    "Conv1d causal": Layer(lambda: nn.Conv1d(2, 3, 4, padding=3, padding_mode="replicate"), ((2, 2, 6),)),
    "Conv2d reflected": Layer(
        lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect", bias=False), ((2, 2, 4, 4),)
    ),
    "Conv2d depthwise": Layer(lambda: nn.Conv2d(3, 6, 3, groups=3, padding="same"), ((3, 4, 4),)),
    "LSTM projected": Layer(lambda: nn.LSTM(3, 3, num_layers=2, proj_size=2), ((3, 2, 3),)),
    "GRU deep": Layer(lambda: nn.GRU(3, 2, num_layers=2, bidirectional=True, bias=False), ((3, 2, 3),)),
    "RNNCell": Layer(lambda: nn.RNNCell(3, 4), ((2, 3), (2, 4))),
    "MultiheadAttention, widths": Layer(
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True),
        ((2, 2, 4), (3, 2, 3), (3, 2, 5)),
    ),
    "EmbeddingBag, mean": Layer(lambda: nn.EmbeddingBag(5, 3, mode="mean", padding_idx=1), ()),
    "TransformerEncoderLayer": Layer(
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, batch_first=True), ((2, 3, 4),)
    ),
    "network": Layer(
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5)
        ),
        ((3, 1, 4, 4),),
    ),
}


def pulse(device: Any) -> Any:
    """Pulses that move the cells of a device."""
    if isinstance(device, d.JumpCell):
        return programming.JumpPulses()
    if isinstance(device, d.Switching):
        return programming.suited_pulses(device.model)
    return programming.Correction()


def disturbing(device: Any) -> Any:
    """Pulses that also move the cells around, where there are such."""
    if isinstance(device, d.Switching):
        return programming.suited_pulses(device.model, array.HalfVoltage())
    return pulse(device) if isinstance(device, d.JumpCell) else programming.Correction(disturb=0.01)


p = programming
PROGRAMMINGS: dict[str, Part] = {
    "one shot": lambda _: p.SingleShot(),
    "verified": lambda at: p.WriteVerify(pulse=pulse(at), max_pulses=4),
    "verified, relative": lambda at: p.WriteVerify(
        pulse=disturbing(at), max_pulses=3, relative=True, tolerance=0.05, read_noise=0.01
    ),
    "gradient": lambda at: p.GradientProgramming(
        first=p.WriteVerify(pulse=pulse(at), max_pulses=2), rounds=3, batch=8
    ),
}
COMPENSATIONS: dict[str, Part] = {
    "none": lambda _: None,
    "GlobalDrift": lambda _: periphery.GlobalDrift(),
    "ColumnDrift": lambda _: periphery.ColumnDrift(),
    "Affine": lambda _: periphery.Affine(),
    "Affine, one line": lambda _: periphery.Affine(per_column=False),
}

LEVELS = m.EvenLevels(count=9)
t = training
RECIPES: dict[str, tuple[Any, ...]] = {
    "none": (),
    "WeightNoise": (t.WeightClip(sigmas=2.0), t.WeightNoise(std=0.05, relative_to="column", ramp_steps=3)),
    "MultiplicativeNoise": (t.WeightRange(), t.FixedClip(limit=0.9, relative_to="range"),
                            t.MultiplicativeNoise(std=0.05)),
    "PolynomialNoise": (t.PolynomialNoise(relative_to="column"), t.DropConnect(p=0.2)),
    "ProgrammingNoise": (t.ProgrammingNoise(),),
    "DriftNoise": (t.DriftNoise(first=30.0, last=1e3),),
    "STEQuantizer": (t.STEQuantizer(levels=LEVELS), t.InputNoise(std=0.02)),
    "AlphaBlending": (t.AlphaBlending(levels=LEVELS, annealing=t.Annealing(steps=4)),),
    "OutputNoise": (t.OutputNoise(std=0.04), t.ConverterSchedule(off_steps=1, ramp_steps=4)),
    "OutputScale": (t.OutputScale(),),
    "LearnedClip": (t.LearnedClip(sigmas=1.5),),
}  # fmt: skip
DTYPES = {
    "float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "half": torch.float16,
}  # fmt: skip
TILES = {
    "4x3": mho.Tile(rows=4, columns=3),
    "4x2 full": mho.Tile(rows=4, columns=2, full=True),
    "2 rows": mho.Tile(rows=2, columns=None),
}
