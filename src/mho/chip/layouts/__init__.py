"""How the layers lay their matrices out in tiles, and multiply by them."""

from mho.chip.layouts.base import ArraySize as ArraySize
from mho.chip.layouts.base import no_tensor as no_tensor
from mho.chip.layouts.convolution import ConvolutionLayout as ConvolutionLayout
from mho.chip.layouts.exact_products import ExactLayout as ExactLayout
from mho.chip.layouts.exact_products import exact as exact
from mho.chip.layouts.look_up import LookUpLayout as LookUpLayout
from mho.chip.layouts.matrix import BilinearLayout as BilinearLayout
from mho.chip.layouts.matrix import MatrixLayout as MatrixLayout
from mho.chip.layouts.matrix import TransposedMatrixLayout as TransposedMatrixLayout
