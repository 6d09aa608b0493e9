"""What one product needs: the tensors of a read, named once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

Limit = float | Tensor | None


class Lines(NamedTuple):
    """Noise of cells behind wires: what the currents of their own bit lines take from their voltage.

    Of the cells of one sum of currents, ``copies`` lie on bit lines of their own, and ``groups`` of rows are
    told apart. With the currents i and inputs in units of full scale, the variance has

    - ``sum over copies sum_g i_g (q_g + sum_(h >= g) i_h factor_gh)`` more than the squares of inputs give;
    - ``sum over copies (-sum_g i_g s_g + |sum_g i_g r_g|)`` more of shot noise than their magnitudes give,
      where s is the sum of ``shot`` over the rows with the signs of their inputs, and r that over rows
      without an input.

    Pseudo-channels are ``[group * copy * channel]``. What is None is not there.

    Attributes:
        currents: matrix of the currents, in the layout of ``Read.kernel``.
        cross: matrix of what inputs and currents have in common, for q.
        factor: ``[group, group, copy, ...]``, each to broadcast over a partial.
        shot: matrix of what the currents take from shot noise.
        whole: its sums over all rows, ``[group, copy, ...]``, each to broadcast over a partial.
        bias_currents, bias_cross, bias_shot: what bias rows add, in the layout of ``Read.bias``.
    """

    currents: Tensor
    cross: Tensor | None = None
    factor: Tensor | None = None
    shot: Tensor | None = None
    whole: Tensor | None = None
    bias_currents: Tensor | None = None
    bias_cross: Tensor | None = None
    bias_shot: Tensor | None = None


class ReadSteps(NamedTuple):
    """The three factors of a read whose limits are single numbers (see :func:`mho.chip.product.prepare`).

    Attributes:
        into: DAC steps per input.
        middle: ADC steps per unit of ``Read.kernel``.
        scale: output per ADC step.
    """

    into: Tensor
    middle: Tensor
    scale: Tensor


class Read(NamedTuple):
    """What one product needs, packed once per state of a chip.

    Attributes:
        kernel: the matrix, in the layout's own order.
        variance: variance of one read of it, same layout; None without noise of the conductances.
        unit: cell currents per unit of ``kernel``, ``[1]`` or ``[group * column]``; None for one.
        out: output per normalised weight, ``[1]`` or ``[group * column]``; None for one.
        shift: added to the output, ``[group * column]``; None for nothing.
        ones: kernel of a column of ones, for the digital offset; None without one.
        inputs: which input goes to each place of each tile; None if they lie in order.
        steps: the factors of a read whose limits are single numbers, made once; None where they are not.
        levels: what each converter of a ``converters.Circuit`` needs, packed, ``[group, tile, channel,
            column, k]``; None if all are without mismatch.
        readers: numbers of the converters that read ``[1, look-up, channel, column]``, where each vector
            has a tile of its own; None if they read in order.
        constant: currents that flow whatever the inputs are, in cell currents, to broadcast over what the
            product gives; None for none.
        bias: what the bias rows of each tile add up to, in units of ``kernel`` per unit of input,
            ``[group, tile, channel, column]``, or ``[group * column]`` where tiles are not kept apart;
            None without bias rows.
        bias_variance: its variance in one read.
        shot: variance of shot noise per unit of input, for inputs in units of full scale, in the layout of
            ``kernel``; None without it.
        bias_shot: what the bias rows add to it, in the layout of ``bias``.
        thermal: variance of thermal noise, for inputs in units of full scale, to broadcast over what the
            product gives, or ``[group * column]`` where tiles are not kept apart; None without it.
        lines: what the currents of bit lines that share one with noisy cells take from their variance, where
            wires have resistance; None without.
    """

    kernel: Tensor
    variance: Tensor | None = None
    unit: Tensor | None = None
    out: Tensor | None = None
    shift: Tensor | None = None
    ones: Tensor | None = None
    inputs: Tensor | None = None
    steps: ReadSteps | None = None
    levels: Tensor | None = None
    constant: Tensor | None = None
    readers: Tensor | None = None
    bias: Tensor | None = None
    bias_variance: Tensor | None = None
    shot: Tensor | None = None
    bias_shot: Tensor | None = None
    thermal: Tensor | None = None
    lines: Lines | None = None

    def changed(self, **parts: Any) -> Read:
        """The same but for some parts, as ``_replace``, which torch < 2.6 cannot compile."""
        own: dict[str, Any] = dict(zip(Read._fields, self, strict=True))
        return Read(**{**own, **parts})

    def entries(self) -> dict[str, Tensor]:
        """All tensors of the read by name, those of ``lines`` and ``steps`` too (``lines_currents``)."""
        found: dict[str, Tensor] = {}
        for name, value in zip(Read._fields, self, strict=True):
            if isinstance(value, Tensor):
                found[name] = value
            elif value is not None:
                found.update({f"{name}_{k}": v for k, v in value._asdict().items() if v is not None})
        return found


_PARTS: dict[str, Any] = {"lines": Lines, "steps": ReadSteps}  # what a read holds beside single tensors
_MADE_FOR_ONE_READ = ("unit", "shift", "inputs", "readers")
PACKED = tuple(
    entry
    for name in Read._fields
    if name not in _MADE_FOR_ONE_READ
    for entry in ([f"{name}_{part}" for part in _PARTS[name]._fields] if name in _PARTS else [name])
)
"""Names of all tensors that packing a chip can give, as :meth:`Read.entries` has them."""


def from_entries(entries: Mapping[str, Tensor | None]) -> Read:
    """The read of these tensors, the inverse of :meth:`Read.entries`; None stands for what is not there."""
    whole: dict[str, Any] = {name: value for name, value in entries.items() if name in Read._fields}
    for name, kind in _PARTS.items():
        parts = [entries.get(f"{name}_{part}") for part in kind._fields]
        whole[name] = None if parts[0] is None else kind(*parts)
    return Read(**whole)


class Channels(NamedTuple):
    """How channels become one number after conversion, as plain numbers (see ``mapping.Readout``)."""

    digital: tuple[float, ...] = (1.0,)
    offset: float = 0.0
    unit_column: bool = False
