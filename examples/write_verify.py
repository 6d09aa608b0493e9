"""Pulses for each cell, and the error before and after write-verify, as a table and a figure.

python examples/write_verify.py [--quick] [--output folder]

A small network is programmed three times: on phase-change cells, on VTEAM cells behind transistors, and
on VTEAM cells in an array without transistors, whose neighbours feel half of each pulse.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

import mho
from mho.programming import Train, VoltagePulses, WriteVerify

UP = Train(voltage=-0.36, width=1e-11)  # V / 2 is 0.02 V below the threshold of VTEAM's SET ...
DOWN = Train(voltage=0.05, width=1e-9)  # ... and 0.005 V above that of its RESET
PULSES = VoltagePulses(up=UP, down=DOWN)
PASSIVE = VoltagePulses(up=UP, down=DOWN, scheme=mho.array.HalfVoltage())
VERIFY = WriteVerify(tolerance=0.01, read_noise=0.002)

CASES = {
    "phase-change": mho.Hardware(device=mho.devices.PCM(), programming=VERIFY),
    "VTEAM, transistors": mho.Hardware(
        device=mho.devices.Switching(), programming=WriteVerify(pulse=PULSES, read_noise=0.002)
    ),
    "VTEAM, no transistors": mho.Hardware(
        device=mho.devices.Switching(), programming=WriteVerify(pulse=PASSIVE, read_noise=0.002)
    ),
}


def errors(model: nn.Module) -> torch.Tensor:
    """Error of each weight on the chip, in the largest weight of its layer."""
    held, wanted = mho.effective_weights(model), mho.revert(model).state_dict()
    pairs = [(held[path], wanted[f"{path}.weight"]) for path in held]
    parts = [(w - goal) / goal.abs().max() for w, goal in pairs]
    return torch.cat([part.flatten() for part in parts]).detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny network")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder of the figure")
    options = parser.parse_args()
    width = 16 if options.quick else 128
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    figure = Figure(figsize=(12, 6.5), dpi=110, layout="constrained")
    axes = figure.subplots(2, len(CASES))
    for column, (name, hardware) in enumerate(CASES.items()):
        shot = mho.Hardware(device=hardware.device)
        before, after = mho.convert(network, shot), mho.convert(network, hardware)
        mho.program(before, seed=0)
        mho.program(after, seed=0)
        report = mho.programming_report(after)
        print(f"{name}\n{report}")
        counts = torch.zeros(hardware.programming.max_pulses + 1, dtype=torch.long)
        for layer in report.layers.values():
            counts[: len(layer.histogram)] += torch.tensor(layer.histogram)
        last = int(counts.nonzero().max())
        top, bottom = axes[:, column]
        top.bar(range(last + 1), counts[: last + 1], width=0.9)
        top.set(title=name, xlabel="pulses", ylabel="cells", yscale="log")
        bins = torch.linspace(-0.15, 0.15, 91).numpy()
        if errors(before).abs().max() > 1e-4:
            bottom.hist(errors(before).numpy(), bins, alpha=0.6, label="single shot")
        bottom.hist(errors(after).numpy(), bins, alpha=0.6, label="write-verify")
        bottom.set(xlabel="error (largest weight)", ylabel="weights")
        bottom.legend()
    options.output.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output / "write-verify.png")
    print(f"figure in {(options.output / 'write-verify.png').resolve()}")


if __name__ == "__main__":
    main()
