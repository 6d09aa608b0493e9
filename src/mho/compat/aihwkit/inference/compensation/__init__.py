"""Drift compensation, under the paths that scripts import it from."""
