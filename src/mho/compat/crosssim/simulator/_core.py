"""A matrix on an array under CrossSim's name: ``AnalogCore``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mho.chip import tile
from mho.compat.crosssim._cores import Core, cores
from mho.compat.crosssim.simulator.parameters import CrossSimParameters
from mho.nn.crossbar import plain
from mho.training.on_chip import Backward

Array = np.ndarray[Any, Any]


class AnalogCore:
    """A matrix on arrays: ``core @ x``, ``x @ core``, slices, transposes, real or complex.

    Numpy arrays and tensors go in and come out. A slice or a transpose shares its cells with the core: what
    it leaves out is not driven and not read. ``core[rows, columns] = values`` programs again.

    ``x @ core`` and products of transposes drive the columns of the same cells. Where nothing but
    converters acts on them, these are the converters of the parameters; cells with errors, or behind wires,
    are read with converters at the largest value of each vector (``mho.training.on_chip.Backward``).

    Args:
        matrix: ``[m, n]``; a complex one lies on two arrays.
        params: the parameters; the core keeps a copy. ``core.complex_matrix`` need not be set. A list
            with one for each array is taken where all are equal.

    Attributes:
        shape: of this view.
        dtype: numpy's.

    >>> import numpy as np
    >>> from mho.compat.crosssim.simulator import AnalogCore, CrossSimParameters
    >>> core = AnalogCore(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), CrossSimParameters())
    >>> [round(float(y), 5) for y in core @ np.array([1.0, 1.0])], core.T.shape, core[:2, 1].shape
    ([3.0, 7.0, 11.0], (2, 3), (2, 1))
    """

    __array_priority__ = 1000.0  # numpy leaves x @ core to the core
    __array_ufunc__ = None
    ndim = 2

    def __init__(self, matrix: Any, params: CrossSimParameters | list[CrossSimParameters]) -> None:
        held = np.asarray(matrix.detach().cpu() if isinstance(matrix, Tensor) else matrix)
        if held.ndim != 2 or 0 in held.shape:
            raise ValueError(f"matrix has shape {held.shape}: give [m, n] with a row and a column at least")
        self._cells = _Cells(held, _one(params))
        self._rows, self._columns = (np.arange(size) for size in held.shape)
        self._turned = False

    def _view(self, rows: Array, columns: Array, turned: bool) -> AnalogCore:
        view = object.__new__(AnalogCore)
        view._cells, view._rows, view._columns, view._turned = self._cells, rows, columns, turned
        return view

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of this view."""
        size = len(self._rows), len(self._columns)
        return size[::-1] if self._turned else size

    @property
    def dtype(self) -> Any:
        """Numpy's type of the matrix."""
        return self._cells.dtype

    @property
    def params(self) -> CrossSimParameters:
        """A copy of the parameters."""
        return self._cells.params.copy()

    @property
    def cores(self) -> list[list[Core]]:
        """The arrays of the whole matrix, by parts of its rows and of its columns; of a real one.

        Those of a complex matrix are in ``mho.conductances`` of its two layers.
        """
        if len(self._cells.layers) > 1:
            raise ValueError(
                "cores: a complex matrix lies on two arrays; make a core of A.real and one of A.imag"
            )
        layer = self._cells.layers[0]
        layer.get_matrix()  # takes in what was written
        return cores(layer.array(), self._cells.params.core.style)

    @property
    def Ncores(self) -> int:
        """How many arrays hold the matrix, or a part of a complex one."""
        layout = self._cells.layers[0].array().layout
        return len(layout.rows) * len(layout.columns)

    @property
    def T(self) -> AnalogCore:
        """The transpose, on the same cells."""
        return self._view(self._rows, self._columns, not self._turned)

    def transpose(self) -> AnalogCore:
        """The transpose, on the same cells."""
        return self.T

    def __getitem__(self, key: Any) -> AnalogCore:
        rows, columns = self._picked(key)
        return self._view(rows, columns, self._turned)

    def __setitem__(self, key: Any, values: Any) -> None:
        rows, columns = self._picked(key)
        whole, given = self._cells.ideal(), np.asarray(values)
        size = (len(columns), len(rows)) if self._turned else (len(rows), len(columns))
        if given.ndim == 1 and size[1] == 1:
            given = given.reshape(-1, 1)
        given = np.broadcast_to(given, size)
        whole[np.ix_(rows, columns)] = given.T if self._turned else given
        self._cells.write(whole)

    def _picked(self, key: Any) -> tuple[Array, Array]:
        """Rows and columns of the whole matrix that a key of this view names."""
        pair = key if isinstance(key, tuple) else (key, slice(None))
        if len(pair) != 2:
            raise IndexError(f"{key!r}: give rows, or rows and columns")
        first, second = pair[::-1] if self._turned else pair
        return np.atleast_1d(self._rows[first]), np.atleast_1d(self._columns[second])

    # --- products ---------------------------------------------------------------------------------

    def __matmul__(self, x: Any) -> Any:
        return self.matmul(x)

    def __rmatmul__(self, x: Any) -> Any:
        given = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
        found = self.T._times(given.T).T
        return _as(found, x)

    def matmul(self, x: Any) -> Any:
        """``self @ x`` for ``x[n]`` or vectors as columns ``x[n, vectors]``."""
        given = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
        return _as(self._times(given), x)

    def matvec(self, x: Any) -> Any:
        """``self @ x`` for one vector."""
        return self.matmul(x)

    def matmat(self, x: Any) -> Any:
        """``self @ x`` for vectors as columns."""
        return self.matmul(x)

    def vecmat(self, x: Any) -> Any:
        """``x @ self`` for one vector."""
        return self.__rmatmul__(x)

    def rmatmat(self, x: Any) -> Any:
        """``x @ self`` for vectors as rows."""
        return self.__rmatmul__(x)

    def _times(self, x: Array) -> Array:
        if x.ndim not in (1, 2) or x.shape[0] != self.shape[1]:
            raise ValueError(
                f"x has shape {x.shape}: a core of shape {self.shape} multiplies [{self.shape[1]}, ...]"
            )
        driven, read = (self._rows, self._columns) if self._turned else (self._columns, self._rows)
        lines = self._cells.shape[0 if self._turned else 1]
        whole = np.zeros((lines, *x.shape[1:]), x.dtype)
        whole[driven] = x
        found: Array = self._cells.product(whole.reshape(lines, -1), self._turned)[read]
        return found[:, 0] if x.ndim == 1 else found

    # --- the matrix -------------------------------------------------------------------------------

    def get_matrix(self) -> Array:
        """What the cells of this view hold: without converters and read noise."""
        held: Array = self._cells.held()[np.ix_(self._rows, self._columns)]
        return held.T if self._turned else held

    def set_matrix(self, matrix: Any) -> None:
        """Program other values into the cells of this view."""
        self[:, :] = matrix


