"""The forward pass of one array: which matrix it multiplies by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mho.autograd import forward_mode, in_transform, learns
from mho.blocks import in_threads
from mho.chip import tile
from mho.chip.layouts import no_tensor
from mho.chip.plan import ReadPlan
from mho.chip.reads import Read
from mho.nn.crossbar.description import MADE, PACKED_BUFFERS, RANGES, SAVED
from mho.nn.crossbar.multiplying import Multiplying

_ACTING = (
    "chip_g",
    "chip_cells",
    "chip_scale",
    "chip_seconds",
    "chip_gain",
    "chip_converters",
    "chip_drivers",
    "chip_stream",
)
"""What is packed: each comparison costs a graph its microseconds, and the shift is read as it is."""


class Readable(Multiplying):
    """An array that multiplies.

    - ``train()``: by the clean weights plus the training modifiers, never by the chip, unless
      ``mho.train_on_chip`` said so. Converters without a range yet are left out.
    - ``eval()``: by the programmed chip; before programming, by the mapped targets through the converters.

    Gradients go back through the matrix that was used, and straight through to the Parameter.

    Attributes:
        on_chip: whether training mode multiplies by the chip.
    """

    def forward(self, x: Tensor, read: Read | None = None) -> Tensor:
        """Read the array.

        Args:
            x: inputs, as the layout takes them: ``[..., row]`` for a matrix.
            read: what :meth:`read` gave at the beginning of this forward, for an array that is read several
                times (:meth:`steps`); then call :meth:`count_step` once at its end. None for a single read.

        Returns:
            The product, with the bias: ``[..., column]`` for a matrix.
        """
        if not isinstance(x, Tensor):
            raise TypeError(no_tensor(x, self.path or self.called))
        self.layout.check(x, self.path or self.called)
        if self._learner is not None and (self.training or self._learner.in_evaluation):
            return self._learner(x)  # type: ignore[no-any-return]
        plan = None if torch.compiler.is_compiling() or torch.is_grad_enabled() else self._plan
        if plan is not None and self._is_planned(plan, x.device.type):
            return self._planned(plan, x)
        if self._held_back():
            return self._observe(self.read(), x, self._tap)
        alone = read is None
        read = self.read() if read is None else read
        y = self.product(read, x)
        if alone:
            self.count_step()
        if self._tap is not None and (not self.training or self.on_chip):
            self._tap.read(x, y, self.input_limit)
        if not self.training:
            self._make_plan(read)
        return y

    def steps(self) -> Callable[[Tensor], Tensor]:
        """How one forward of the layer reads the array step by step: looked up once, called for each step.

        Call :meth:`count_step` once at the end.
        """
        plan = None if torch.compiler.is_compiling() or torch.is_grad_enabled() else self._plan
        hooked = self._forward_hooks or self._forward_pre_hooks
        if plan is not None and not hooked and self._is_planned(plan, self.weight.device.type):
            return partial(self._planned, plan)
        return partial(self, read=self.read())

    def _planned(self, plan: ReadPlan, x: Tensor) -> Tensor:
        """A read by a plan that holds."""
        y = plan(x, None if self.bias_rows or self.bias_name is None else self._bias(), self._tap)
        if self._tap is not None:
            self._tap.read(x, y, self.input_limit)
        return y

    def _is_planned(self, plan: ReadPlan, place: str) -> bool:
        """Whether the plan holds for this read: the same chip, the same weights, nothing else to be done."""
        if self.training or in_transform() or self._held_back():
            return False
        return not torch.is_autocast_enabled(place) and self._holds(plan)

    def _held_back(self) -> bool:
        """Whether the converters are held back, for an observer."""
        return self._tap is not None and self._tap.holds_back

    def _holds(self, plan: ReadPlan) -> bool:
        weights = self._owner._parameters
        return plan.holds(self.hardware, self.layout, self._buffers, self._parameters, weights)

    def _bias(self) -> Tensor | None:
        """The bias of the outputs, the fast way where it is a plain Parameter."""
        held = self._owner._parameters.get(self.bias_name)  # type: ignore[arg-type]
        return self.bias if held is None or self.bias_part is not None else held

    def _make_plan(self, read: Read) -> None:
        """For the reads to come, where the chip and the weights are this array's own."""
        if not self.is_programmed or self.chip_scale.is_meta or torch.compiler.is_compiling():
            return
        if torch.is_grad_enabled() or in_transform():
            return
        weights: dict[str, Tensor] = {}
        for name in self._names():
            weight = self._owner._parameters.get(name)
            if type(weight) is not nn.Parameter or weight.is_inference():
                return  # computed, sharded and uncounted weights are looked at anew
            weights[name] = weight
        if self._plan is not None and self._holds(self._plan):
            return  # it holds, and autocast goes the long way
        if not self._own(MADE) or not self._all_else_is_own():
            return
        held = dict(zip(SAVED, self._saved(), strict=True))
        packed = {name: self._buffers[name] for name in PACKED_BUFFERS}
        self._plan = self._plan_of(read, {**held, **packed}, weights)

    def _plan_of(
        self, read: Read, held: dict[str, Tensor | None], weights: dict[str, Tensor]
    ) -> ReadPlan | None:
        """The plan; None where a read depends on its inputs in other ways."""
        return ReadPlan(self.hardware, self.layout, read, self.limits(), held, weights)

    # --- the matrix ------------------------------------------------------------------------------

    def read(self) -> Read:
        """The matrix that this forward multiplies by."""
        if not self.training or self.on_chip:
            read = self._evaluation_read()
            if self._learns():
                read = tile.with_gradient(self.hardware, read, self.logical(self.wide_weight()), self.layout)
            return read
        self._notice_evaluation()
        for modifier in self.modifiers:
            modifier.constrain(self)
        weight = clean = self.wide_weight()
        for modifier in self.modifiers:
            weight = modifier.modify(weight, self)
        read = tile.training_read(self.hardware, self.logical(weight), self.logical(clean), self.layout)
        return read.changed(inputs=self.tile_index)

    def _evaluation_read(self) -> Read:
        if self.chip_scale is None:
            return self._targets()
        compiling = torch.compiler.is_compiling()
        if self.packed_kernel is None and self.is_lean and not torch.compiler.is_compiling():
            in_threads([self.repack])  # it was loaded without the rest of its model
        own = self._own(_ACTING if compiling else MADE)
        alone = self._packed_from[-1] is self.packed_kernel  # nothing packed was given with the entries
        if not (compiling or in_transform()) and not self._all_else_is_own():
            self._notice_given()
        if not own:  # torch.func.functional_call gave entries of another chip
            if alone:
                chip, drawn = self.outline("forward"), self.drawn()
                read = tile.pack(self.hardware, chip, self.layout, self._check_state, drawn)
                return read.changed(inputs=self.tile_index)
        elif not compiling:
            self._notice_changes()
        read = self.packed()
        return read.changed(steps=None) if alone and not self._own(RANGES) else read

    def _targets(self) -> Read:
        """The mapped targets of the present weights: there is no chip."""
        if self.training:
            self.require_chip("train_on_chip")
        if torch.compiler.is_compiling():
            self.notice.traced(self.path, self.hardware)
        elif not self._held_back():
            self.notice.evaluated(self.path, self.hardware)
        read = tile.ideal_read(self.hardware, self.logical(self.wide_weight()), self.layout)
        return read.changed(inputs=self.tile_index)

    def _learns(self) -> bool:
        """Whether something on the array wants a gradient."""
        if not (torch.is_grad_enabled() or forward_mode()):
            return False
        return learns(self.weight, self.bias) if self.bias_rows else learns(self.weight)
