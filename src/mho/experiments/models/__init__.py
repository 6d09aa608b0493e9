"""Networks for the experiments, in plain torch.

>>> sum(p.numel() for p in SmallCNN().build(channels=1, size=8, classes=10).parameters())
38282
"""

from mho.experiments.models.base import Network
from mho.experiments.models.resnet import ResNet18, ResNet20, ResNet32, SmallResNet
from mho.experiments.models.small_cnn import SmallCNN

__all__ = ["Network", "ResNet18", "ResNet20", "ResNet32", "SmallCNN", "SmallResNet"]
