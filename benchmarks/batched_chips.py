"""100 noisy copies of a small network: one after the other in a loop, and all together.

    python benchmarks/batched_chips.py [--chips 100] [--rounds 3]

Three loops:

- *chips*: `mho.program`, `mho.age` and a test, for each seed.
- *noisy copies*: what scripts of robustness studies do: copy the network, add noise to its weights, and test
  the copy with a `DataLoader` of 64 images a batch.
- *given weights*: the noise is drawn beforehand and all images are one batch, so that only convolutions
  and the operations between them are left. Both ways use the same kernels, for the same bits: what can be
  won is a core that the loop does not fill.

Both ways give the same accuracies; the script says so. The loop computes with the number of threads that
serves it best.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable

import torch
from torch.utils.data import DataLoader

import mho
from mho import random
from mho.experiments.batched import accuracies
from mho.experiments.copies import array_weights, chip_weights, noisy_weights
from mho.experiments.data import Digits
from mho.experiments.fitting import accuracy, limited_threads
from mho.experiments.models import SmallResNet

DAY = 86_400.0
BATCH = 64  # images, as studies have it


def seconds_of(work: Callable[[], list[float]], rounds: int) -> tuple[float, list[float]]:
    """The shortest of several runs, and what the work gave."""
    best, result = float("inf"), []
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = min(2, os.cpu_count() or 1)
    seeds = range(options.chips)

    test = Digits().load().test
    torch.manual_seed(0)
    network = SmallResNet().build(1, 8, 10).eval()
    hardware = mho.Hardware(device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=None, columns=None))
    analog = mho.convert(network, hardware).eval()

    def chips_in_a_loop() -> list[float]:
        found = []
        for seed in seeds:
            mho.program(analog, seed)
            mho.age(analog, DAY)
            found.append(accuracy(analog, test))
        return found

    def chips_together() -> list[float]:
        with limited_threads(1):
            return accuracies(network, chip_weights(analog, seeds, DAY), test, workers=cores)

    def copies() -> dict[str, torch.Tensor]:
        return noisy_weights(network, [0.1] * options.chips, seeds, seed=0)

    def noise_in_a_loop() -> list[float]:
        found, loader, names = [], DataLoader(test, batch_size=BATCH), list(array_weights(network))
        for number in seeds:
            noisy = copy.deepcopy(network)
            with torch.no_grad():
                for name in names:
                    weight = noisy.get_parameter(name)
                    eps = random.normal(weight.shape, 0, name, "weight noise", str(number))
                    weight += 0.1 * weight.abs() * eps
                right = sum(int((noisy(x).argmax(1) == y).sum()) for x, y in loader)
            found.append(right / len(test))
        return found

    def noise_together() -> list[float]:
        return accuracies(network, copies(), test, workers=cores)

    def copies_in_a_loop() -> list[float]:
        found, state = [], {k: v.clone() for k, v in network.state_dict().items()}
        for number in range(options.chips):
            network.load_state_dict({**state, **{k: v[number] for k, v in copies_made.items()}})
            found.append(accuracy(network, test))
        network.load_state_dict(state)
        return found

    def copies_together() -> list[float]:
        return accuracies(network, copies_made, test, workers=cores)

    copies_made = copies()
    print(
        f"{options.chips} copies of a {sum(p.numel() for p in network.parameters())}-weight ResNet, "
        f"{len(test)} images, {cores} cores"
    )
    for title, loop, together in (
        ("chips: program, age, test", chips_in_a_loop, chips_together),
        ("noisy copies: draw, test", noise_in_a_loop, noise_together),
        ("given weights: test", copies_in_a_loop, copies_together),
    ):
        times = {}
        for threads in range(1, cores + 1):
            with limited_threads(threads):
                times[threads], expected = seconds_of(loop, options.rounds)
        looped = min(times.values())
        batched, found = seconds_of(together, options.rounds)
        each = ", ".join(f"{t:.2f} s with {n} thread{'s' * (n > 1)}" for n, t in times.items())
        print(
            f"{title}: loop {each}; together {batched:.2f} s: {looped / batched:.1f} times faster; "
            f"same accuracies: {found == expected}"
        )


if __name__ == "__main__":
    main()
