"""A classifier of digits in Keras and in torch, on the same ten chips, for a year.

Keras trains the network with noise on its weights; torch takes its weights. Both are put on the same
phase-change memory, chip by chip with the same seed, and read at one second and at one year with drift
compensation.

    KERAS_BACKEND=tensorflow python examples/keras_year.py [--quick] [--chips 10]
"""

import argparse
import statistics

import keras
import numpy as np
import torch
from scipy import stats

import mho
import mho.keras
from mho.experiments.data import Digits
from mho.training import Recipe, WeightNoise

AGES = {"1 s": 1.0, "1 year": 31_536_000.0}
HARDWARE = mho.Hardware(
    device=mho.devices.PCM(), tile=mho.Tile(rows=64, columns=64), dac=mho.DAC(bits=8), adc=mho.ADC(bits=8)
)


def trained(images: np.ndarray, labels: np.ndarray, epochs: int) -> keras.Model:
    """A network of Keras, trained with noise on its weights."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(48),
            keras.layers.ReLU(),
            keras.layers.Dense(10),
        ]
    )
    analog = mho.keras.convert(model, HARDWARE)
    mho.keras.attach(analog, Recipe(modifiers=(WeightNoise(std=0.05),)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    analog.compile(keras.optimizers.Adam(3e-3), loss)
    analog.fit(images, labels, epochs=epochs, batch_size=50, verbose=0)
    mho.keras.calibrate(analog, [images])
    return analog


def in_torch(model: keras.Model, images: np.ndarray) -> torch.nn.Module:
    """The torch network with the same weights, on the same hardware."""
    network = torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    for here, there in ((0, 0), (2, 2)):
        kernel, bias = (keras.ops.convert_to_numpy(v) for v in model.layers[there].weights[:2])
        network[here].weight.data = torch.tensor(np.array(kernel)).T.contiguous()
        network[here].bias.data = torch.tensor(np.array(bias))
    analog = mho.convert(network, HARDWARE).eval()
    mho.calibrate(analog, [torch.tensor(images)])
    return analog


def accuracies(model: keras.Model, network: torch.nn.Module, chip: int, age: float, test: tuple) -> tuple:
    """Accuracy of both on one chip at one age, in percent; read noise is each one's own."""
    images, labels = test
    for verbs, whole in ((mho.keras, model), (mho, network)):
        verbs.program(whole, seed=chip)
        verbs.age(whole, age)
        verbs.compensate(whole)
    with torch.no_grad():
        read = network(torch.tensor(images)).numpy()
    found = model.predict(images, batch_size=len(images), verbose=0)
    return tuple(100 * float((y.argmax(1) == labels).mean()) for y in (found, read))


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the mean, by Student's t."""
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values) - half, statistics.mean(values) + half


def main(arguments: list[str] | None = None) -> dict[str, list[tuple[float, float]]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--chips", type=int)
    options = parser.parse_args(arguments)
    chips = options.chips or (2 if options.quick else 10)
    data = Digits().load()
    train, test = ((x.flatten(1).numpy(), y.numpy()) for x, y in (data.train.tensors, data.test.tensors))
    model = trained(*train, epochs=5 if options.quick else 40)
    network = in_torch(model, train[0])
    print(f"{keras.backend.backend()}, {chips} chips, {len(test[1])} test images")
    found = {}
    for name, age in AGES.items():
        found[name] = [accuracies(model, network, chip, age, test) for chip in range(chips)]
        ours, theirs = zip(*found[name], strict=True)
        difference = [a - b for a, b in found[name]]
        low, high = interval(difference)
        print(
            f"{name:>6}: Keras {statistics.mean(ours):.2f} %, torch {statistics.mean(theirs):.2f} %, "
            f"difference chip by chip {statistics.mean(difference):+.2f} points, 95 % interval "
            f"{low:+.2f} to {high:+.2f}, at most {max(map(abs, difference)):.2f}"
        )
    return found


if __name__ == "__main__":
    main()
