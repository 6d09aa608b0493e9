"""Two claims about weight noise in training, tested: it finds flat minima, and it regularises.

Networks of the same start, batches and steps learn scikit-learn's digits plainly, with weight noise, and
with weight noise and clipping. Then, digitally: the loss along random and worst directions, measured
relative to each filter and to the largest weight of each layer, and the losses on training and test images.

    python examples/flat_minima.py            # 24 networks
    python examples/flat_minima.py --quick    # a first look: 6 networks, trained for 3 epochs

A run that is stopped goes on from its finished networks.
"""

import argparse
from pathlib import Path

from mho.experiments.fitting import Schedule
from mho.experiments.harness import run
from mho.experiments.landscape import LandscapeStudy, differences, networks, profiles
from mho.experiments.progress import for_terminal
from mho.report.landscape import landscape_figure, regulariser_figure

QUICK = LandscapeStudy(
    training=Schedule(epochs=3, learning_rate=0.05), trainings=2, directions=2, ascent=2, images=100
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("flat-minima"))
    options = parser.parse_args(arguments)
    study, folder = QUICK if options.quick else LandscapeStudy(), options.output
    table = run(study, folder, progress=for_terminal()).table
    landscape_figure(table).savefig(folder / "flat-minima.png")
    regulariser_figure(table).savefig(folder / "regulariser.png")
    found = {"profiles": profiles(table), "networks": networks(table), "differences": differences(table)}
    for name, each in found.items():
        each.to_csv(folder / f"{name}.csv", index=False)
    print("each kind of training minus plain training, paired by start and batches, 95 % intervals")
    print(found["differences"].to_string(index=False, float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
