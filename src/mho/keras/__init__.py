"""Keras 3 layers on arrays, over the same descriptions, stages and chips as the torch layers."""

try:
    import keras as _keras  # noqa: F401
except ImportError as missing:
    raise ImportError(
        'mho.keras needs Keras 3 and one of its backends: pip install "mho[keras]" and tensorflow, jax or '
        "torch"
    ) from missing

from mho.keras.attention import AnalogMultiHeadAttention
from mho.keras.convert import convert, revert
from mho.keras.convolutions import (
    AnalogConv1D,
    AnalogConv1DTranspose,
    AnalogConv2D,
    AnalogConv2DTranspose,
    AnalogConv3D,
    AnalogConv3DTranspose,
    AnalogDepthwiseConv1D,
    AnalogDepthwiseConv2D,
    AnalogSeparableConv1D,
    AnalogSeparableConv2D,
)
from mho.keras.dense import AnalogDense, AnalogEinsumDense
from mho.keras.embedding import AnalogEmbedding
from mho.keras.layer import AnalogLayer
from mho.keras.lifecycle import (
    age,
    attach,
    calibrate,
    compensate,
    conductances,
    degrade,
    effective_weights,
    program,
    torch_model,
    torch_paths,
    train_on_chip,
)
from mho.keras.recurrent import (
    AnalogGRU,
    AnalogGRUCell,
    AnalogLSTM,
    AnalogLSTMCell,
    AnalogRNN,
    AnalogSimpleRNN,
    AnalogSimpleRNNCell,
)
from mho.keras.report import report

__all__ = [
    "AnalogConv1D",
    "AnalogConv1DTranspose",
    "AnalogConv2D",
    "AnalogConv2DTranspose",
    "AnalogConv3D",
    "AnalogConv3DTranspose",
    "AnalogDense",
    "AnalogDepthwiseConv1D",
    "AnalogDepthwiseConv2D",
    "AnalogEinsumDense",
    "AnalogEmbedding",
    "AnalogGRU",
    "AnalogGRUCell",
    "AnalogLSTM",
    "AnalogLSTMCell",
    "AnalogLayer",
    "AnalogMultiHeadAttention",
    "AnalogRNN",
    "AnalogSeparableConv1D",
    "AnalogSeparableConv2D",
    "AnalogSimpleRNN",
    "AnalogSimpleRNNCell",
    "age",
    "attach",
    "calibrate",
    "compensate",
    "conductances",
    "convert",
    "degrade",
    "effective_weights",
    "program",
    "report",
    "revert",
    "torch_model",
    "torch_paths",
    "train_on_chip",
]
