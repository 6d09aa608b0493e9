"""Data sets for the experiments: some that are on every machine, the others in their published files.

Images, with labels:

>>> data = Digits().load()
>>> data.train.tensors[0].shape, data.classes
(torch.Size([1000, 1, 8, 8]), 10)

Texts, with labels; and rows of words:

>>> texts = PythonSubjects().load()
>>> texts.classes
('mail', 'web', 'concurrency', 'diagnosis', 'files', 'numbers', 'language', 'text')
>>> words = PythonProse(vocabulary=1000).load()
>>> len(words.vocabulary), words.vocabulary[0]
(1000, '<unk>')
"""

from mho.experiments.data.base import AnySource, Data, MissingDataError, Source
from mho.experiments.data.cifar import CIFAR10, CIFAR100
from mho.experiments.data.debian import DebianPackages
from mho.experiments.data.digits import Digits
from mho.experiments.data.language import Labelled, Texts, TextSource, Words, WordSource, rows, windows
from mho.experiments.data.mnist import MNIST
from mho.experiments.data.mnist_sample import MNISTSample, mnist_in
from mho.experiments.data.python_text import PythonProse, PythonSubjects
from mho.experiments.data.sst2 import SST2
from mho.experiments.data.wikitext import WikiText2

__all__ = [
    # images
    "Data", "Source", "Digits", "MNIST", "MNISTSample", "mnist_in", "CIFAR10", "CIFAR100",
    # labelled texts
    "Texts", "TextSource", "Labelled", "PythonSubjects", "DebianPackages", "SST2",
    # rows of words
    "Words", "WordSource", "PythonProse", "WikiText2", "rows", "windows",
    # all
    "AnySource", "MissingDataError",
]  # fmt: skip
