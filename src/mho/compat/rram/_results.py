"""What a benchmark says, whatever the framework."""

from __future__ import annotations

from typing import Any


def rates(right: int, count: int, seconds: float) -> dict[str, Any]:
    """Accuracy (per cent), seconds for a sample and samples in a second."""
    if not count:
        raise ValueError("test_loader gave no samples: give batches (input, class number)")
    return {"accuracy": 100.0 * right / count, "latency": seconds / count, "throughput": count / seconds}
