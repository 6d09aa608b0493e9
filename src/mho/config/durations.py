"""Times since programming as people write them: ``1s``, ``1h``, ``30d``, ``1y``."""

from __future__ import annotations

import math
import re

SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0, "y": 31_536_000.0}
_NAMES = {"s": "s", "min": "min", "h": "h", "d": "day", "y": "year"}
_WRITTEN = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)")


def parse_durations(text: str) -> tuple[float, ...]:
    """Times in seconds from text such as ``"1s,1h,1d,30d,1y"``; a year has 365 days.

    Raises:
        ValueError: not a time, or a unit other than s, min, h, d, y.

    >>> parse_durations("1s, 1.5h, 1y")
    (1.0, 5400.0, 31536000.0)
    """
    return tuple(_parse(part.strip()) for part in text.split(","))


def parse_duration(text: str, name: str = "seconds") -> float:
    """One time in seconds, from text such as ``"30d"``; ``name`` of the argument, for the message.

    >>> parse_duration("1.5 h")
    5400.0
    """
    found = _seconds(text.strip())
    if found is None:
        raise ValueError(
            f"{name} = {text!r}: no time; write a number and one of {', '.join(SECONDS)}, such as '30d'"
        )
    return found


def _parse(text: str) -> float:
    found = _seconds(text)
    if found is None:
        raise ValueError(
            f"times: {text!r} is not a time; write a number and one of {', '.join(SECONDS)}, "
            "separated by commas, for example 1s,1h,1d,30d,1y"
        )
    return found


def _seconds(text: str) -> float | None:
    match = _WRITTEN.fullmatch(text)
    unit = (match.group(2) or "s") if match else ""
    return None if match is None or unit not in SECONDS else float(match.group(1)) * SECONDS[unit]


def written(seconds: float) -> str:
    """A time as :func:`parse_durations` reads it.

    >>> written(2_592_000.0), written(90.0)
    ('30d', '1.5min')
    """
    number, _, unit = duration_text(seconds).partition(" ")
    return f"{number}{unit if unit == 'min' else unit[0]}"


def duration_text(seconds: float) -> str:
    """A time in the largest unit that gives at least one, for a table or an axis.

    >>> [duration_text(s) for s in (1, 90, 3600, 86400, 2592000, 31536000)]
    ['1 s', '1.5 min', '1 h', '1 day', '30 days', '1 year']
    """
    unit = max((u for u in SECONDS if SECONDS[u] <= seconds), key=SECONDS.__getitem__, default="s")
    value = seconds / SECONDS[unit]
    number = f"{value:.3g}" if value < 1000 else f"{value:.6g}"
    plural = "s" if unit in ("d", "y") and not math.isclose(value, 1.0) else ""
    return f"{number} {_NAMES[unit]}{plural}"
