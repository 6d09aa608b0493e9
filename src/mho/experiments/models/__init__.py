"""Networks for the experiments, in plain torch, and pretrained encoders of texts.

>>> sum(p.numel() for p in SmallCNN().build(channels=1, size=8, classes=10).parameters())
38282
>>> sum(p.numel() for p in LSTM(tied=True).build(words=4000).parameters())
1447200
"""

from mho.experiments.models.base import MissingModelError, Network, TextNetwork, WordNetwork
from mho.experiments.models.bert import BERT, MiniLM
from mho.experiments.models.lstm import LSTM, LanguageModel, perplexity
from mho.experiments.models.mlp import MLP
from mho.experiments.models.resnet import ResNet18, ResNet20, ResNet32, SmallResNet, WideResNet
from mho.experiments.models.row_lstm import RowLSTM
from mho.experiments.models.small_cnn import SmallCNN
from mho.experiments.models.small_vgg import SmallVGG

__all__ = [
    # images
    "Network", "MLP", "ResNet18", "ResNet20", "ResNet32", "RowLSTM", "SmallCNN", "SmallResNet", "SmallVGG",
    "WideResNet",
    # texts
    "TextNetwork", "BERT", "MiniLM", "MissingModelError",
    # rows of words
    "WordNetwork", "LSTM", "LanguageModel", "perplexity",
]  # fmt: skip
