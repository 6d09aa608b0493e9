"""The read plan: everything that does not change between two reads of a chip, made once.

A plan belongs to the very tensors that it was made from. Before each read it looks whether the array still
holds them, unchanged: a chip that was loaded, moved, given by ``functional_call`` or edited in place is read
without it, and the next plan is made from that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mho.chip.layout import Layout
from mho.chip.product import prepared, tiled, whole
from mho.chip.reads import Limit, Read
from mho.chip.state import is_tiled
from mho.chip.tap import Tap
from mho.chip.tile import channels_of, law_of
from mho.chip.weight_changes import STEPS, sight
from mho.hardware import Hardware

Held = Mapping[str, Tensor | None]
Product = Callable[[Tensor, Tensor | None, Tap | None], Tensor]


def _changes(tensor: Tensor | None) -> int:
    """How often a tensor was changed in place, as far as torch counts it; -1 where it does not."""
    return -1 if tensor is None or tensor.is_inference() else tensor._version


class ReadPlan:
    """How one chip is read, without gradients, in evaluation.

    Args:
        hardware: the description of the array.
        layout: how its matrix lies in tiles.
        read: what is packed of the chip.
        limits: full scales of DAC and ADC.
        entries: the tensors that the array holds, by name.
        weights: the Parameters that its layer holds, by name, whose changes torch counts.
        gives: dtype of the outputs; None for that of the inputs.
    """

    def __init__(
        self,
        hardware: Hardware,
        layout: Layout,
        read: Read,
        limits: tuple[Limit, Limit],
        entries: Mapping[str, Tensor | None],
        weights: Mapping[str, Tensor],
        gives: torch.dtype | None = None,
    ) -> None:
        self.hardware, self.layout, self.dtype, self.gives = hardware, layout, read.kernel.dtype, gives
        self._entries = tuple((name, value, _changes(value)) for name, value in entries.items())
        self._weights = tuple((name, weight, sight(weight)) for name, weight in weights.items())
        self._read, self._tiled, self._portioned = read, is_tiled(hardware), layout.portioned
        self._product = _product(hardware, layout, read, limits)

    def holds(
        self, hardware: Hardware, layout: Layout, buffers: Held, parameters: Held, weights: Held
    ) -> bool:
        """Whether an array is still the one that this plan was made for.

        Args:
            hardware, layout: of the array.
            buffers, parameters: the tensors that it holds, by name.
            weights: the Parameters of its layer, by name.
        """
        if hardware is not self.hardware or layout is not self.layout:
            return False
        for name, tensor, version in self._entries:
            held = buffers[name] if name in buffers else parameters.get(name)
            if held is not tensor or (version >= 0 and tensor._version != version):  # type: ignore[union-attr]
                return False
        for name, weight, seen in self._weights:
            # what `sight` says of a Parameter, without a call for each read
            place = (id(weight), weight._version, STEPS.get(id(weight)), weight.data_ptr())
            if weights.get(name) is not weight or place != seen:
                return False
        return True

    def __call__(self, x: Tensor, bias: Tensor | None, tap: Tap | None = None) -> Tensor:
        """The outputs for the inputs ``x``, in the dtype of ``x``.

        Args:
            x: inputs, as the layout takes them.
            bias: digital bias ``[group * column]``, or None.
            tap: who listens.
        """
        if self.gives is not None:
            return self._all(x, bias, tap).to(self.gives)
        if bias is not None and bias.dtype != self.dtype:
            bias = bias.to(self.dtype)
        if x.dtype == self.dtype:
            return self._all(x, bias, tap)
        return self._all(x.to(self.dtype), bias, tap).to(x.dtype)

    def _all(self, x: Tensor, bias: Tensor | None, tap: Tap | None) -> Tensor:
        """All vectors, in portions where that is faster."""
        vectors = self.layout.portion(self._read, x, self._tiled) if self._portioned else None
        if vectors is None:
            return self._product(x, bias, tap)
        return torch.cat([self._product(part, bias, tap) for part in x.split(vectors)])

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """A copy of an array makes a plan of its own."""
        return _none, ()


def _none() -> None:
    return None


def _product(hardware: Hardware, layout: Layout, read: Read, limits: tuple[Limit, Limit]) -> Product:
    """The product by a chip, of inputs and a digital bias."""
    dac = None if hardware.dac is None else hardware.dac.ready()
    adc = None if hardware.adc is None else hardware.adc.ready()
    if layout.one_hot:  # rows are on or off, whatever the DAC
        dac = None
    if not is_tiled(hardware):
        return lambda x, bias, tap: whole(read, layout, x, bias, dac, limits[0])
    channels, law, steps = channels_of(hardware), law_of(hardware), read.steps
    if steps is not None and dac is not None and adc is not None:
        into, out, rest = dac, adc, read.changed(out=None)
        return lambda x, bias, tap: prepared(rest, steps, layout, x, bias, channels, into, out, True, tap)
    return lambda x, bias, tap: tiled(read, layout, x, bias, channels, dac, adc, *limits, law, True, tap)
