"""What goes wrong far away is one clear line, and nothing of a secret is in it."""

from __future__ import annotations

import hashlib
import io
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from tests.cli.commandline import ask
from tests.remote.conftest import KEY, SECRET

from isthmus import load, open_source
from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.remote import ranges, stores
from isthmus.remote.paths import as_path

X = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are read by blocks of a few kilobytes."""
    monkeypatch.setattr(ranges, "LARGEST_COPIED", 1000)
    monkeypatch.setattr(ranges, "_BLOCK", 2048)


def put(s3: Any, name: str, array: np.ndarray) -> str:
    content = io.BytesIO()
    np.save(content, array)
    s3.client.put_object(Bucket="data", Key=name, Body=content.getvalue())
    return f"s3://data/{name}"


class Server:
    """A web server of files by name. drops : how many requests it still breaks off in the middle. asked : of each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.drops, self.asked, self.refuses = 0, list[str](), False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, *, body: bool) -> None:
                outer.asked.append(self.path)
                content = outer.files.get(self.path.partition("?")[0])
                if content is None or outer.refuses:
                    self.send_error(403 if outer.refuses else 404)
                    return
                first, last = 0, len(content)
                if span := self.headers.get("Range"):
                    low, _, high = span.removeprefix("bytes=").partition("-")
                    first, last = int(low), min(int(high) + 1, last)
                self.send_response(206 if span else 200)
                self.send_header("Content-Length", str(last - first))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", hashlib.md5(content).hexdigest())
                self.end_headers()
                part = content[first:last]
                if body and outer.drops:
                    outer.drops -= 1
                    self.wfile.write(part[: len(part) // 2])
                    self.close_connection = True
                    self.connection.close()
                elif body:
                    self.wfile.write(part)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    server = Server()
    content = io.BytesIO()
    np.save(content, X)
    server.files = {"/X.npy": content.getvalue(), "/t.csv": b"a,b\n1,2\n3,4\n"}
    yield server
    server.close()


def test_what_is_not_there_is_said(s3: Any) -> None:
    for name, message in {
        "s3://nowhere-at-all/x.npy": "there is no bucket 'nowhere-at-all'",
        "s3://data/absent.npy": "there is no object or folder 's3://data/absent.npy'",
        "memory://absent.npy": "there is no object or folder 'memory://absent.npy'",
        "ftp://host/x.npy": "unknown kind of address 'ftp://'; did you mean 'http://'? One of: gs://, hf://, http://, "
                            "https://, memory://, s3://",
    }.items():  # fmt: skip
        with pytest.raises(IsthmusError) as caught:
            open_source(name)
        assert str(caught.value) == message
        said = ask("info", name)
        assert (said.status, said.out) == (1, "") and said.err.count("\n") == 1
    with pytest.raises(IsthmusError, match=r"^there is no bucket 'nowhere-at-all'$"):
        load("s3://nowhere-at-all/model")


@pytest.mark.parametrize("scheme", ["gs", "hf", "s3"])
def test_what_is_not_installed_is_said(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name != "fsspec" else object())
    with pytest.raises(MissingExtraError, match=rf"^{scheme}:// needs .* pip install 'isthmus\[\w+\]'"):
        open_source(f"{scheme}://bucket/x.npy")


def test_wrong_credentials(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    path = put(s3, "secret.npy", X)
    files = fsspec.get_filesystem_class("s3")
    reset = f"{s3.address}/moto-api/reset-auth"
    try:
        for after in (b"0", b"inf"):
            files.clear_instance_cache()
            urllib.request.urlopen(urllib.request.Request(reset, after, {"Content-Type": "text/plain"})).close()
            if after == b"0":
                with pytest.raises(IsthmusError) as caught:
                    open_source(path)
                said = str(caught.value)
                assert said.startswith("s3://data/secret.npy may not be read (") and "\n" not in said
                assert "credentials are missing, wrong or too weak; set AWS_ACCESS_KEY_ID" in said
                assert SECRET not in said and KEY not in said
    finally:
        files.clear_instance_cache()
    assert len(open_source(path)) == 400


def test_no_credentials(s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fsspec

    path, files = put(s3, "secret.npy", X), fsspec.get_filesystem_class("s3")
    files.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(IsthmusError, match=r"may not be read \(Unable to locate credentials\)"):
        open_source(path)
    files.clear_instance_cache()


@pytest.mark.usefixtures("large")
def test_an_object_that_changes_is_refused(s3: Any) -> None:
    path = put(s3, "changing.npy", X)
    source = open_source(path)
    np.testing.assert_array_equal(source.take([0]), X[:1])
    put(s3, "changing.npy", X + 1)
    np.testing.assert_array_equal(source.take([0]), X[:1])  # a block that is here is of the object that was opened
    for _ in range(2):
        with pytest.raises(IsthmusError, match=r"^s3://data/changing.npy changed while it was read; read it again"):
            source.take([399])
    s3.client.delete_object(Bucket="data", Key="changing.npy")
    with pytest.raises(IsthmusError, match=r"^s3://data/changing.npy changed while it was read; read it again"):
        source.take([399])
    put(s3, "changing.npy", X + 1)
    np.testing.assert_array_equal(open_source(path).take([399]), X[399:] + 1)  # opened anew, it is the new one


def test_a_broken_connection_is_mended(web: Server) -> None:
    web.drops = 2
    np.testing.assert_array_equal(open_source(f"{web.address}/X.npy").take(np.arange(400)), X)
    assert web.drops == 0


@pytest.mark.usefixtures("large")
def test_a_broken_connection_is_mended_in_the_middle(web: Server) -> None:
    source = open_source(f"{web.address}/X.npy")
    for index in np.random.default_rng(0).permutation(400)[:30].tolist():
        web.drops = 1
        np.testing.assert_array_equal(source[index], X[index])


def test_a_connection_that_stays_broken_is_said(web: Server) -> None:
    web.drops = 100
    with pytest.raises(IsthmusError, match=r"X.npy cannot be read: the connection failed 4 times, at last with: "):
        open_source(f"{web.address}/X.npy")
    web.close()
    with pytest.raises(IsthmusError, match=r"/Y.npy cannot be read: the connection failed 4 times"):
        open_source(f"{web.address}/Y.npy")


def test_secrets_of_a_web_address_are_never_said(web: Server) -> None:
    address = f"{web.address}/t.csv?X-Amz-Signature=hush"
    source = open_source(address)
    np.testing.assert_array_equal(source.take([0, 1]), [[1, 2], [3, 4]])
    assert web.asked[-1].endswith("?X-Amz-Signature=hush")
    assert "hush" not in source.name + source.location(0) + str(as_path(address)) + repr(as_path(address))
    web.refuses = True
    said = ask("info", address.replace("t.csv", "u.csv"))
    assert said.status == 1 and "u.csv may not be read" in said.err and "hush" not in said.err + said.out


def test_the_cache_keeps_within_its_limit(web: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.remote import cache

    monkeypatch.setattr(cache, "_IN_USE", -1.0)
    monkeypatch.setenv("ISTHMUS_CACHE_GB", "2e-5")  # of 20,000 bytes; each file has 9,728
    web.files = {f"/{number}.npy": web.files["/X.npy"] + bytes([number]) for number in range(5)}
    for number in range(5):
        assert len(open_source(f"{web.address}/{number}.npy")) == 400
        kept = list((tmp_path / "cache").glob("*/*"))
        assert sum(file.stat().st_size for file in kept) <= 20_000
    monkeypatch.setenv("ISTHMUS_CACHE_GB", "1e-6")
    with pytest.raises(IsthmusError, match=r"a copy of 0.0 GB is needed here, and the cache"):
        open_source(f"{web.address}/0.npy")
    monkeypatch.setenv("ISTHMUS_CACHE_GB", "much")
    with pytest.raises(IsthmusError, match=r"ISTHMUS_CACHE_GB .*'much'.* must be a number of gigabytes above 0"):
        open_source(f"{web.address}/0.npy")
