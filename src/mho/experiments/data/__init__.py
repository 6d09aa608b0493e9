"""Data sets for the experiments: one that is embedded, the others in their published files.

>>> data = Digits().load()
>>> data.train.tensors[0].shape, data.classes
(torch.Size([1000, 1, 8, 8]), 10)
"""

from mho.experiments.data.base import Data, MissingDataError, Source
from mho.experiments.data.cifar import CIFAR10, CIFAR100
from mho.experiments.data.digits import Digits
from mho.experiments.data.mnist import MNIST

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "Data", "Digits", "MissingDataError", "Source"]
