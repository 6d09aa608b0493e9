"""Fetching the published archive of CIFAR-10."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from mho.config import write_whole

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"  # as published beside the archive
ARCHIVE, FOLDER = "cifar-10-python.tar.gz", "cifar-10-batches-py"


def fetch_cifar10(folder: Path, url: str = CIFAR10_URL, md5: str = CIFAR10_MD5) -> Path:
    """Fetch the archive of CIFAR-10 (170 MB) into a folder, unless it or its content is there.

    Args:
        folder: where it goes; made if it is not there.
        url: where it comes from.
        md5: what its content must hash to.

    Returns:
        The archive, or the folder of its content.

    Raises:
        ValueError: it cannot be fetched, or is not the published file.
    """
    for there in (folder / FOLDER, folder / ARCHIVE):
        if there.exists():
            return there
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content = response.read()
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise ValueError(
            f"--download: {url} cannot be fetched from here ({error}); fetch it by other means, put it "
            f"into {folder} and give --data {folder}"
        ) from None
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(
            f"--download: what {url} gave is not the published archive (md5 {found}, expected {md5}); "
            "nothing was kept"
        )
    path = folder / ARCHIVE
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    return path
