import hashlib
import http.server
import threading

import pytest

from mho.experiments.data.download import ARCHIVE, CONTENT, FOLDER, fetch_cifar10

PUBLISHED = b"the published archive"
MD5 = hashlib.md5(PUBLISHED, usedforsecurity=False).hexdigest()


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "published.tar.gz"
    path.write_bytes(PUBLISHED)
    return path.as_uri()


@pytest.fixture
def cut_short():
    """An address where the connection ends after a tenth of the file."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 100)

        def log_message(self, *arguments):
            """Nothing is printed."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_connection_that_is_cut_is_one_sentence_and_leaves_nothing(tmp_path, cut_short):
    with pytest.raises(ValueError, match=r"cannot be fetched from here \(.*100 bytes.*\); try again"):
        fetch_cifar10(tmp_path / "data", cut_short, MD5)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("files", [(), CONTENT[:3]])
def test_a_folder_without_all_of_the_content_does_not_count(tmp_path, published, files):
    folder = tmp_path / "data"
    (folder / FOLDER).mkdir(parents=True)
    for name in files:
        (folder / FOLDER / name).write_bytes(b"")
    assert fetch_cifar10(folder, published, MD5).read_bytes() == PUBLISHED


@pytest.mark.parametrize("inner", [FOLDER, ""])
def test_all_of_the_content_is_not_fetched_again(tmp_path, inner):
    (tmp_path / inner).mkdir(exist_ok=True)
    for name in CONTENT:
        (tmp_path / inner / name).write_bytes(b"")
    assert fetch_cifar10(tmp_path, "nonsense://", MD5) == tmp_path / inner


def test_half_an_archive_is_fetched_again(tmp_path, published, cut_short):
    (tmp_path / ARCHIVE).write_bytes(PUBLISHED[:9])
    with pytest.raises(ValueError, match=f"{ARCHIVE} that is there is damaged or another one"):
        fetch_cifar10(tmp_path, cut_short, MD5)
    assert (tmp_path / ARCHIVE).read_bytes() == PUBLISHED[:9]
    assert fetch_cifar10(tmp_path, published, MD5).read_bytes() == PUBLISHED
    assert fetch_cifar10(tmp_path, "nonsense://", MD5) == tmp_path / ARCHIVE
