"""What happens around the product of one array: modifiers, converters, dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mho.chip import tile
from mho.chip.reads import Limit, Read
from mho.converters import DAC, ColumnConverter
from mho.errors import NotCalibratedError
from mho.nn.crossbar.plain import is_cast, without_autocast
from mho.nn.crossbar.staleness import Watched


class Multiplying(Watched):
    """An array that multiplies by a matrix that it is given.

    Attributes:
        modifiers: what training does to the weights, in order (see ``mho.training``).
    """

    def product(self, read: Read, x: Tensor) -> Tensor:
        """The product of a matrix that :meth:`read` gave: one forward may use it for several inputs."""
        vectors = self.layout.portion(read, x, tile.is_tiled(self.hardware))
        if vectors is None:
            return self._product(read, x)
        parts = [self._product(read, part) for part in x.split(vectors)]
        with without_autocast(x):
            return torch.cat(parts)

    def digital_forward(self, x: Tensor, read: Read | None = None) -> Tensor:
        """What the digital layer gives for the inputs ``x``, with the bias; arguments as :meth:`forward`."""
        kernel = self.layout.whole_kernel(self.layout.matrix(self.weight))
        return self.layout.whole_product(x, kernel, self.bias)

    def _product(self, read: Read, x: Tensor) -> Tensor:
        if self.training:
            for modifier in self.modifiers:
                x = modifier.modify_input(x, self)
        digital = self.training and not self.on_chip and not tile.is_tiled(self.hardware)
        limits = self.limits()
        alike = x.dtype == read.kernel.dtype or is_cast(x)
        if digital and limits[0] is None and alike:
            y = tile.matvec(self.hardware, read, self.layout, x, self.digital_bias, limits)
            return self._noisy(y, x)
        dtype = read.kernel.dtype
        bias = self.digital_bias
        bias = None if bias is None else bias.to(dtype)

        def multiply(limits: tuple[Limit, Limit]) -> Tensor:
            return tile.matvec(self.hardware, read, self.layout, x.to(dtype), bias, limits, self._tap)

        with without_autocast(x):
            y = self._converted(multiply, limits)
        return self._noisy(y.to(x.dtype), x)

    def _observe(self, read: Read, x: Tensor, observer: Any) -> Tensor:
        """The product without converters, for an observer that records what they would see."""
        read = tile.at_full_scale(self.hardware, read, self.layout)
        dtype = read.kernel.dtype
        v = self.layout.arrange(x.to(dtype), self.tile_index)
        observer.add_inputs(self.layout, v)
        if tile.is_tiled(self.hardware):
            limit = self.input_limit() if observer.streamed else None
            observer.add_currents(self.hardware, self.layout, read, v, limit)
        bias = self.digital_bias
        bias = None if bias is None else bias.to(dtype)
        return tile.matvec(self.hardware, read, self.layout, x.to(dtype), bias, (None, None)).to(x.dtype)

    def limits(self) -> tuple[Limit, Limit]:
        """Full scales of DAC and ADC; None leaves a converter out."""
        return self.input_limit(), self._limit(self.hardware.adc, self.output_range, "output_range")

    def input_limit(self) -> Limit:
        """Full scale of the DAC; None leaves it out, or lets it measure its own."""
        return self._limit(self.hardware.dac, self.input_range, "input_range")

    def _converted(
        self, multiply: Callable[[tuple[Limit, Limit]], Tensor], limits: tuple[Limit, Limit]
    ) -> Tensor:
        """The product; while a recipe holds the converters back, blended with the one without them."""
        y = multiply(limits)
        if self.training and not self.on_chip:
            for modifier in self.modifiers:
                share = modifier.conversion(self)
                if share is not None:
                    y = torch.lerp(multiply((None, None)), y, share.to(y.dtype))
        return y

    def _noisy(self, y: Tensor, x: Tensor) -> Tensor:
        if self.training:
            for modifier in self.modifiers:
                y = modifier.modify_output(y, x, self)
        return y

    def count_step(self) -> None:
        """Count one training forward, for the ramps of the modifiers."""
        if self.training and self.training_step is not None:
            self.training_step.add_(1)

    def _limit(self, converter: DAC | ColumnConverter | None, stored: Tensor | None, name: str) -> Limit:
        if converter is None:
            return None
        given = converter.range.given()
        if isinstance(given, tuple):  # [channel, tile, column]
            return torch.tensor(given, device=self.weight.device).view(-1, 1, 1)
        limit = stored if given is None else given
        if limit is not None or self.training or converter.ideal:
            return limit
        if converter.range.shape(1, 1) is not None:
            raise NotCalibratedError(
                f"{name} of {self.path or 'this layer'!r} was left to calibration and none was made: call "
                "mho.calibrate(model, loader), or give the converter a Fixed, Learned or Dynamic range"
            )
        return None
