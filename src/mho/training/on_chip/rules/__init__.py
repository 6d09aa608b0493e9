"""Rules of learning by pulses, one family a file."""

from mho.training.on_chip.rules.base import Held as Held
from mho.training.on_chip.rules.base import Rule as Rule
from mho.training.on_chip.rules.base import Work as Work
from mho.training.on_chip.rules.chopped import AGAD as AGAD
from mho.training.on_chip.rules.chopped import ChoppedTikiTaka2 as ChoppedTikiTaka2
from mho.training.on_chip.rules.mixed_precision import MixedPrecision as MixedPrecision
from mho.training.on_chip.rules.residual import ResidualLearning as ResidualLearning
from mho.training.on_chip.rules.sgd import SGD as SGD
from mho.training.on_chip.rules.tiki_taka import TikiTaka as TikiTaka
from mho.training.on_chip.rules.tiki_taka import TikiTaka2 as TikiTaka2
