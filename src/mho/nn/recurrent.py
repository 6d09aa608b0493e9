"""Recurrent layers on arrays: RNN, LSTM, GRU and their cells.

Each weight matrix has its own array; all gates of a matrix are columns of one array, read together.
The inputs of all time steps are read at once. The hidden state goes through its array step by step,
as in torch: that loop is the recurrence. Biases, gates and states are digital.

In training mode the weight modifiers act once on each forward, not on each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from mho.chip.layouts import no_tensor
from mho.hardware import Hardware
from mho.nn.crossbar import Crossbar
from mho.nn.crossbar.plain import is_cast, without_autocast
from mho.nn.layer import AnalogLayer

State = tuple[Tensor, ...]
Function = TypeVar("Function", bound=Callable[..., Any])


class _Gates(AnalogLayer):
    """One step of a recurrence: what RNN, LSTM and GRU do with the read-outs of the two arrays."""

    state_names: tuple[str, ...] = ("h",)
    bias: bool
    hidden_size: int
    nonlinearity: str

    def step(self, inputs: Tensor, hidden: Tensor, state: State) -> State:
        """The next state from the columns of the input array and of the hidden array."""
        raise NotImplementedError


class _RNNGates(_Gates):
    def step(self, inputs: Tensor, hidden: Tensor, state: State) -> State:
        """``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or with ReLU."""
        total = inputs + hidden
        return (F.relu(total) if self.nonlinearity == "relu" else torch.tanh(total),)


class _LSTMGates(_Gates):
    state_names = ("h", "c")

    def step(self, inputs: Tensor, hidden: Tensor, state: State) -> State:
        """``c' = f c + i g``, ``h' = o tanh(c')``."""
        i, f, g, o = (inputs + hidden).chunk(4, -1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class _GRUGates(_Gates):
    def step(self, inputs: Tensor, hidden: Tensor, state: State) -> State:
        """``h' = (1 - z) n + z h`` with ``n = tanh(W_in x + r (W_hn h))``."""
        (xr, xz, xn), (hr, hz, hn) = inputs.chunk(3, -1), hidden.chunk(3, -1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        n = torch.tanh(xn + r * hn)
        return ((state[0] - n) * z + n,)


def _plainly(function: Function, like: Tensor) -> Function:
    """The function, without autocast, which casts no element-wise operation and refuses some (see there)."""
    if not is_cast(like):
        return function

    def plainly(*values: Any) -> Any:
        with without_autocast(like):
            return function(*values)

    return plainly  # type: ignore[return-value]


# --- whole sequences -----------------------------------------------------------------------------


class _Sequence(_Gates):
    """What ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` share: layers, directions, packed sequences."""

    num_layers: int
    batch_first: bool
    bidirectional: bool
    dropout: float
    proj_size: int
    _flat_weights_names: list[str]

    def make_arrays(self) -> dict[str, Crossbar]:
        """An array for each weight, under torch's name of it."""
        made: dict[str, Crossbar] = {}
        for name in self._flat_weights_names:
            if name.startswith("weight"):
                bias = name.replace("weight", "bias") if self.bias and "_hr_" not in name else None
                made[name] = Crossbar(self, name, bias)
        return made

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        """As in torch: ``(output, h)``, for the LSTM ``(output, (h, c))``.

        Args:
            input: ``[time, batch, input]``, ``[batch, time, input]`` with ``batch_first``,
                ``[time, input]``, or a packed sequence.
            hx: the initial state, ``[layer * direction, batch, hidden]``; zeros by default.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if not isinstance(input, Tensor):
            raise TypeError(no_tensor(input, self.path or type(self).__name__))
        if input.dim() not in (2, 3):
            raise ValueError(
                f"input has shape {tuple(input.shape)}: {self.path or type(self).__name__!r} takes [time, "
                "batch, input], [batch, time, input] with batch_first, or [time, input]"
            )
        batched, first = input.dim() == 3, self.batch_first
        x = input if batched else input.unsqueeze(1)
        if batched and first:
            x = x.transpose(0, 1)
        steps, batch = x.shape[:2]
        if steps == 0:
            raise ValueError("input has no time step: give a sequence of at least one")
        state = self._initial(hx, x, batch, batched)
        y, state = self._layers(x.flatten(0, 1), [batch] * steps, state)
        y = y.unflatten(0, (steps, batch))
        if not batched:
            return y.squeeze(1), self._given(tuple(s.squeeze(1) for s in state))
        return (y.transpose(0, 1) if first else y), self._given(state)

    def _packed(self, packed: PackedSequence, hx: Any) -> Any:
        data, sizes, order, back = packed
        steps = [int(n) for n in sizes]
        if hx is not None and order is not None:
            given = hx if isinstance(hx, tuple) else (hx,)
            hx = tuple(h.index_select(1, order) for h in given)
        state = self._initial(hx, data, steps[0], True)
        y, state = self._layers(data, steps, state)
        if back is not None:
            state = tuple(s.index_select(1, back) for s in state)
        return PackedSequence(y, sizes, order, back), self._given(state)

    def _initial(self, hx: Any, x: Tensor, batch: int, batched: bool) -> State:
        """The initial states, each ``[layer * direction, batch, size]``."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = {"h": self.proj_size or self.hidden_size, "c": self.hidden_size}
        wanted = [(count, batch, sizes[name]) for name in self.state_names]
        if hx is None:
            return tuple(x.new_zeros(shape) for shape in wanted)
        given = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
        if len(given) != len(wanted):
            names = " and ".join(self.state_names)
            raise ValueError(f"hx: give the states {names}, not {len(given)} of them")
        given = given if batched else tuple(h.unsqueeze(1) for h in given)
        for name, h, shape in zip(self.state_names, given, wanted, strict=True):
            if tuple(h.shape) != shape:
                raise ValueError(f"hx: {name} has shape {tuple(h.shape)}, and {shape} is needed here")
        return given

    def _given(self, state: State) -> Any:
        return state if len(state) > 1 else state[0]

    def _layers(self, data: Tensor, sizes: list[int], state: State) -> tuple[Tensor, State]:
        """All layers on ``data[sum of sizes, input]``, step after step, and the final states."""
        finals: list[State] = []
        cat, stack = _plainly(torch.cat, data), _plainly(torch.stack, data)
        directions = ("", "_reverse") if self.bidirectional else ("",)
        for layer in range(self.num_layers):
            outputs = []
            for direction in directions:
                start = tuple(s[len(finals)] for s in state)
                y, final = self._scan(f"l{layer}{direction}", data, sizes, start, bool(direction))
                outputs.append(y)
                finals.append(final)
            data = cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and self.training and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, True)
        return data, tuple(stack(parts) for parts in zip(*finals, strict=True))

    def _scan(
        self, name: str, data: Tensor, sizes: list[int], start: State, reverse: bool
    ) -> tuple[Tensor, State]:
        """One layer in one direction; ``sizes`` falls where shorter sequences have ended."""
        inputs = self.array(f"weight_ih_{name}")(data).split(sizes)
        hidden = self.array(f"weight_hh_{name}")
        project = self.array(f"weight_hr_{name}") if self.proj_size else None
        step, cat = _plainly(self.step, data), _plainly(torch.cat, data)
        by_hidden, by_project = hidden.steps(), None if project is None else project.steps()
        steps = range(len(sizes))
        state = tuple(s[: sizes[-1 if reverse else 0]] for s in start)
        ended: list[State] = []
        outputs: list[Tensor] = []
        for t in reversed(steps) if reverse else steps:
            now, size = state[0].shape[0], sizes[t]
            if size < now:  # forward: the shortest sequences have ended
                ended.append(tuple(s[size:] for s in state))
                state = tuple(s[:size] for s in state)
            elif size > now:  # backward: longer sequences begin
                state = tuple(cat([s, s0[now:size]]) for s, s0 in zip(state, start, strict=True))
            state = step(inputs[t], by_hidden(state[0]), state)
            if by_project is not None:
                state = (by_project(state[0]), *state[1:])
            outputs.append(state[0])
        for array in (hidden, project):
            if array is not None:
                array.count_step()
        if ended:
            parts = zip(state, *reversed(ended), strict=True)
            state = tuple(cat(part) for part in parts)
        return cat(outputs[::-1] if reverse else outputs), state


class AnalogRNN(_RNNGates, _Sequence, nn.RNN):
    """``nn.RNN`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``.

    >>> layer = AnalogRNN(3, 5, num_layers=2, bidirectional=True, hardware=Hardware())
    >>> y, h = layer(torch.ones(7, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([7, 2, 10]), torch.Size([4, 2, 5]))
    """

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)


class AnalogLSTM(_LSTMGates, _Sequence, nn.LSTM):
    """``nn.LSTM`` on arrays, also with projections. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)


class AnalogGRU(_GRUGates, _Sequence, nn.GRU):
    """``nn.GRU`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)


# --- single steps --------------------------------------------------------------------------------


class _Cell(_Gates):
    """What ``nn.RNNCell``, ``nn.LSTMCell`` and ``nn.GRUCell`` share."""

    def make_arrays(self) -> dict[str, Crossbar]:
        """The arrays of the input and of the hidden state."""
        return {
            f"weight_{kind}": Crossbar(self, f"weight_{kind}", f"bias_{kind}" if self.bias else None)
            for kind in ("ih", "hh")
        }

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """One step: ``h``, for the LSTM ``(h, c)``; ``input[batch, input]`` or ``[input]``."""
        if not isinstance(input, Tensor):
            raise TypeError(no_tensor(input, self.path or type(self).__name__))
        if input.dim() not in (1, 2):
            raise ValueError(f"input has shape {tuple(input.shape)}: give [batch, input] or [input]")
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            state: State = tuple(input.new_zeros(shape) for _ in self.state_names)
        else:
            state = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
        if len(state) != len(self.state_names) or any(s.shape != shape for s in state):
            found = ", ".join(str(tuple(s.shape)) for s in state)
            names = " and ".join(self.state_names)
            raise ValueError(f"hx has the shapes {found}: give {names} of shape {shape}")
        inputs, hidden = self.array("weight_ih")(input), self.array("weight_hh")(state[0])
        state = _plainly(self.step, input)(inputs, hidden, state)
        return state if len(state) > 1 else state[0]


class AnalogRNNCell(_RNNGates, _Cell, nn.RNNCell):
    """``nn.RNNCell`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)


class AnalogLSTMCell(_LSTMGates, _Cell, nn.LSTMCell):
    """``nn.LSTMCell`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``.

    >>> cell = AnalogLSTMCell(3, 5, hardware=Hardware())
    >>> h, c = cell(torch.ones(2, 3))
    >>> h.shape
    torch.Size([2, 5])
    """

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)


class AnalogGRUCell(_GRUGates, _Cell, nn.GRUCell):
    """``nn.GRUCell`` on arrays. Arguments as in torch, ``hardware`` and ``bias_rows``."""

    def __init__(self, *args: Any, hardware: Hardware, bias_rows: int = 0, **names: Any) -> None:
        super().__init__(*args, **names)
        self.setup(hardware, bias_rows)