def _one(params: Any) -> CrossSimParameters:
    """The parameters that all arrays share."""
    given = params if isinstance(params, (list, tuple)) else [params]
    for one in given:
        if not isinstance(one, CrossSimParameters):
            raise TypeError(f"params is a {type(one).__name__}: give CrossSimParameters")
    if not given or any(other != given[0] for other in given):
        raise ValueError(
            f"params is a list of {len(given)}: all arrays of a core have the same parameters; give equal "
            "ones, or make one core for each part of the matrix"
        )
    first: CrossSimParameters = given[0]
    return first


class _Cells:
    """The layers that hold a matrix: one, or two of a complex matrix."""

    def __init__(self, matrix: Array, params: CrossSimParameters) -> None:
        from mho.compat.crosssim.simulator.algorithms.dnn.torch.linear import AnalogLinear

        self.make, self.shape = AnalogLinear, matrix.shape
        self.params = params.copy()
        for name in ("complex_matrix", "complex_input"):
            setattr(self.params.core, name, False)
        self.dtype = np.result_type(matrix, np.float32)
        self.kind = torch.float32 if self.dtype in (np.float32, np.complex64) else torch.float64
        self.layers = [self._layer(part) for part in self._parts(matrix)]

    def _parts(self, values: Array) -> list[Array]:
        return [values.real, values.imag] if np.issubdtype(self.dtype, np.complexfloating) else [values]

    def _layer(self, part: Array) -> Any:
        """A layer that holds a matrix ``[m, n]``."""
        layer: Any = self.make(self.params, part.shape[1], part.shape[0], bias=False, dtype=self.kind)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(part)))
        return layer.eval()

    def ideal(self) -> Array:
        """The matrix that was asked for."""
        return self._joined([layer.weight.detach().numpy().copy() for layer in self.layers])

    def held(self) -> Array:
        """The matrix that the cells hold."""
        return self._joined([layer.get_matrix().detach().numpy() for layer in self.layers])

    def _joined(self, parts: list[Array]) -> Array:
        return parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]

    def write(self, matrix: Array) -> None:
        """Program another matrix."""
        for layer, part in zip(self.layers, self._parts(matrix), strict=True):
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(part)))

    def product(self, x: Array, turned: bool) -> Array:
        """The matrix, or its transpose, times vectors as columns; complex by parts."""
        read = self._across if turned else self._along
        total: Any = 0.0
        for factor, layer in zip((1, 1j), self.layers, strict=False):
            for unit, part in zip((1, 1j), [x.real, x.imag] if np.iscomplexobj(x) else [x], strict=False):
                vectors = torch.from_numpy(np.ascontiguousarray(part.T)).to(self.kind)
                with torch.no_grad():
                    total = total + factor * unit * read(layer, vectors).numpy().T
        return np.asarray(total)

    def _along(self, layer: Any, vectors: Tensor) -> Tensor:
        found: Tensor = layer(vectors)
        return found

    def _across(self, layer: Any, vectors: Tensor) -> Tensor:
        """Columns driven, rows read."""
        hardware = layer.hardware
        if not hardware.device.noisy and not hardware.array.loaded:
            turned = self._layer(layer.weight.detach().numpy().T)
            exact = torch.equal(layer.get_matrix(), turned.get_matrix().t())
            if exact:  # no programming error either
                return self._along(turned, vectors)
        layer.get_matrix()  # takes in what was edited
        array = layer.array()
        with plain():
            chip = array.require_chip("vecmat")
            held = tile.effective_weight(array.hardware, chip, array.layout).to(vectors.dtype)
            return Backward().read(array, chip, held, vectors.unsqueeze(1)).squeeze(1)


def _as(found: Array, like: Any) -> Any:
    """A product in the kind of what was multiplied."""
    return torch.from_numpy(np.ascontiguousarray(found)) if isinstance(like, Tensor) else found
