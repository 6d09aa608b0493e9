"""Neural networks on analog arrays."""
