"""Whether Keras only asks for shapes."""

from __future__ import annotations

from keras.src.backend.common.symbolic_scope import in_symbolic_scope


def is_symbolic() -> bool:
    """Whether a call has shapes and no numbers: nothing is evaluated then, and nothing need be said."""
    return bool(in_symbolic_scope())
