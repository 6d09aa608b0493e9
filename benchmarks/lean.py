"""Large chips: seconds and memory of an encoder of BERT's kind, whole and lean, against its weights.

    python -m benchmarks.lean                     # lean chips of 13, 34 and 109 million weights
    python -m benchmarks.lean --whole             # the same chips with their conductances kept
    python -m benchmarks.lean --layers 12 --vocabulary 30522

Each size runs in a process of its own, on the cores that OMP_NUM_THREADS gives. Weights are drawn at random;
the tables of words and places lie on arrays too. Memory is what the operating system says of the process
(VmRSS and VmHWM of /proc/self/status), less what it said once mho was imported; the weights are in it, 4
bytes each.
Seconds are those of the clock; CPU seconds are those of all threads, and hardly depend on who else computes.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mho
from mho.nn import crossbars

SIZES = ((1, 7630), (3, 15261), (12, 30522))  # layers and words
WIDTH, PLACES = 768, 512
STEPS = ("convert", "calibrate", "program", "age", "compensate", "evaluate", "save", "load", "evaluate again")


class Encoder(nn.Module):
    """The encoder of BERT-base: 12 layers of 768, 30522 words."""

    def __init__(self, layers: int, vocabulary: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 12, 4 * WIDTH, 0.0, "gelu", batch_first=True)
            for _ in range(layers)
        )

    def forward(self, words: Tensor) -> Tensor:
        x = self.norm(self.words(words) + self.places(torch.arange(words.shape[1])))
        for layer in self.layers:
            x = layer(x)
        return x


def status(name: str) -> int:
    """Bytes that the operating system counts: ``VmRSS`` (now) or ``VmHWM`` (at most so far)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def run(layers: int, vocabulary: int, lean: bool) -> dict[str, Any]:
    """All steps for one size, in this process."""
    start, steps = status("VmRSS"), {}

    def timed(name: str, work: Any) -> Any:
        clock, cpu = time.perf_counter(), time.process_time()
        result = work()
        steps[name] = {
            "seconds": time.perf_counter() - clock,
            "cpu": time.process_time() - cpu,
            "rss": status("VmRSS") - start,
            "peak": status("VmHWM") - start,
        }
        return result

    hardware = mho.Hardware(
        device=mho.devices.PCM(),
        dac=mho.DAC(bits=8),
        adc=mho.ADC(bits=8),
        tile=mho.Tile(rows=256, columns=256),
    )

    def converted() -> nn.Module:
        torch.manual_seed(0)
        return mho.convert(Encoder(layers, vocabulary), hardware).eval()

    def evaluated(model: nn.Module) -> Tensor:
        torch.manual_seed(2)  # of the read noise
        return model(x)  # type: ignore[no-any-return]

    x = torch.randint(0, vocabulary, (4, 128), generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "chip.pt")
        model = timed("convert", converted)
        timed("calibrate", lambda: mho.calibrate(model, [x]))
        timed("program", lambda: mho.program(model, seed=0, lean=lean))
        timed("age", lambda: mho.age(model, "1d"))
        timed("compensate", lambda: mho.compensate(model))
        y = timed("evaluate", lambda: evaluated(model))
        arrays = crossbars(model).values()
        weights = sum(array.weight.numel() for array in arrays)
        held = sum(b.numel() * b.element_size() for a in arrays for b in a._buffers.values() if b is not None)
        held += sum(a.weight.numel() * a.weight.element_size() for a in arrays)
        timed("save", lambda: torch.save(model.state_dict(), file))
        disk = file.stat().st_size
        del model, arrays
        gc.collect()
        model = converted()
        timed("load", lambda: model.load_state_dict(torch.load(file, mmap=True, weights_only=True)))
        again = timed("evaluate again", lambda: evaluated(model))
    return {
        "weights": weights,
        "lean": lean,
        "held": held,
        "disk": disk,
        "start": start,
        "steps": steps,
        "equal": bool(torch.equal(again, y)),
    }


def exponent(weights: list[int], values: list[float]) -> float:
    """Slope of a straight line through the logarithms, by least squares."""
    x, y = ([math.log(v) for v in row] for row in (weights, values))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum(
        (a - mean_x) ** 2 for a in x
    )


def table(found: list[dict[str, Any]]) -> str:
    """The sizes side by side, with the exponents."""
    weights = [one["weights"] for one in found]
    head = ["", *(f"{w / 1e6:.1f} M" for w in weights), *(["exponent"] if len(found) > 1 else [])]
    rows = [head, ["---"] * len(head)]

    def row(name: str, values: list[float], text: str) -> None:
        slope = [f"{exponent(weights, values):.2f}"] if len(found) > 1 else []
        rows.append([name, *(text.format(v) for v in values), *slope])

    for step in STEPS:
        for key, unit in (("seconds", "s"), ("cpu", "CPU s")):
            row(f"{step}, {unit}", [one["steps"][step][key] for one in found], "{:.1f}")
    row("tensors of the arrays, MB", [one["held"] / 1e6 for one in found], "{:.0f}")
    for key, step in (
        ("rss", "program"),
        ("rss", "evaluate"),
        ("peak", "evaluate"),
        ("peak", "evaluate again"),
    ):
        name = "resident" if key == "rss" else "most so far"
        row(f"{name} after {step}, MB", [one["steps"][step][key] / 1e6 for one in found], "{:.0f}")
    row("file, MB", [one["disk"] / 1e6 for one in found], "{:.0f}")
    for name, of in (("held", "held"), ("on disk", "disk")):
        rows.append(
            [f"bytes a weight, {name}", *(f"{o[of] / o['weights']:.2f}" for o in found), ""][: len(head)]
        )
    rows.append(
        ["loaded chip reads the same bits", *("yes" if o["equal"] else "NO" for o in found), ""][: len(head)]
    )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, help="one size alone, with --vocabulary")
    parser.add_argument("--vocabulary", type=int, default=SIZES[-1][1])
    parser.add_argument("--whole", action="store_true", help="keep the conductances")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(run(given.layers, given.vocabulary, not given.whole)))
        return
    sizes = SIZES if given.layers is None else ((given.layers, given.vocabulary),)
    found = []
    for layers, vocabulary in sizes:
        more = ["--whole"] if given.whole else []
        command = [sys.executable, "-m", "benchmarks.lean", "--alone", *more]
        command += ["--layers", str(layers), "--vocabulary", str(vocabulary)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{found[-1]['weights'] / 1e6:.1f} M weights done", file=sys.stderr, flush=True)
    kind = "whole" if given.whole else "lean"
    load = os.getloadavg()[0]
    print(
        f"{kind} chips, torch {torch.__version__}, {torch.get_num_threads()} threads, {_processor()}, "
        f"load {load:.1f}\n"
    )
    print(table(found))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "processor not known"


if __name__ == "__main__":
    main()
