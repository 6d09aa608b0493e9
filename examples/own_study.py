"""A study of your own: how far the outputs of a layer drift, by the bits of its ADC and its age.

Its command has an option for each field, its folder goes on where a run stopped, workers share the chips, and
a page with the table and the figure is written: ``python examples/own_study.py --bits 4,8 --workers 2``.
`mho sweep --allow-imports` takes it too: ``imports: [own_study]``, ``kind: experiments.DriftOfALayer``.
"""

import torch

import mho
from mho.commands.study import main
from mho.config import Count, config
from mho.experiments.harness import Column, Study, grid
from mho.report import lines


@config
class DriftOfALayer(Study):
    """How far the outputs of a random layer on PCM cells are from the exact ones.

    Attributes:
        size: inputs and outputs.
        bits: resolutions of the ADC.
        times: seconds since programming.
        chips: chips of each resolution.
        seed: of weights, inputs and chips.
    """

    size: Count = 64
    bits: tuple[Count, ...] = (4, 6, 8)
    times: tuple[float, ...] = (1.0, 86_400.0, 31_536_000.0)
    chips: Count = 5
    seed: int = 0

    measured = (Column("rms_error", "%", "rms error of an output over its rms", low=0),)
    pieces = "chips"

    def places(self):
        return grid(bits=self.bits, chip=range(self.chips))

    def measure(self, place, shared):
        layer = torch.nn.Linear(self.size, self.size, bias=False)
        layer.weight.data = mho.random.normal((self.size, self.size), self.seed, "weights")
        x = mho.random.normal((200, self.size), self.seed, "inputs")
        hardware = mho.Hardware(device=mho.devices.PCM(), adc=mho.ADC(bits=place["bits"]))
        analog = mho.convert(layer, hardware)
        mho.calibrate(analog, [x])
        mho.program(analog.eval(), seed=self.seed + place["chip"])
        for seconds in self.times:
            mho.age(analog, seconds)
            mho.compensate(analog)
            error = (analog(x) - layer(x)).square().mean() / layer(x).square().mean()
            yield {"seconds": seconds, "rms_error": 100 * error.item() ** 0.5}

    def figures(self, table):
        return {"error.png": lines(table, x="seconds", y="rms_error", by="bits", unit="%")}


if __name__ == "__main__":
    main(DriftOfALayer)
