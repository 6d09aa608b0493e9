"""Training on the chip: weights that change by pulses alone.

:class:`PulsedOptimizer` trains the arrays of a model by a rule: :class:`SGD`, :class:`TikiTaka`,
:class:`TikiTaka2`, :class:`ChoppedTikiTaka2`, :class:`AGAD`, :class:`MixedPrecision`,
:class:`ResidualLearning`.
Updates become pulses by a train: :class:`Stochastic`, :class:`MeanCount`, :class:`Deterministic`. Cells are
    those
of ``mho.devices.pulsed``.
"""

from mho.training.on_chip.backward import Backward as Backward
from mho.training.on_chip.optimizer import PulsedOptimizer as PulsedOptimizer
from mho.training.on_chip.optimizer import digital_parameters as digital_parameters
from mho.training.on_chip.rules import AGAD as AGAD
from mho.training.on_chip.rules import SGD as SGD
from mho.training.on_chip.rules import ChoppedTikiTaka2 as ChoppedTikiTaka2
from mho.training.on_chip.rules import MixedPrecision as MixedPrecision
from mho.training.on_chip.rules import ResidualLearning as ResidualLearning
from mho.training.on_chip.rules import Rule as Rule
from mho.training.on_chip.rules import TikiTaka as TikiTaka
from mho.training.on_chip.rules import TikiTaka2 as TikiTaka2
from mho.training.on_chip.trains import Deterministic as Deterministic
from mho.training.on_chip.trains import MeanCount as MeanCount
from mho.training.on_chip.trains import Stochastic as Stochastic
from mho.training.on_chip.trains import Train as Train
from mho.training.on_chip.weights import PulsedWeights as PulsedWeights
