"""The analog layers: torch's layers with their weights on arrays."""

from mho.nn.attention import AnalogMultiheadAttention as AnalogMultiheadAttention
from mho.nn.bilinear import AnalogBilinear as AnalogBilinear
from mho.nn.conv import AnalogConv1d as AnalogConv1d
from mho.nn.conv import AnalogConv2d as AnalogConv2d
from mho.nn.conv import AnalogConv3d as AnalogConv3d
from mho.nn.conv import AnalogConvTranspose1d as AnalogConvTranspose1d
from mho.nn.conv import AnalogConvTranspose2d as AnalogConvTranspose2d
from mho.nn.conv import AnalogConvTranspose3d as AnalogConvTranspose3d
from mho.nn.crossbar import Crossbar as Crossbar
from mho.nn.embedding import AnalogEmbedding as AnalogEmbedding
from mho.nn.embedding import AnalogEmbeddingBag as AnalogEmbeddingBag
from mho.nn.huggingface import AnalogPositions as AnalogPositions
from mho.nn.layer import AnalogLayer as AnalogLayer
from mho.nn.linear import AnalogLinear as AnalogLinear
from mho.nn.recurrent import AnalogGRU as AnalogGRU
from mho.nn.recurrent import AnalogGRUCell as AnalogGRUCell
from mho.nn.recurrent import AnalogLSTM as AnalogLSTM
from mho.nn.recurrent import AnalogLSTMCell as AnalogLSTMCell
from mho.nn.recurrent import AnalogRNN as AnalogRNN
from mho.nn.recurrent import AnalogRNNCell as AnalogRNNCell
from mho.nn.transposed_linear import AnalogTransposedLinear as AnalogTransposedLinear
from mho.nn.walk import crossbars as crossbars

Array = MatrixArray = Crossbar
SeveralArrays = AnalogLayer
analog_layers = crossbars
"""Names from before layers held crossbars."""
