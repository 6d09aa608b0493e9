"""What all analog layers share: torch's Parameters, and one crossbar or several that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from mho.config import unknown_key
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.crossbar.description import PACKED_BUFFERS, SAVED, STAMP
from mho.nn.loading import carry_over


class _OfTheCrossbar:
    """What a layer with one crossbar shows of it; it is changed there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: AnalogLayer | None, owner: type) -> Any:
        return self if layer is None else getattr(layer.array(), self.name)

    def __set__(self, layer: AnalogLayer, value: object) -> None:
        raise AttributeError(
            f"{self.name} belongs to the arrays of {type(layer).__name__}: change it there, "
            f"layer.{'crossbar' if layer.is_single else 'array(name)'}.{self.name} = ..."
        )


class AnalogLayer(nn.Module):
    """Mixin of the analog layers; comes before the torch layer in the bases.

    The Parameters stay where torch has them, under torch's names. A layer of one matrix holds its array as
    ``crossbar``, a layer of several as ``arrays``, a ``ModuleDict``. What belongs to an array can be read on
    a layer of one matrix (``layer.chip``, ``layer.input_range``, ...), and is changed on the array.

    Attributes:
        crossbar: the array of a layer of one matrix.
        arrays: the arrays by name; the chip's random streams are named by it.
    """

    ARRAY_ATTRIBUTES = ("_described", "_path")

    crossbar: Crossbar
    arrays: nn.ModuleDict
    weight: Any  # the torch layer's own
    bias: Any
    _described: Hardware
    _path: str
    present_bias: Any  # shown of the crossbar, as all of _SHOWN
    effective_bias: Any
    effective_weight: Any

    def make_arrays(self) -> dict[str, Crossbar]:
        """The arrays of this layer, by name, without hardware yet; ``"crossbar"`` for a single one."""
        raise NotImplementedError(
            f"{type(self).__name__} puts no Parameter on an array: write make_arrays, such as "
            'return {"crossbar": mho.nn.Crossbar(self, "weight", "bias")}'
        )

    def setup(
        self, hardware: Hardware, bias_rows: int = 0, each: Mapping[str, Hardware] | None = None
    ) -> None:
        """Give a layer that has its Parameters its arrays, not programmed yet.

        Args:
            hardware: the description of the arrays.
            bias_rows: rows of each array that hold its bias; 0 for digital biases.
            each: the description of single arrays of several, by name, instead.
        """
        made, each = self.make_arrays(), {} if each is None else each
        for name in each:
            if name not in made:
                raise ValueError(unknown_key(name, list(made), f"{type(self).__name__}.arrays"))
        for name, array in made.items():
            array.setup(each.get(name, hardware), bias_rows)
            array.train(self.training)
        self._described = hardware
        if list(made) == ["crossbar"]:
            self.crossbar = made["crossbar"]
        else:
            self.arrays = nn.ModuleDict(made)
        self.path = ""

    @property
    def is_single(self) -> bool:
        """Whether the layer has one matrix, on ``crossbar``."""
        return "crossbar" in self._modules

    @property
    def hardware(self) -> Hardware:
        """The description that all arrays share; where they differ, the one that the layer was given."""
        own = {array.hardware for array in self.each()}
        return own.pop() if len(own) == 1 else self._described

    @hardware.setter
    def hardware(self, value: object) -> None:
        raise AttributeError(
            f"hardware describes the arrays of {type(self).__name__}, which are made: convert the model "
            "with another description, or let effects befall it with mho.degrade"
        )

    @property
    def bias_rows(self) -> int:
        """Rows of each array that hold its bias; 0 for digital biases."""
        return max((array.bias_rows for array in self.each()), default=0)

    @bias_rows.setter
    def bias_rows(self, value: object) -> None:
        raise AttributeError(
            f"bias_rows are rows of the arrays of {type(self).__name__}, which are made: convert the model "
            "with another number"
        )

    @property
    def path(self) -> str:
        """The layer's path in its model, for messages and random streams."""
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        self._path = path
        for name, array in self._named():
            within = "" if name == "crossbar" else name  # a single array has the path of its layer
            array.path = ".".join(part for part in (path, within) if part)

    def array(self, name: str = "crossbar") -> Crossbar:
        """The array of that name, as this layer's: a replica or a copy of it reads its own Parameters."""
        held = self._modules
        if name == "crossbar" and name in held:
            found: Any = held[name]
        else:
            found = self._of_several(name)
        if found._owner is not self:
            found.__dict__["_owner"] = self
        return found  # type: ignore[no-any-return]

    def _of_several(self, name: str) -> Any:
        if self.is_single or name not in self.arrays:
            names = ["crossbar"] if self.is_single else list(self.arrays)
            raise AttributeError(
                f"{type(self).__name__} has the arrays {', '.join(names)}, and no {name!r}: take one with "
                "layer.array(name)"
            )
        return self.arrays[name]

    def each(self) -> list[Crossbar]:
        """The arrays."""
        return [array for _, array in self._named()]

    def _named(self) -> list[tuple[str, Crossbar]]:
        """The arrays by the path that they have within the layer."""
        if self.is_single:
            return [("crossbar", self.crossbar)]
        return [(f"arrays.{name}", array) for name, array in self.arrays.items()]  # type: ignore[misc]

    def array_state(self) -> set[str]:
        """Names of what the arrays add to the torch layer."""
        return {"crossbar" if self.is_single else "arrays"}

    def digital_forward(self, *args: Any, **names: Any) -> Any:
        """What the digital layer gives, with the Parameters as they are."""
        base: Any = next(kind for kind in type(self).__mro__ if not issubclass(kind, AnalogLayer))
        return base.forward(self, *args, **names)

    # --- moves, loading --------------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves of the Parameters do not make a chip stale."""
        fresh = [a for a in self.each() if a.is_programmed and not a.is_lean and not a.is_stale()]
        without_values = [a for a in self.each() if a.stored_weight().is_meta]
        known = [a for a in self.each() if a._seen == a.sight()]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for array in without_values:
            array.fill(anew=True)
        for array in known:
            array._seen = array.sight()
        for array in fresh:
            array.mark_fresh()
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        """The arrays are loaded after their owner, from a dict that speaks of the owner's weights."""
        arrays = {f"{prefix}{name}.": array for name, array in self._named()}
        for at, array in arrays.items():
            array.refuse_state(state_dict, at)
        if not local_metadata.get("assign_to_params_buffers", False):
            carry_over(self, state_dict, prefix, arrays)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


_SHOWN = (
    *SAVED, *STAMP, *PACKED_BUFFERS,
    "chip", "layout", "modifiers", "notice", "on_chip", "training_step", "written",
    "matrix", "from_matrix", "logical", "digital_bias", "wide_weight", "stored_weight", "stored_bias",
    "present_weight", "present_bias", "effective_weight", "effective_bias",
    "check_chip", "is_stale", "repack", "require_chip", "set_chip", "set_range",
)  # fmt: skip
"""What a layer of one matrix shows of its crossbar."""

for _name in _SHOWN:
    setattr(AnalogLayer, _name, _OfTheCrossbar(_name))
