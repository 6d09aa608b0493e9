"""Arrays of cells, by themselves and inside of a patched layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import mho
from mho.chip import tile
from mho.compat.memtorch.bh.crossbar.scheme import Scheme
from mho.compat.memtorch.bh.memristor.Memristor import Memristor
from mho.compat.memtorch.bh.Quantize import quantize
from mho.compat.memtorch.bh.StochasticParameter import fresh_seed
from mho.compat.memtorch.hardware import described
from mho.compat.memtorch.map.Input import naive_scale
from mho.compat.memtorch.map.Parameter import naive_map
from mho.nn import crossbars as arrays_of

__all__ = ["Crossbar", "Scheme", "crossbars_of", "init_crossbar", "simulate_matmul"]

_PLAIN: dict[str, Any] = {
    "mapping_routine": naive_map, "transistor": True, "programming_routine": None,
    "programming_routine_params": None, "p_l": None, "scheme": Scheme.DoubleColumn, "tile_shape": None,
    "max_input_voltage": None, "scaling_routine": naive_scale, "scaling_routine_params": None,
    "source_resistance": None, "line_resistance": None, "ADC_resolution": None, "ADC_overflow_rate": 0.0,
    "quant_method": None,
}  # fmt: skip


class Crossbar:
    """The cells of one array: of one sign, where weights lie on pairs.

    Args:
        memristor_model: a class of ``bh.memristor``.
        memristor_model_params: its parameters.
        shape: of weights, ``[output, input, ...]``: rows are inputs, columns outputs.
        tile_shape: rows and columns of a tile; the matrix is whole here all the same.
        random_crossbar_init: begin anywhere between the bounds, instead of as a fresh cell.

    Attributes:
        rows, columns: of the matrix.

    >>> from mho.compat.memtorch.bh.memristor import VTEAM
    >>> cells = Crossbar(VTEAM, {"r_on": 100.0, "r_off": 1000.0}, (2, 3))
    >>> cells.write_conductance_matrix(torch.full((2, 3), 0.005))
    >>> simulate_matmul(torch.full((1, 3), 0.1), cells)
    tensor([[0.0015, 0.0015]])
    """

    Scheme = Scheme

    def __init__(
        self, memristor_model: type[Memristor], memristor_model_params: dict[str, Any],
        shape: Sequence[int], tile_shape: tuple[int, int] | None = None, *,
        random_crossbar_init: bool = False,
    ) -> None:  # fmt: skip
        columns, rows = int(shape[0]), int(torch.Size(shape[1:]).numel())
        given = {**_PLAIN, "scheme": Scheme.SingleColumn, "tile_shape": tile_shape}
        self._hold(_programmed(torch.zeros(columns, rows), memristor_model, memristor_model_params, given), 0)
        low, high = self._bounds()
        fresh = memristor_model(**memristor_model_params).g
        start = torch.full((rows, columns), min(max(fresh, low), high), dtype=torch.float64)
        if random_crossbar_init:
            start = low + (high - low) * torch.rand(rows, columns, dtype=torch.float64)
        self.conductance_matrix = start

    def _hold(self, array: Any, copy: int) -> None:
        self._array, self._copy = array, copy
        if self._cells().shape[1] != 1:
            raise ValueError(
                f"{array.path!r} has {self._cells().shape[1]} groups, each with a matrix of its own: read "
                "them with mho.conductances"
            )
        self.rows, self.columns = (int(n) for n in self._cells().shape[-2:])

    def _cells(self) -> Tensor:
        chip = self._array.require_chip("conductance_matrix")
        return tile.conductances(self._array.hardware, chip)

    def _bounds(self) -> tuple[float, float]:
        device = self._array.hardware.device
        return float(device.g_min), float(device.g_max)

    @property
    def conductance_matrix(self) -> Tensor:
        """Present conductances, siemens, ``[row, column]``: a copy; assign one to change the cells."""
        return self._cells()[self._copy, 0].clone()

    @conductance_matrix.setter
    def conductance_matrix(self, values: Tensor) -> None:
        chip = self._array.require_chip("conductance_matrix")
        if tuple(values.shape) != (self.rows, self.columns):
            raise ValueError(
                f"conductance_matrix has shape {tuple(values.shape)}: give [{self.rows}, {self.columns}]"
            )
        cells = chip.g.clone()
        cells[self._copy, 0] = values.to(cells)
        self._array.set_chip(chip._replace(g=cells))

    @property
    def max_abs_conductance(self) -> Tensor:
        """The largest conductance, siemens."""
        return self.conductance_matrix.max()

    def write_conductance_matrix(self, conductance_matrix: Tensor, transistor: bool = True) -> None:
        """Set the cells; what lies beyond their bounds is clipped.

        Args:
            conductance_matrix: siemens, in the shape of weights, ``[output, input, ...]``.
            transistor: True; pulses are a ``programming_routine`` of ``patch_model``.
        """
        if not transistor:
            raise ValueError(
                "transistor = False: give patch_model a programming_routine; pulses need a layer"
            )
        self.conductance_matrix = (
            conductance_matrix.reshape(self.columns, self.rows).t().clamp(*self._bounds())
        )


def crossbars_of(layer: nn.Module) -> list[Crossbar]:
    """The arrays of a patched layer: of each matrix, those of its cells of each sign."""
    found = []
    for array in arrays_of(layer).values():
        copies: int = array.require_chip("crossbars").g.shape[0]
        for copy in range(copies):
            one = object.__new__(Crossbar)
            one._hold(array, copy)
            found.append(one)
    return found


def _programmed(
    weights: Tensor, model: type[Memristor], parameters: dict[str, Any], given: dict[str, Any]
) -> Any:
    """The array of a matrix ``[output, input]``."""
    hardware, _ = described(model, parameters, **given)
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data.copy_(weights)
    analog = mho.convert(layer, hardware).eval()
    mho.program(analog, fresh_seed())
    return next(iter(arrays_of(analog).values()))


def init_crossbar(
    weights: Tensor, memristor_model: type[Memristor], memristor_model_params: dict[str, Any],
    transistor: bool = True, mapping_routine: Any = naive_map, programming_routine: Any = None,
    programming_routine_params: dict[str, Any] | None = None, p_l: float | None = None,
    scheme: Scheme = Scheme.DoubleColumn, tile_shape: tuple[int, int] | None = (128, 128),
) -> tuple[list[Crossbar], Callable[..., Tensor]]:  # fmt: skip
    """A pair of programmed arrays, and the function that subtracts what they give.

    Args:
        weights: ``[output, input, ...]``; those of a convolution lie on one pair.
        memristor_model, memristor_model_params, transistor, mapping_routine, programming_routine,
        programming_routine_params, p_l, tile_shape: as of ``patch_model``.
        scheme: ``Scheme.DoubleColumn``.

    Returns:
        The two arrays, and ``out(crossbars, operation)``: ``operation`` of the first less that of the second.

    >>> from mho.compat.memtorch.bh.memristor import VTEAM
    >>> pair, out = init_crossbar(torch.tensor([[1.0, -0.5]]), VTEAM, {"r_on": 100.0, "r_off": 1000.0})
    >>> x = torch.tensor([[0.1, 0.1]])
    >>> round(out(pair, lambda crossbar: simulate_matmul(x, crossbar)).item(), 8)  # 9 mS of a full weight
    0.00045
    """
    if scheme is not Scheme.DoubleColumn:
        raise ValueError(
            f"scheme = {scheme!r}: the offset of a single column depends on the inputs, which init_crossbar "
            "does not see; use patch_model, which subtracts it"
        )
    given = {
        **_PLAIN, "transistor": transistor, "mapping_routine": mapping_routine, "p_l": p_l,
        "programming_routine": programming_routine, "tile_shape": tile_shape,
        "programming_routine_params": programming_routine_params,
    }  # fmt: skip
    array = _programmed(
        weights.detach().reshape(weights.shape[0], -1), memristor_model, memristor_model_params, given
    )
    return crossbars_of(array.owner), _difference


def _difference(
    crossbars: Sequence[Crossbar],
    operation: Callable[..., Tensor],
    idx: tuple[int, int] = (0, 1),
    **names: Any,
) -> Tensor:
    """``operation`` of the positive array less that of the negative one."""
    return operation(crossbars[idx[0]], **names) - operation(crossbars[idx[1]], **names)


def simulate_matmul(
    input: Tensor, crossbar: Crossbar, nl: bool = True, *, ADC_resolution: int | None = None,
    ADC_overflow_rate: float = 0.0, quant_method: str | None = None, max_input_voltage: float | None = None,
) -> Tensor:  # fmt: skip
    """Column currents of an array, amperes, ``[vector, column]``.

    Args:
        input: volts, ``[vector, row]``.
        crossbar: the cells.
        nl: True: currents are conductance times voltage.
        ADC_resolution, ADC_overflow_rate, quant_method: an ADC, ``bh.Quantize.quantize`` of the currents.
        max_input_voltage: None.

    Raises:
        ValueError: ``nl=False``: cells are simulated inside of a patched layer; or a ``max_input_voltage``.
    """
    if not nl:
        raise ValueError(
            "nl = False: cells are simulated in a patched network, by apply_nonidealities with "
            "NonIdeality.NonLinear and simulate=True"
        )
    if max_input_voltage is not None:
        raise ValueError(
            f"max_input_voltage = {max_input_voltage!r}: scale the inputs with map.Input.naive_scale; in "
            "MemTorch it bounds the current of a column by that of a single cell"
        )
    currents = input @ crossbar.conductance_matrix.to(input)
    if ADC_resolution is None:
        return currents
    return quantize(currents, ADC_resolution, ADC_overflow_rate, quant_method)
