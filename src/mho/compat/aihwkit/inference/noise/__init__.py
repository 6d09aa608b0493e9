"""Noise models under the paths that scripts import them from."""
