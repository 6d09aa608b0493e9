"""Module cases of the layer table: what a user may hand over, and an input for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Case = Callable[[], tuple[nn.Module, Any]]  # a module, and what it is called with

IDS = torch.tensor([[3, 1, 7, 5], [2, 0, 8, 4]])


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape)


class Tied(nn.Module):
    """A language model in miniature: the embedding is the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 6), nn.Linear(6, 9, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embedding(ids))


def _padded() -> dict[str, Tensor]:
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[1, 3:] = True
    return {"src": _noise(2, 5, 8), "src_key_padding_mask": padding}


def _causal() -> tuple[tuple[str, Any], ...]:
    return (("src", _noise(2, 5, 8)), ("tgt", _noise(2, 4, 8)))


CASES: dict[str, Case] = {
    "Linear": lambda: (nn.Linear(20, 7), _noise(5, 20)),
    "Linear, more batch axes, no bias": lambda: (nn.Linear(20, 7, bias=False), _noise(2, 3, 20)),
    "Linear, weight-normed": lambda: (weight_norm(nn.Linear(20, 7)), _noise(5, 20)),
    "Bilinear": lambda: (nn.Bilinear(6, 5, 4), (_noise(3, 6), _noise(3, 5))),
    "Conv1d": lambda: (nn.Conv1d(6, 8, 3), _noise(2, 6, 11)),
    "Conv1d, dilation, same": lambda: (nn.Conv1d(6, 8, 4, padding="same", dilation=2), _noise(2, 6, 16)),
    "Conv2d": lambda: (nn.Conv2d(6, 8, 3, padding=1), _noise(2, 6, 9, 9)),
    "Conv2d, stride": lambda: (nn.Conv2d(6, 8, (3, 5), stride=(2, 1)), _noise(2, 6, 9, 9)),
    "Conv2d, dilation": lambda: (nn.Conv2d(6, 8, 3, dilation=2), _noise(2, 6, 9, 9)),
    "Conv2d, groups": lambda: (nn.Conv2d(6, 8, 3, groups=2), _noise(2, 6, 9, 9)),
    "Conv2d, depthwise": lambda: (nn.Conv2d(6, 12, 3, groups=6), _noise(2, 6, 9, 9)),
    "Conv2d, reflect": lambda: (nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect"), _noise(2, 6, 9, 9)),
    "Conv3d": lambda: (nn.Conv3d(4, 5, 3, padding=1), _noise(2, 4, 5, 6, 7)),
    "Conv3d, dilation": lambda: (nn.Conv3d(4, 5, 2, dilation=2), _noise(2, 4, 5, 6, 7)),
    "ConvTranspose1d": lambda: (nn.ConvTranspose1d(6, 8, 3, stride=2), _noise(2, 6, 9)),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(6, 8, 3, stride=2, output_padding=1), _noise(2, 6, 5, 5)),
    "ConvTranspose3d": lambda: (nn.ConvTranspose3d(4, 5, 2, stride=2), _noise(2, 4, 3, 4, 5)),
    "RNN": lambda: (nn.RNN(6, 5), _noise(4, 3, 6)),
    "LSTM": lambda: (nn.LSTM(6, 5), _noise(4, 3, 6)),
    "LSTM, batch first, both ways": lambda: (
        nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True),
        _noise(3, 4, 6),
    ),
    "LSTM, projection": lambda: (nn.LSTM(6, 5, proj_size=3), _noise(4, 3, 6)),
    "GRU": lambda: (nn.GRU(6, 5), _noise(4, 3, 6)),
    "RNNCell": lambda: (nn.RNNCell(6, 5), (_noise(3, 6), _noise(3, 5))),
    "LSTMCell": lambda: (nn.LSTMCell(6, 5), (_noise(3, 6), (_noise(3, 5), _noise(3, 5)))),
    "GRUCell": lambda: (nn.GRUCell(6, 5), (_noise(3, 6), _noise(3, 5))),
    "MultiheadAttention": lambda: (nn.MultiheadAttention(8, 2, batch_first=True), (_noise(2, 5, 8),) * 3),
    "MultiheadAttention, separate": lambda: (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=4, add_bias_kv=True),
        (_noise(5, 2, 8), _noise(4, 2, 6), _noise(4, 2, 4)),
    ),
    "TransformerEncoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2),
        _padded(),
    ),
    "TransformerDecoderLayer": lambda: (
        nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0),
        (_noise(5, 2, 8), _noise(4, 2, 8)),
    ),
    "Transformer": lambda: (
        nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True),
        dict(_causal()),
    ),
    "Embedding": lambda: (nn.Embedding(9, 6), IDS),
    "EmbeddingBag": lambda: (nn.EmbeddingBag(9, 6), IDS),
    "Embedding and head, tied": lambda: (Tied(), IDS),
}


def _sizes() -> dict[str, int]:
    return {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def _words() -> Tensor:
    return torch.randint(3, 50, (2, 7))


def _bert() -> tuple[nn.Module, Any]:
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(vocab_size=50, max_position_embeddings=12, **_sizes()))
    return model, {"input_ids": _words()}


def _distilbert() -> tuple[nn.Module, Any]:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    config = DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=2, hidden_dim=48)
    return DistilBertForMaskedLM(config), {"input_ids": _words()}


def _gpt2() -> tuple[nn.Module, Any]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=50, n_embd=32, n_layer=2, n_head=2, n_positions=20, bos_token_id=1, eos_token_id=2
    )
    return GPT2LMHeadModel(config), {"input_ids": _words(), "use_cache": False}


def _llama() -> tuple[nn.Module, Any]:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=50, num_key_value_heads=1, tie_word_embeddings=True, **_sizes())
    return LlamaForCausalLM(config), {"input_ids": _words(), "use_cache": False}


def _vit() -> tuple[nn.Module, Any]:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(image_size=16, patch_size=4, **_sizes())
    return ViTForImageClassification(config), {"pixel_values": _noise(2, 3, 16, 16)}


def _whisper() -> tuple[nn.Module, Any]:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    sizes = {"layers": 1, "attention_heads": 2, "ffn_dim": 48}
    small: dict[str, Any] = {f"{p}_{n}": v for p in ("encoder", "decoder") for n, v in sizes.items()}
    config = WhisperConfig(
        vocab_size=50, num_mel_bins=8, d_model=32, max_source_positions=10, max_target_positions=20,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, **small,
    )  # fmt: skip
    example = {"input_features": _noise(2, 8, 20), "decoder_input_ids": _words(), "use_cache": False}
    return WhisperForConditionalGeneration(config), example


HUB: dict[str, Case] = {
    "BERT": _bert,
    "DistilBERT": _distilbert,
    "GPT-2": _gpt2,
    "Llama": _llama,
    "ViT": _vit,
    "Whisper": _whisper,
}
