"""Packed files of data sets, unpacked up to a size that is no more than any published one needs."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

MOST = 2**30  # bytes that an archive unpacks to; CIFAR-100, the largest, has 186 MB


class Unpacked(io.RawIOBase):
    """What a gzip file unpacks to, as a stream that ends with an error beyond ``most`` bytes.

    Args:
        path: the packed file.
        most: bytes.

    Raises:
        ValueError: while reading: it unpacks to more.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path, self.most, self._left = path, most, most
        self._file = gzip.open(path)  # noqa: SIM115 (closed with this one)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        found = self._file.read(wanted)
        self._left -= len(found)
        if self._left < 0:
            raise ValueError(
                f"{self.path}: it unpacks to more than {self.most / 2**20:,.0f} MB, which the published file "
                "does not; fetch it again"
            )
        return found

    def readable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
