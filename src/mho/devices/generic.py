"""A cell put together from laws: for your own measured device, and for sensitivity studies."""

from __future__ import annotations

from pydantic import InstanceOf
from torch import Tensor

from mho.config import NonNegative, Positive, config
from mho.devices.base import Device
from mho.devices.bias_laws import Bias, Unbiased
from mho.devices.dynamics._numbers import clip, log1p
from mho.devices.error_laws import Error, Independent
from mho.devices.exponents import ConstantNu, Exponent

_QUIET = Independent(sigma=0.0)  # made here: no graph can make it


@config
class Generic(Device):
    """A cell with any programming error and bias, drift exponent and read noise; ideal by default.

    ==================  ======================================================================
    programmed          the law ``program`` around the target, shifted by the law ``bias``
    drift               g(t) = g (1 + seconds / t0)^-nu, nu drawn from the law ``nu`` at the target
    read noise (std)    the standard deviation of the law ``read`` at the conductance of that time
    ==================  ======================================================================

    Only the standard deviation of ``read`` counts: the noise of a read is the sum over many cells and
    is drawn as a normal one.

    Attributes:
        program, read: laws of the error (:class:`~mho.devices.Independent` and its neighbours).
        bias: law of the systematic error of programming (:class:`~mho.devices.PolynomialBias`,
            ``TableBias``): mean programmed conductance minus the target. ``program_scale`` acts on it too.
        nu: law of the drift exponent (:class:`~mho.devices.ConstantNu`, ``TableNu``, ``JoshiNu``).
        t0: time from the programming pulse to ``seconds`` = 0, seconds.
        clip: keep programmed and aged conductances in [g_min, g_max], not only above zero.

    Example:
        >>> from mho.devices import Generic, Independent, Proportional, TableNu
        >>> device = Generic(
        ...     g_max=100e-6,
        ...     program=Proportional(sigma=0.05),
        ...     nu=TableNu(g=(0.0, 100e-6), mean=(0.08, 0.03), std=(0.02, 0.01)),
        ...     read=Independent(sigma=0.01),
        ... )
    """

    g_min: NonNegative = 0.0
    g_max: Positive = 25e-6
    v_read: Positive = 0.2
    program_scale: NonNegative = 1.0
    drift_scale: NonNegative = 1.0
    read_scale: NonNegative = 1.0
    program: InstanceOf[Error] = Independent(sigma=0.0)
    bias: InstanceOf[Bias] = Unbiased()
    nu: InstanceOf[Exponent] = ConstantNu()
    read: InstanceOf[Error] = Independent(sigma=0.0)
    t0: Positive = 1.0
    clip: bool = False

    def programmed(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """The target with the errors ``program`` and ``bias``, clipped."""
        g = self.program.perturbed(g_target, eps, self.g_max, self.program_scale)
        if not isinstance(self.bias, Unbiased):
            g = g + self.program_scale * self.bias.shift(g_target, self.g_max)
        return self._clipped(g)

    def drift_state(self, g_target: Tensor, eps: Tensor) -> Tensor:
        """One parameter: the drift exponent."""
        return self.drift_scale * self.nu.drawn(g_target, eps, self.g_max).unsqueeze(0)

    def aged(self, g: Tensor, cells: Tensor, seconds: float) -> Tensor:
        """``g (1 + seconds / t0)^-nu``, clipped."""
        self.check_time(seconds)
        return self._clipped(g * (-log1p(seconds / self.t0) * cells[0]).exp())

    @property
    def noisy(self) -> bool:
        """Unless ``read`` is the law of no noise, the default."""
        return super().noisy and self.read != _QUIET

    def read_std(self, g: Tensor, g_now: Tensor, seconds: float) -> Tensor:
        """Standard deviation of the error ``read`` at ``g_now``."""
        self.check_time(seconds)
        return self.read_scale * self.read.std(g_now, self.g_max)

    def _clipped(self, g: Tensor) -> Tensor:
        return clip(g, self.g_min, self.g_max) if self.clip else g.clamp_min(0)
