"""``nn.Linear`` on RRAM cells, simulated or on a board."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from mho.compat.rram import _board
from mho.compat.rram._effects import RRAMEffects
from mho.config import python_number
from mho.mapping import EvenLevels
from mho.nn import AnalogLinear
from mho.training import Modifier, ProgrammingNoise, Recipe, STEQuantizer, attach

BITS = (2, 16)


def fresh_seed() -> int:
    """A seed from torch's global generator: ``torch.manual_seed`` in a script repeats what follows."""
    return int(torch.randint(2**62, ()))


class RRAMLinearLayer(ABC):
    """What every linear layer on RRAM does, whoever holds its cells."""

    @abstractmethod
    def program_rram_weights(self) -> None:
        """Write the present weights, quantised, into the cells."""

    @abstractmethod
    def update_weights_from_rram(self) -> None:
        """Read the cells; from then on the layer computes with what was read."""


class TorchRRAMLinear(AnalogLinear, RRAMLinearLayer):
    """``nn.Linear`` with its weights in RRAM cells, one cell for each weight.

    In evaluation it multiplies by its cells. They are programmed when that is needed: at the first
    evaluation, and at the next one after the weights changed. In training it multiplies by the quantised
    weights with a programming error drawn anew each time, and the gradient goes straight through;
    ``TorchRRAMOptimizer`` trains on the cells themselves. It is an analog layer of mho: ``mho.age``,
    ``mho.degrade``, ``mho.cost``, ``mho.save_chip`` and all else work on it.

    Args:
        in_features, out_features, bias, device, dtype: as in ``nn.Linear``. The bias is digital.
        rram_interface: a board with ``write_matrix`` and ``read_matrix`` (see ``RRAMInterface``), which
            gets the targets and whose cells the layer computes with, instead of simulated ones.
        quantization_bits: a weight has at most ``2^bits`` values, 2 to 16; zero is one of them. None for no
            levels.
        use_simulation: False for ``nn.Linear`` without cells, where there is no interface.
        enable_stochastic: whether simulated cells and their reads scatter.
        effects: how much of each effect there is.
        seed: names the chip; None to draw one by torch's global generator.

    Raises:
        ValueError: a number of bits that cannot be.
        TypeError: an interface without the two verbs.

    >>> layer = TorchRRAMLinear(8, 4, quantization_bits=3, enable_stochastic=False, seed=0).eval()
    >>> layer(torch.ones(2, 8)).shape
    torch.Size([2, 4])
    >>> layer.effective_weight().unique().numel() <= 2**3
    True
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rram_interface: Any = None,
        quantization_bits: int | None = 4,
        use_simulation: bool = True,
        enable_stochastic: bool = True,
        *,
        effects: RRAMEffects | None = None,
        seed: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if rram_interface is not None:
            _board.check_interface(rram_interface)
        bits = checked_bits(quantization_bits)
        effects = RRAMEffects() if effects is None else effects
        hardware = effects.of_layer(bits, enable_stochastic, rram_interface)
        super().__init__(in_features, out_features, bias, device, dtype, hardware=hardware)
        self.quantization_bits, self.effects = bits, effects
        self.use_simulation, self.enable_stochastic = use_simulation, enable_stochastic
        self.rram_interface = rram_interface
        self.seed = fresh_seed() if seed is None else int(seed)
        self._on_board: _board.OnBoard | None = None
        attach(self, training_recipe(bits, enable_stochastic and rram_interface is None))

    @property
    def has_cells(self) -> bool:
        """Whether there are cells, simulated or on a board."""
        return self.use_simulation or self.rram_interface is not None

    # --- the two verbs ---------------------------------------------------------------------------

    def program_rram_weights(self) -> None:
        """Write the present weights into the cells; a board is read back at once.

        Raises:
            BoardError: the board did not write, or answers what cannot be its cells; the layer keeps those it
                had.
        """
        array = self.array()
        if self.rram_interface is None:
            array.program(self.seed, self.path)
        else:
            self._on_board = _board.program(array, self.rram_interface, self.seed, self._on_board)

    def update_weights_from_rram(self) -> None:
        """Read the board again; without one, the cells are in the layer already.

        Raises:
            NotProgrammedError: nothing was programmed yet.
            BoardError: the board answers what cannot be its cells; the layer keeps those it had.
        """
        array = self.array()
        array.require_chip("update_weights_from_rram")
        if self.rram_interface is not None:
            found = _board.refresh(array, self.rram_interface)
            self._on_board = None if self._on_board is None else self._on_board._replace(found=found)

    # --- the layer -------------------------------------------------------------------------------

    def forward(self, input: Tensor) -> Tensor:
        """``[..., in_features]`` to ``[..., out_features]``."""
        if not self.has_cells:
            return self.digital_forward(input)  # type: ignore[no-any-return]
        if not self.training and not torch.compiler.is_compiling():
            self._keep_programmed()
        return super().forward(input)

    def train(self, mode: bool = True) -> Any:
        """Training mode; evaluation programs the cells if the weights changed."""
        if not mode and self.has_cells:
            self._keep_programmed()
        return super().train(mode)

    def _keep_programmed(self) -> None:
        """Program the cells where they hold none or other weights."""
        array = self.array()
        if array.weight.is_meta or (array.is_programmed and array._seen == array.sight()):
            return
        if not array.is_programmed or array.is_stale():
            self.program_rram_weights()
        else:
            array.check_chip()

    def extra_repr(self) -> str:
        """Sizes, and what is special."""
        cells = "board" if self.rram_interface is not None else "simulated" if self.use_simulation else "none"
        return f"{nn.Linear.extra_repr(self)}, quantization_bits={self.quantization_bits}, cells={cells}"


def training_recipe(bits: int | None, stochastic: bool) -> Recipe:
    """What training does to weights: levels, and a programming error drawn anew each time."""
    found: list[Modifier] = []
    if bits is not None:
        found.append(STEQuantizer(levels=EvenLevels(count=(1 << bits) - 1)))
    if stochastic:
        found.append(ProgrammingNoise())
    return Recipe(modifiers=tuple(found))


def checked_bits(bits: int | None) -> int | None:
    """A number of bits of a weight; ``ValueError`` for another."""
    given = python_number(bits)
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise TypeError(f"quantization_bits = {bits!r}: give a whole number of bits, or None for no levels")
    if given is not None and not BITS[0] <= given <= BITS[1]:
        raise ValueError(
            f"quantization_bits = {bits!r}: give {BITS[0]} to {BITS[1]} (one bit has no zero), or None"
        )
    return given
