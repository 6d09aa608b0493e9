"""How the layers lay their matrices out in tiles, and multiply by them."""

from mho.layouts.base import ArraySize as ArraySize
from mho.layouts.convolution import ConvolutionLayout as ConvolutionLayout
from mho.layouts.look_up import LookUpLayout as LookUpLayout
from mho.layouts.matrix import BilinearLayout as BilinearLayout
from mho.layouts.matrix import MatrixLayout as MatrixLayout
from mho.layouts.matrix import TransposedMatrixLayout as TransposedMatrixLayout
