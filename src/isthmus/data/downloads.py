"""Files from the web: several mirrors, retries that go on where the last one stopped, checksums."""

from __future__ import annotations

import http
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.errors import IsthmusError

_RETRY = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses of troubles that may pass
_BLOCK = 1 << 16


class _Failed(Exception):
    """A mirror did not give the file; the message says why in a few words."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final  # asking again is of no use


def download(
    file_name: str,
    md5: str,
    mirrors: Iterable[str],
    folder: Path,
    *,
    offline: str,
    attempts: int = 4,
    pause: float = 0.5,
    timeout: tuple[float, float] = (10.0, 30.0),
) -> Path:
    """Fetch one file into `folder` from the first mirror that gives it, whole and with the right checksum.

    The file appears under its name only when it is complete. `offline` is the end of the error's message: what to
    do where there is no network. `attempts` counts per mirror, `pause` (seconds) is doubled after each, `timeout`
    is for connecting and for silence on the line (seconds).
    """
    import pooch

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IsthmusError(f"folder {folder} cannot be made ({error.strerror}); {offline}") from error

    def fetch(url: str, output_file: str, _: Any) -> None:
        _fetch(url, Path(output_file), file_name, attempts, pause, timeout)

    troubles = []
    with _quiet(pooch.get_logger()):
        for mirror in mirrors:
            url = mirror + file_name
            try:
                return Path(pooch.retrieve(url, f"md5:{md5}", file_name, folder, downloader=fetch))
            except _Failed as error:
                troubles.append(f"{mirror}: {error}")
            except ValueError:  # pooch's for a wrong checksum
                troubles.append(f"{mirror}: the file's checksum is not the published one")
            except OSError as error:
                raise IsthmusError(f"{folder / file_name} cannot be written ({error}); {offline}") from error
    raise IsthmusError(f"{file_name} could not be downloaded ({'; '.join(troubles)}); {offline}")


def _fetch(url: str, path: Path, label: str, attempts: int, pause: float, timeout: tuple[float, float]) -> None:
    """Write what `url` gives to `path`, in several attempts if need be."""
    import requests
    from urllib3.exceptions import HTTPError

    path.unlink()  # a temporary file that only this user may read; the cache can be shared
    path.touch()
    with _progress(label) as report, requests.Session() as session:
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                return _attempt(session, url, path, timeout, report)
            except (requests.RequestException, HTTPError, _Failed) as error:
                reason = _reason(error, timeout)
                if isinstance(error, _Failed) and error.final:
                    break
        raise _Failed(reason)


def _attempt(
    session: Any, url: str, path: Path, timeout: tuple[float, float], report: Callable[[int, int | None], None]
) -> None:
    """One request, for the part of the file that is still missing."""
    have = path.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        status = response.status_code
        if status not in (200, 206, 416):
            raise _Failed(f"{status} {_phrase(status)}", final=status not in _RETRY)
        resumed = status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if status != 200 and not resumed:  # what we have is not the beginning of this file
            path.write_bytes(b"")
            raise _Failed("it sent another part of the file than was asked for")
        if not resumed:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with path.open("r+b") as file:
            file.truncate(have)
            file.seek(have)
            # The bytes as they are sent: some servers mark a .gz file itself as a compressed transfer.
            for block in response.raw.stream(_BLOCK, decode_content=False):
                file.write(block)
                report(file.tell(), total)
            done = file.tell()
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done != total:
        raise _Failed(f"broke off after {done:,} of {total:,} bytes")


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "(an unknown status)"


def _reason(error: Exception, timeout: tuple[float, float]) -> str:
    """What went wrong, in a few words; the libraries' own messages are several lines of nested names."""
    import requests
    from urllib3 import exceptions

    if isinstance(error, _Failed):
        return str(error)
    if isinstance(error, requests.Timeout | exceptions.TimeoutError):
        return f"no answer within {timeout[0 if isinstance(error, requests.ConnectTimeout) else 1]:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let us through"
    if isinstance(error, exceptions.ProtocolError | requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return " ".join(str(error).split())[:200]


@contextmanager
def _quiet(logger: Any) -> Iterator[None]:
    """Without pooch's own lines about each download; ours is the progress bar."""
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns: Sequence[Any] = (TextColumn(label), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
