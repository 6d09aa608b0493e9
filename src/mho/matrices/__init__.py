"""A matrix on crossbars without a network: an operator of scipy's (see :func:`mho.matrix`)."""

from mho.matrices.making import matrix as matrix
