"""Two claims about weight noise in training, tested: it finds flat minima, and it regularises.

Networks of the same start, batches and steps learn scikit-learn's digits plainly, with weight noise, and
with weight noise and clipping. Then, digitally: the loss along random and worst directions, measured
relative to each filter and to the largest weight of each layer, and the losses on training and test images.

    python examples/flat_minima.py            # 24 networks
    python examples/flat_minima.py --quick    # a first look: 6 networks, trained for 3 epochs
"""

import argparse
from pathlib import Path

from mho.experiments.fitting import Schedule
from mho.experiments.landscape import LandscapeStudy, run
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
    result = run(QUICK if options.quick else LandscapeStudy(), progress=for_terminal())
    options.output.mkdir(parents=True, exist_ok=True)
    landscape_figure(result).savefig(options.output / "flat-minima.png")
    regulariser_figure(result).savefig(options.output / "regulariser.png")
    result.profiles.to_csv(options.output / "profiles.csv", index=False)
    result.networks.to_csv(options.output / "networks.csv", index=False)
    differences = result.differences()
    differences.to_csv(options.output / "differences.csv", index=False)
    print("each kind of training minus plain training, paired by start and batches, 95 % intervals")
    print(differences.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
