"""Speed against plain torch: ``python -m benchmarks`` (see ``__main__``)."""
