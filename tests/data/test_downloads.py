"""Downloads, against a server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.data.datasets import Remote, RemoteFile, fetch_remote
from isthmus.data.downloads import download
from isthmus.errors import IsthmusError

BODY = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()
QUICK: dict[str, Any] = {"pause": 0.01, "timeout": (1.0, 0.4)}


class Server(http.server.ThreadingHTTPServer):
    """Remembers what it was asked for, and serves some files of its own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.files: dict[str, bytes] = {}
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    """Each path names a kind of mirror; the server keeps a list of the requests."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        kind, _, name = self.path.strip("/").partition("/")
        asked = self.headers.get("Range")
        self.server.requests.append((kind, asked))
        seen = sum(1 for request in self.server.requests if request[0] == kind)
        body = self.server.files.get(name, BODY)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if kind.isdigit():
            return self.answer(int(kind), b"<html>an error page</html>")
        if kind == "busy" and seen < 3:
            return self.answer(503, b"")
        if kind == "corrupt":
            return self.answer(200, body[:-1] + bytes([body[-1] ^ 1]))
        if kind == "short":  # without a length: only the checksum can tell
            return self.answer(200, body[:1000], length=None)
        if kind == "error-page":
            return self.answer(200, b"<html>please log in</html>")
        if kind == "gzip-marked":
            return self.answer(200, body, headers={"Content-Encoding": "gzip"})
        if kind == "breaks-always":
            return self.answer(200, body[:1000], length=len(body))
        if kind == "breaks-without-ranges":
            return self.answer(200, body[: 131_072 if seen < 3 else None], length=len(body))
        if kind in ("breaks", "stalls", "wrong-range", "no-such-range") and seen == 1:
            return self.answer(200, body[:131_072], length=len(body), stall=kind == "stalls")
        if kind == "wrong-range" and asked:
            return self.answer(206, body, headers={"Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}"})
        if kind == "no-such-range" and asked:
            return self.answer(416, b"")
        if asked:
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return self.answer(206, body[start:], headers={"Content-Range": span})
        return self.answer(200, body)

    def answer(
        self, status: int, body: bytes, *, length: int | None = -1, headers: Any = None, stall: bool = False
    ) -> None:
        length = len(body) if length == -1 else length
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if stall:
            time.sleep(1)
        if length != len(body):
            self.close_connection = True

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def get(server: Server, folder: Path, *kinds: str, **options: Any) -> Any:
    mirrors = [kind if "//" in kind else f"{server.url}{kind}/" for kind in kinds]
    return download("x.bin", MD5, mirrors, folder, offline="put it there", **{**QUICK, **options})


@pytest.mark.parametrize(
    ("kind", "ranges"),
    [
        ("good", [None]),
        ("gzip-marked", [None]),
        ("busy", [None, None, None]),
        ("breaks", [None, "bytes=131072-"]),
        ("stalls", [None, "bytes=131072-"]),
        ("breaks-without-ranges", [None, "bytes=131072-", "bytes=131072-"]),
        ("wrong-range", [None, "bytes=131072-", None]),
        ("no-such-range", [None, "bytes=131072-", None]),
    ],
)
def test_the_right_file_arrives(server: Server, tmp_path: Path, kind: str, ranges: Any) -> None:
    path = get(server, tmp_path / "new" / "folder", kind)
    assert path == tmp_path / "new" / "folder" / "x.bin" and path.read_bytes() == BODY
    assert [asked for _, asked in server.requests] == ranges
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "ordinary").touch()
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode  # so that others can use a shared cache


def test_a_terminal_shows_progress_and_a_log_file_does_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    get(server, tmp_path / "quiet", "good")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    get(server, tmp_path / "shown", "good")
    shown = capsys.readouterr()
    assert "x.bin" in shown.err and shown.out == ""


@pytest.mark.parametrize(
    ("kind", "reason", "requests"),
    [
        ("404", "404 Not Found", 1),
        ("403", "403 Forbidden", 1),
        ("500", "500 Internal Server Error", 4),
        ("599", "599 (an unknown status)", 1),
        ("corrupt", "checksum is not the published one", 1),
        ("short", "checksum is not the published one", 1),
        ("error-page", "checksum is not the published one", 1),
        ("http://127.0.0.1:9/", "no connection", 0),
    ],
)
def test_a_bad_mirror_is_named_and_nothing_is_left(
    server: Server, tmp_path: Path, kind: str, reason: str, requests: Any
) -> None:
    with pytest.raises(IsthmusError) as caught:
        get(server, tmp_path, kind)
    message = str(caught.value)
    assert message.startswith("x.bin could not be downloaded (") and message.endswith("; put it there")
    assert reason in message and (server.url if "//" not in kind else kind) in message and "\n" not in message
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == requests


def test_a_mirror_that_always_breaks_off(server: Server, tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match="broke off"):
        get(server, tmp_path, "breaks-always")
    assert len(server.requests) == 4 and list(tmp_path.iterdir()) == []


def test_the_next_mirror_is_tried(server: Server, tmp_path: Path) -> None:
    assert get(server, tmp_path, "404", "corrupt", "short", "good").read_bytes() == BODY
    assert [kind for kind, _ in server.requests] == ["404", "corrupt", "short", "good"]
    with pytest.raises(IsthmusError, match=r"404/: 404 Not Found; .*500/: 500 Internal"):
        get(server, tmp_path / "other", "404", "500")


def test_a_whole_file_is_not_fetched_again_and_a_damaged_one_is(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path, "good")
    get(server, tmp_path, "good")
    assert len(server.requests) == 1
    path.write_bytes(BODY[:-1])
    get(server, tmp_path, "good")
    assert len(server.requests) == 2 and path.read_bytes() == BODY
    path.write_bytes(b"damaged")
    with pytest.raises(IsthmusError):
        get(server, tmp_path, "corrupt")
    assert list(tmp_path.iterdir()) == [path]


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IsthmusError, match=r"cannot be made .*; put it there"):
        get(server, tmp_path / "file" / "folder", "good")


def idx_gz(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def remote(server: Server) -> Remote:
    """A small data set as published by our server."""
    arrays = {"images-ubyte.gz": np.arange(24).reshape(4, 3, 2), "labels-ubyte.gz": np.arange(4)}
    server.files.update({name: idx_gz(array.astype(np.uint8)) for name, array in arrays.items()})
    files = [
        RemoteFile(name, hashlib.md5(server.files[name]).hexdigest(), array.shape) for name, array in arrays.items()
    ]
    return Remote("tiny", (server.url + "404/", server.url + "good/"), tuple(files))


def test_a_data_set_is_fetched_into_the_cache_once(
    server: Server, remote: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path))
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    folder = fetch_remote(remote, **QUICK)
    assert folder == tmp_path / "tiny" and len(server.requests) == 4
    assert sorted(path.name for path in folder.iterdir()) == ["images-ubyte.gz", "labels-ubyte.gz"]
    assert fetch_remote(remote, **QUICK) == folder and len(server.requests) == 4
    (folder / "labels-ubyte.gz").unlink()  # only what is missing is fetched
    assert fetch_remote(remote, **QUICK) == folder and len(server.requests) == 6


def test_what_to_do_offline(server: Server, remote: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "data"))
    nowhere = Remote("tiny", ("http://127.0.0.1:9/",), remote.files)
    with pytest.raises(IsthmusError) as caught:
        fetch_remote(nowhere, **QUICK)
    assert f"put images-ubyte.gz into {tmp_path / 'cache' / 'tiny'}" in str(caught.value)
    assert "ISTHMUS_DATA" in str(caught.value)
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    (folder / "images-ubyte").write_bytes(gzip.decompress(server.files["images-ubyte.gz"]))  # unpacked
    repacked = gzip.compress(gzip.decompress(server.files["labels-ubyte.gz"]), 1)
    (folder / "labels-ubyte.gz").write_bytes(repacked)
    assert fetch_remote(nowhere, **QUICK) == folder
    (folder / "images-ubyte").write_bytes(b"\0\0\x08\3" + bytes(12))  # of another shape: not this data set
    with pytest.raises(IsthmusError, match="could not be downloaded"):
        fetch_remote(nowhere, **QUICK)
