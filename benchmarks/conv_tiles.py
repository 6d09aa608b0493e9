"""``python -m benchmarks.conv_tiles``: tiles of a convolution one after the other, or all in one operation.

Inference on the CPU without gradients, 8-bit converters, one thread. Processor time in ms, medians of turns
taken, of both ways and of torch's own convolution; which of the two mho takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import mho
from mho.chip.layouts import ConvolutionLayout
from mho.chip.reads import Read

CASES = (  # inputs, outputs, taps, rows of a tile, pixels, images
    (512, 512, 3, 256, 4, 8), (256, 256, 3, 64, 8, 8), (256, 256, 3, 16, 8, 8), (64, 64, 3, 256, 16, 8),
    (64, 64, 3, 64, 16, 8), (64, 64, 3, 16, 16, 8), (64, 64, 3, 16, 16, 1), (64, 64, 3, 64, 16, 1),
    (64, 256, 1, 16, 16, 1), (16, 64, 3, 16, 16, 8), (64, 16, 3, 64, 16, 8), (64, 16, 3, 16, 16, 8),
    (512, 64, 3, 9, 8, 8), (8, 8, 3, 18, 28, 16),
)  # fmt: skip


def processor_ms(call: Callable[[], Any]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def compare(inputs: int, outputs: int, taps: int, rows: int, pixels: int, images: int) -> str:
    """One line of the table."""
    layer, x = (
        nn.Conv2d(inputs, outputs, taps, padding=taps // 2),
        torch.randn(images, inputs, pixels, pixels),
    )
    hardware = mho.Hardware(
        device=mho.devices.PCM(read_scale=0.0), tile=mho.Tile(rows=rows), dac=mho.DAC(), adc=mho.ADC()
    )
    analog: Any = mho.convert(layer, hardware)
    mho.calibrate(analog, [x[:1]])
    mho.program(analog, seed=0)
    analog.eval()
    rule, taken = ConvolutionLayout.one_by_one, False

    def noted(cut: ConvolutionLayout, read: Read, v: Tensor) -> bool:
        nonlocal taken
        taken = rule(cut, read, v) or taken
        return taken

    times: dict[str, list[float]] = {"apart": [], "grouped": [], "torch": []}
    rules: dict[str, Any] = {"apart": lambda *_: True, "grouped": lambda *_: False, "torch": rule}
    with torch.no_grad():
        ConvolutionLayout.one_by_one = noted  # type: ignore[method-assign, assignment]
        analog(x)
        for turn in range(16):
            for way, measured in times.items():
                ConvolutionLayout.one_by_one = rules[way]  # type: ignore[method-assign]
                milliseconds = processor_ms(lambda: (layer if way == "torch" else analog)(x))  # noqa: B023
                measured += [milliseconds] * (turn > 0)
    ConvolutionLayout.one_by_one = rule  # type: ignore[method-assign]
    size = f"{inputs}-{outputs} {taps}x{taps} on {pixels}x{pixels}, batch {images}, {rows} rows"
    columns = [f"{statistics.median(measured):8.2f}" for measured in times.values()]
    tiles = len(analog.layout.rows)
    currents = images * outputs * pixels * pixels
    return f"{size:42}{tiles:6}{currents:10}{''.join(columns)}  {'apart' if taken else 'grouped'}"


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"{'convolution':42}{'tiles':>6}{'currents':>10}{'apart':>8}{'grouped':>8}{'torch':>8}  taken")
    for case in CASES:
        print(compare(*case), flush=True)


if __name__ == "__main__":
    main()
