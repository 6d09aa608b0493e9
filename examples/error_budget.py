"""What to repair first: an error budget of a small network on phase-change memory, one month old.

Each mechanism and each layer is switched on alone and left out alone, on the same chips: accuracy with and
without compensation of the drift, and the cross-entropy, which sees what accuracy cannot.

    python examples/error_budget.py [--quick] [--output FOLDER]
"""

import argparse
from pathlib import Path

from torch import nn
from torch.nn.functional import cross_entropy

import mho
from mho import random
from mho.experiments.data import Data, Digits
from mho.experiments.fitting import Schedule, fit, limited_threads, seeded
from mho.experiments.models import SmallCNN
from mho.experiments.progress import counting, for_terminal
from mho.report import budget_figure

MONTH = 2_592_000.0
HARDWARE = mho.Hardware(
    device=mho.devices.StuckAt(hrs=0.005, lrs=0.005, device=mho.devices.PCM()),
    tile=mho.Tile(rows=64, columns=64),
    array=mho.array.Approximate(row=1.0, column=1.0),  # at this size as good as Wires, and quicker
    dac=mho.DAC(bits=6),
    adc=mho.ADC(bits=6),
)


def trained(data: Data, epochs: int) -> nn.Module:
    with seeded(0, "weights"):
        network = SmallCNN().build(data.channels, data.size, data.classes)
    schedule = Schedule(epochs=epochs, learning_rate=0.05)
    with seeded(0, "training"), for_terminal().stage("training", epochs) as step:
        fit(network, data.train, Digits(), schedule, random.fork(0, "batches"), step)
    return network


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("error-budget"))
    options = parser.parse_args(arguments)
    epochs, chips = (2, 2) if options.quick else (30, 10)
    data = Digits().load()
    images, labels = data.test.tensors
    calibration = data.train.tensors[0].split(200)
    options.output.mkdir(parents=True, exist_ok=True)

    def score(chip: nn.Module) -> float:
        return -float(cross_entropy(chip(images), labels))

    with limited_threads(1):
        network = trained(data, epochs)
        for name, metric, compensation in (
            ("raw", [(images, labels)], None),
            ("compensated", [(images, labels)], mho.periphery.GlobalDrift()),
            ("cross-entropy", score, mho.periphery.GlobalDrift()),
        ):
            with counting(for_terminal(), name) as progress:
                table = mho.budget(
                    network,
                    HARDWARE,
                    metric,
                    data=calibration,
                    seconds=MONTH,
                    compensation=compensation,
                    chips=chips,
                    progress=progress,
                )
            print(f"\n{name}\n{table}")
            in_accuracy = metric is not score
            figure = budget_figure(
                table,
                "points of accuracy lost" if in_accuracy else "cross-entropy gained",
                f"digits on phase-change memory, one month old: {name}",
                factor=100.0 if in_accuracy else 1.0,
            )
            figure.savefig(options.output / f"{name}.png")
            table.to_frame().to_csv(options.output / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
