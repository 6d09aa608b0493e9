"""A small ResNet on the 200 levels of a real memristor, trained for them and quantised afterwards.

Both networks are then disturbed by noise in proportion to each weight. The full study, with alpha
blending, device pairs, chips and tests, is the command `mho quantize`.

    python examples/quantize_digits.py [--quick]
"""

import sys

import torch
from torch.nn.functional import cross_entropy

import mho
from mho.experiments.batched import accuracies
from mho.experiments.copies import noisy_weights
from mho.experiments.data import Digits
from mho.experiments.models import SmallResNet
from mho.mapping import SingleDevice, measured_states
from mho.training import Quantizer, Recipe, STEQuantizer, attach, quantised

EPOCHS = 2 if "--quick" in sys.argv else 15
LEVELS = SingleDevice(states=measured_states())
DATA = Digits().load()


def trained(recipe: Recipe) -> torch.nn.Module:
    torch.manual_seed(0)
    network = SmallResNet().build(DATA.channels, DATA.size, DATA.classes)
    analog = mho.convert(network, mho.Hardware())
    attach(analog, recipe)
    optimizer = torch.optim.Adam(analog.parameters(), lr=3e-3)
    images, labels = DATA.train.tensors
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(50):
            optimizer.zero_grad()
            cross_entropy(analog(images[batch]), labels[batch]).backward()
            optimizer.step()
    return analog


networks = {
    "straight-through": quantised(trained(Recipe(modifiers=(STEQuantizer(levels=LEVELS),)))),
    "post-training": quantised(trained(Recipe()), Quantizer(levels=LEVELS)),
}
print(f"{len(LEVELS.values())} levels; test accuracy under noise, mean of 5 draws")
for name, analog in networks.items():
    network = mho.revert(analog).eval()
    for p in (0.0, 0.1, 0.2, 0.3):
        hits = accuracies(network, noisy_weights(network, [p] * 5, range(5), seed=0), DATA.test)
        print(f"{name:<18} {p:.0%} noise: {sum(hits) / 5:.1%}")
