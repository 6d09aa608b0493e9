"""What digital arithmetic takes: for products that stay digital, and for the twin of a network."""

from __future__ import annotations

from mho.config import NonNegative, config
from mho.costs.scaling import energy_ratio

NODE = 45e-9


@config
class Digital:
    """Energy of 8-bit arithmetic and of memory, at 45 nm and 0.9 V.

    A multiply-accumulate is a product of 8 bits (.2 pJ) and a sum of 32 bits (.1 pJ). A byte is an eighth of
    an access of 64 bits to a cache of 8 KB (10 pJ).

    Source: M. Horowitz, ISSCC 2014, Fig. 1.1.9.

    Attributes:
        multiply_accumulate: joules.
        byte: joules of a byte that is read or written.
    """

    multiply_accumulate: NonNegative = 0.3e-12
    byte: NonNegative = 1.25e-12

    def joules(self, products: float, moved: float, node: float) -> float:
        """Of some multiply-accumulates and some bytes at a node, metres.

        >>> f"{Digital().joules(1e6, 0, 45e-9):.1e}"
        '3.0e-07'
        """
        here = self.multiply_accumulate * products + self.byte * moved
        return here * energy_ratio(NODE, node)
