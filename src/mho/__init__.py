"""mho: neural networks on memristive, analog in-memory-computing crossbars.

>>> import mho, torch
>>> model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
>>> hardware = mho.Hardware(device=mho.devices.PCM(), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8))
>>> analog = mho.convert(model, hardware)
>>> mho.calibrate(analog, [torch.randn(100, 64)])
>>> mho.program(analog, seed=0)
>>> mho.age(analog, 86_400)
>>> mho.compensate(analog)
"""

from mho import array, calibration, converters, costs, devices, mapping, nn, periphery, programming, training
from mho import measured as measured
from mho.analysis.budget import budget
from mho.analysis.cost import cost
from mho.analysis.diagnosis import diagnose
from mho.analysis.programming_report import programming_report
from mho.analysis.trace import trace
from mho.calibration import calibrate, profile
from mho.chip_file import load_chip, save_chip
from mho.convert import analog_modules, convert, convertible_modules, inconvertible_modules, revert
from mho.convert.batch_norm import fold_batch_norm
from mho.converters import ADC, DAC
from mho.errors import StaleChipWarning
from mho.hardware import Hardware, Tile
from mho.lifecycle import (
    age,
    compensate,
    conductances,
    degrade,
    effective_weights,
    program,
    train_on_chip,
)
from mho.matrices import matrix
from mho.version import __version__ as __version__

__all__ = [
    "ADC",
    "DAC",
    "Hardware",
    "StaleChipWarning",
    "Tile",
    "age",
    "analog_modules",
    "array",
    "budget",
    "calibrate",
    "calibration",
    "compensate",
    "conductances",
    "convert",
    "converters",
    "convertible_modules",
    "cost",
    "costs",
    "degrade",
    "devices",
    "diagnose",
    "effective_weights",
    "fold_batch_norm",
    "inconvertible_modules",
    "load_chip",
    "mapping",
    "matrix",
    "nn",
    "periphery",
    "profile",
    "program",
    "programming",
    "programming_report",
    "revert",
    "save_chip",
    "trace",
    "train_on_chip",
    "training",
]
