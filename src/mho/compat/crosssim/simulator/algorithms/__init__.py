"""Algorithms on analog arrays."""
