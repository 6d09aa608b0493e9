"""What a bench does not send, and what it does not believe."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from mho.boards.base import Answer, Capabilities, Pulses

NOT_A_NUMBER = 9.91e37
"""What SCPI instruments answer for "not a number" (IEEE 488.2, SCPI-99 7.2.1.4)."""
OVERFLOW = 9.9e37
"""What they answer for infinity, beyond their range."""


class Bad(NamedTuple):
    """Why an answer is no measurement.

    Attributes:
        kind: of :class:`mho.boards.BadAnswer`.
        words: in a sentence.
        place: of the first such number, in the flattened answer.
    """

    kind: str
    words: str
    place: int


def judged(answer: Answer, stamp: float) -> Bad | None:
    """What is wrong with an answer; None if it is a measurement.

    Args:
        answer: what came.
        stamp: the latest one that came before.
    """
    amperes, limited = answer.amperes, answer.limited
    found: list[tuple[str, str, Tensor]] = [
        ("NaN", "the current is no number", amperes.isnan() | _near(amperes, NOT_A_NUMBER)),
        ("overflow", f"the current is {OVERFLOW:g}: beyond the range of the instrument", _beyond(amperes)),
    ]
    if limited is not None:
        found.append(("compliance", "the current was limited: a short, or too high a voltage", limited))
    for kind, words, where in found:
        if bool(where.any()):
            count = int(where.sum())
            more = f" ({count} of {where.numel()} values)" if count > 1 else ""
            return Bad(kind, words + more, int(where.flatten().nonzero()[0]))
    if answer.stamp is not None and answer.stamp.numel() and float(answer.stamp.max()) <= stamp:
        return Bad("stale", "the measurement is an old one: it has the time of one that came before", 0)
    return None


def _beyond(amperes: Tensor) -> Tensor:
    return amperes.abs() >= OVERFLOW * (1 - 1e-6)


def _near(amperes: Tensor, value: float) -> Tensor:
    return (amperes.abs() - value).abs() < 1e-4 * value


def check_volts(volts: float, limit: float) -> None:
    """Raise ``ValueError`` if a read would disturb the cells."""
    if not abs(volts) <= limit:
        raise ValueError(
            f"volts = {volts!r}: a read above {limit:.4g} V moves the cells, or is above what the board "
            "reads at; give a lower one"
        )


def check_pulses(pulses: Pulses, can: Capabilities) -> None:
    """Raise ``ValueError`` unless the board can send the pulses."""
    if not pulses.cells.number:
        return
    for name, values, (low, high), unit in (
        ("volts", pulses.volts, can.v_write, "V"),
        ("seconds", pulses.seconds, can.width, "s"),
    ):
        wrong = ~((values >= low * (1 - 1e-9) if low > 0 else values >= low) & (values <= high * (1 + 1e-9)))
        if bool(wrong.any()):
            place = int(wrong.nonzero()[0])
            where = pulses.cells.take(slice(place, place + 1)).words()
            raise ValueError(
                f"{name} = {float(values[place]):g} {unit} for {where}: the board sends {low:g} {unit} to "
                f"{high:g} {unit}"
            )
