"""A training by the Trainer of Hugging Face that can be killed: python trainer.py <folder> <task>...."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

import mho
from mho.training import DropConnect, OutputScale, Recipe, WeightClip, WeightNoise, attach, detach

RECIPE = Recipe(
    modifiers=(WeightClip(), OutputScale(), WeightNoise(std=0.05, ramp_steps=5), DropConnect(p=0.01))
)
PCM = mho.Hardware(device=mho.devices.PCM())
STEPS, KILLED_AT = 7, 5


def digital() -> nn.Module:
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=12, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config)


def data() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(0, 40, (40, 8), generator=generator)
    return [
        {"input_ids": row, "attention_mask": torch.ones_like(row), "labels": int(row[0]) % 3} for row in words
    ]


class Killer(transformers.TrainerCallback):
    """Kills the process in the middle of a training."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **other: Any) -> None:
        if state.global_step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder: Path, resume: bool = False, callbacks: tuple[Any, ...] = ()) -> transformers.Trainer:
    """An ordinary program of the Trainer, but for one line that converts and one that attaches."""
    model = mho.convert(digital(), PCM)
    attach(model, RECIPE)
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=STEPS, per_device_train_batch_size=4, learning_rate=1e-2, save_steps=2, seed=3,
        report_to=[], disable_tqdm=True, use_cpu=True, logging_steps=1,
    )  # fmt: skip
    rows = data()
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=rows, eval_dataset=rows[:8], callbacks=list(callbacks)
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def outputs(model: nn.Module) -> Tensor:
    """What a chip gives, with the noise of a fixed seed."""
    words = torch.stack([row["input_ids"] for row in data()])
    torch.manual_seed(2)
    with torch.no_grad():
        return model.eval()(input_ids=words).logits


def finish(trainer: transformers.Trainer, folder: Path) -> dict[str, Any]:
    """Program and save as the Trainer saves; what a process that loads must find again."""
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    detach(trainer.model)
    mho.program(trainer.model.eval(), seed=0)
    mho.age(trainer.model, 86_400)
    trainer.save_model(str(folder / "final"))
    return {"losses": losses, "logits": outputs(trainer.model), "loss": trainer.evaluate()["eval_loss"]}


def load(folder: Path) -> dict[str, Tensor]:
    """In another process: the chip, and the digital model, saved and read again as such."""
    config = transformers.AutoConfig.from_pretrained(folder / "final")
    model = mho.convert(transformers.AutoModelForSequenceClassification.from_config(config), PCM)
    model.load_state_dict(load_file(folder / "final" / "model.safetensors"))
    found = {"logits": outputs(model), "weights": model.classifier.weight.detach()}
    for weights in ("ideal", "programmed"):
        mho.revert(model, weights).save_pretrained(folder / weights)
        again = transformers.AutoModelForSequenceClassification.from_pretrained(folder / weights)
        found[weights] = outputs(again)
    return found


def do(task: str, folder: Path) -> None:
    if task == "killed":
        train(folder, callbacks=(Killer(),))
    elif task == "resume":
        torch.save(finish(train(folder, resume=True), folder), folder / "resume.pt")
    else:
        torch.save(load(folder), folder / "load.pt")
        torch.save(finish(train(folder / "whole"), folder / "whole"), folder / "whole.pt")


def main() -> None:
    """Each task in a process of its own, which need not import all this again; how it ended, what it left."""
    folder, *tasks = sys.argv[1:]
    ended = {}
    for task in tasks:
        process = os.fork()
        if process == 0:
            do(task, Path(folder))
            sys.exit()
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        ended[task] = (status, sorted(p.name for p in Path(folder).glob("checkpoint-*")))
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
