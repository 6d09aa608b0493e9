"""Fetching the published archive of CIFAR-10."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from mho.config import write_whole
from mho.experiments.data.archives import MOST

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"  # as published beside the archive
ARCHIVE, FOLDER = "cifar-10-python.tar.gz", "cifar-10-batches-py"
CONTENT = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def fetch_cifar10(folder: Path, url: str = CIFAR10_URL, md5: str = CIFAR10_MD5) -> Path:
    """Fetch the archive of CIFAR-10 (170 MB) into a folder, unless it or all of its content is there.

    A damaged archive there, half of one or another one, is replaced once the published one has arrived.

    Args:
        folder: where it goes; made if it is not there.
        url: where it comes from.
        md5: what its content must hash to.

    Returns:
        The archive, or the folder of its content.

    Raises:
        ValueError: it cannot be fetched, or is not the published file.
    """
    for place in (folder / FOLDER, folder):
        if all((place / name).is_file() for name in CONTENT):
            return place
    path = folder / ARCHIVE
    if path.is_file() and _md5(path.read_bytes()) == md5:
        return path
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            length = getattr(response, "length", None)  # a file:// has none
            if length is not None and length > MOST:
                raise ValueError(f"it is {length / 2**20:,.0f} MB large")
            content = response.read(MOST + 1) if length is None else response.read()
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        held = f"; the {path} that is there is damaged or another one" if path.exists() else ""
        raise ValueError(
            f"--download: {url} cannot be fetched from here ({error}){held}; try again, or fetch it by other "
            f"means, put it into {folder} and give --data {folder}"
        ) from None
    found = _md5(content)
    if found != md5:
        raise ValueError(
            f"--download: what {url} gave is not the published archive (md5 {found}, expected {md5}); "
            "nothing was kept"
        )
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    return path


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
