"""Keras 3 layers on arrays, over the same descriptions, stages and chips as the torch layers."""

try:
    import keras as _keras  # noqa: F401
except ImportError as missing:
    raise ImportError(
        'mho.keras needs Keras 3 and one of its backends: pip install "mho[keras]" and tensorflow, jax or torch'
    ) from missing

from mho.keras.dense import AnalogDense, AnalogEinsumDense
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
    train_on_chip,
)
