"""Layers of Hugging Face's transformers that torch has not, on arrays; transformers is not imported."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from mho.nn.crossbar import Crossbar
from mho.nn.embedding import AnalogEmbedding


class AnalogPositions(AnalogEmbedding):
    """A table of positions: the rows from a start on, or those that are named.

    ``mho.convert`` makes it from Whisper's ``WhisperPositionalEmbedding``.
    """

    def forward(
        self, input_ids: Tensor, past_key_values_length: int = 0, position_ids: Tensor | None = None
    ) -> Tensor:
        """A row for each column of ``input_ids`` (not its numbers), or the rows ``position_ids``."""
        return super().forward(self._rows(input_ids, past_key_values_length, position_ids))

    def digital_forward(
        self, input_ids: Tensor, past_key_values_length: int = 0, position_ids: Tensor | None = None
    ) -> Tensor:
        """The rows of the Parameter."""
        return super().digital_forward(self._rows(input_ids, past_key_values_length, position_ids))

    def _rows(self, like: Tensor, start: int, named: Tensor | None) -> Tensor:
        return torch.arange(start, start + like.shape[1], device=like.device) if named is None else named


class SavesWithWord:
    """``save_pretrained`` of a converted model: it saves, and says that ``from_pretrained`` drops the chip.

    Attributes:
        model: a model of Hugging Face.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, *args: Any, **names: Any) -> Any:
        """Save as the class does, then warn."""
        kind: Any = type(self.model)
        saved = kind.save_pretrained(self.model, *args, **names)
        arrays = {p: m for p, m in self.model.named_modules() if isinstance(m, Crossbar)}
        held = [f"{p}.{n}" for p, m in arrays.items() for n in m.state_dict()]
        if held:
            warnings.warn(DROPPED.format(kind=kind.__name__, held=len(held), first=held[0]), stacklevel=2)
        return saved


DROPPED = (
    "{kind}.from_pretrained makes the digital model: it drops all {held} entries of the arrays that were "
    "saved ({first}, ...), the chip among them, and says that this can be ignored. To keep the chip save "
    "torch.save(analog.state_dict(), file) and mho.calibration.save_hardware({{path: layer.hardware for "
    "path, layer in mho.analog_modules(analog).items()}}, description). To load it: analog = mho.convert("
    "{kind}.from_pretrained(folder), mho.calibration.load_hardware(description)), then "
    "analog.load_state_dict(torch.load(file))"
)


def announce(model: nn.Module) -> None:
    """Let the models of Hugging Face in a converted model say what ``from_pretrained`` would drop."""
    for module in model.modules():
        if hasattr(type(module), "save_pretrained") and hasattr(type(module), "from_pretrained"):
            module.__dict__["save_pretrained"] = SavesWithWord(module)


def unannounce(model: nn.Module) -> None:
    """Undo :func:`announce`."""
    for module in model.modules():
        if isinstance(module.__dict__.get("save_pretrained"), SavesWithWord):
            del module.__dict__["save_pretrained"]
