"""Digital low-rank adapters mend a chip that has aged.

A digits classifier is trained in plain torch and programmed on noisy phase-change memory. A month later the
chip has drifted. Its weights stay as they are: ``peft`` puts a small digital adapter beside each array, and
the adapters are trained against the chip, with its errors, its age and fresh noise in every read. The
table compares the chip when it was programmed, aged, compensated, and with adapters.

    pip install "mho[study,train]"
    python examples/low_rank_on_chip.py       # --quick: two chips, fewer epochs
"""

from __future__ import annotations

import argparse
import copy
from statistics import mean

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mho
from mho.experiments.data import Digits

MONTH = 30 * 86_400
HARDWARE = mho.Hardware(
    device=mho.devices.PCM(program_scale=2.0, read_scale=2.0, drift_scale=2.0),
    tile=mho.Tile(rows=64, columns=64),
)


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))


def learn(model: nn.Module, data: TensorDataset, epochs: int, rate: float, seed: int) -> None:
    """Train whatever of the model learns."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for x, y in DataLoader(data, batch_size=50, shuffle=True, generator=order):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, data: TensorDataset) -> float:
    x, y = data.tensors
    return float((model(x).argmax(1) == y).double().mean())


def adapted(chip: nn.Module, data: TensorDataset, rank: int, epochs: int, seed: int) -> nn.Module:
    """A copy of the chip with adapters that were trained on it."""
    torch.manual_seed(seed)
    model = get_peft_model(
        copy.deepcopy(chip), LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    )
    mho.train_on_chip(model)  # training mode reads the chip
    learn(model.train(), data, epochs, 3e-3, seed)
    return model.eval()


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two chips, fewer epochs")
    parser.add_argument("--rank", type=int, default=4, help="of the adapters")
    options = parser.parse_args(arguments)
    chips, epochs = (2, 8) if options.quick else (10, 30)

    data = Digits().load()
    torch.manual_seed(0)
    digital = network()
    learn(digital, data.train, 20, 1e-2, seed=0)
    print(f"digital: {accuracy(digital, data.test):.1%}\n")

    rows: dict[str, list[float]] = {"programmed": [], "a month later": [], "compensated": [], "adapters": []}
    for seed in range(chips):
        chip = mho.convert(digital, HARDWARE).eval()
        mho.program(chip, seed=seed)
        rows["programmed"].append(accuracy(chip, data.test))
        mho.age(chip, MONTH)
        rows["a month later"].append(accuracy(chip, data.test))
        mho.compensate(chip)
        rows["compensated"].append(accuracy(chip, data.test))
        before = mho.effective_weights(chip)
        model = adapted(chip, data.train, options.rank, epochs, seed)
        rows["adapters"].append(accuracy(model, data.test))
        assert all(torch.equal(w, before[path]) for path, w in mho.effective_weights(model).items())
    trained, total = model.get_nb_trainable_parameters()
    print(f"accuracy on {chips} chips  mean    worst")
    for name, values in rows.items():
        print(f"{name:20} {mean(values):6.1%}  {min(values):6.1%}")
    print(f"\nthe adapters have {trained:,} parameters, the arrays {total - trained:,} weights and biases")
    return rows


if __name__ == "__main__":
    main()
