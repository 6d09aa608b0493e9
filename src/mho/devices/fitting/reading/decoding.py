"""The bytes of a measured file as text: UTF-8, UTF-16, or the Western alphabet of older Windows programs."""

from __future__ import annotations

import codecs

_MARKS = (  # the longer ones first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HALF = 0.4  # share of zero bytes at every other place, above which text is UTF-16
_ALLOWED = b"\t\n\v\f\r\x1a\x1b"  # control characters that text may have


def decoded(name: str, content: bytes) -> str:
    """The text of a file, whatever it is encoded in.

    Args:
        name: of the file, for messages.
        content: its bytes.

    Raises:
        ValueError: it holds no text.

    Example:
        >>> decoded("a.csv", "G (µS)".encode("latin-1")), decoded("b.csv", "G (µS)".encode("utf-16"))
        ('G (µS)', 'G (µS)')
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _as(name, content[len(mark) :], encoding)
    silent = _utf_16(content)
    if silent is not None:
        return _as(name, content, silent)
    _check_text(name, content)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _western(content)


def _as(name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: it begins like a text in {encoding.upper()}, and byte {error.start} is none; save the "
            "table as CSV in UTF-8"
        ) from None


def _utf_16(content: bytes) -> str | None:
    """The kind of UTF-16 of a text without a mark; None if it is something else."""
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = content[first::2]
        if len(content) > 3 and half.count(0) > _HALF * len(half) and not content[1 - first :: 2].count(0):
            return encoding
    return None


def _check_text(name: str, content: bytes) -> None:
    for place, byte in enumerate(content):
        if byte < 32 and byte not in _ALLOWED:
            raise ValueError(
                f"{name}: not a text file (byte {place} is {byte:#04x}); give a table as text, CSV in UTF-8, "
                "or an Excel workbook (.xlsx)"
            )


def _western(content: bytes) -> str:
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no letter there
        return content.decode("latin-1")
