"""Files from the web: several mirrors, retries that go on where the last one stopped, checksums."""

from __future__ import annotations

import http
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
import requests
from urllib3 import Retry, exceptions

from isthmus.errors import IsthmusError

_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses of troubles that may pass
_BLOCK = 1 << 16


class _Failed(Exception):
    """A mirror does not give the file; the message says why in a few words."""


class _MayPass(exceptions.HTTPError):
    """Asking again may help; the message says what was wrong in a few words."""


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
    do where there is no network. `attempts` counts per mirror: the second comes at once, the next after 2, 4, 8 ...
    times `pause` (seconds). `timeout` is for connecting and for silence on the line (seconds).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IsthmusError(f"folder {folder} cannot be made ({error.strerror}); {offline}") from error

    def fetch(url: str, output_file: str, _: Any) -> None:
        _fetch(url, Path(output_file), file_name, Retry(attempts - 1, backoff_factor=pause), timeout)

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


def _fetch(url: str, path: Path, label: str, retry: Retry, timeout: tuple[float, float]) -> None:
    """Write what `url` gives to `path`, in several attempts if need be."""
    path.unlink()  # a temporary file that only this user may read; the cache can be shared
    path.touch()
    with _progress(label) as report, requests.Session() as session:
        while True:
            try:
                return _attempt(session, url, path, timeout, report)
            except (requests.RequestException, exceptions.HTTPError) as error:
                if not retry.total:
                    raise _Failed(_reason(error, timeout)) from error
                retry = retry.increment("GET", url, error=error)
            retry.sleep()


def _attempt(
    session: requests.Session,
    url: str,
    path: Path,
    timeout: tuple[float, float],
    report: Callable[[int, int | None], None],
) -> None:
    """One request, for the part of the file that is still missing."""
    have = path.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        status = response.status_code
        if status not in (200, 206, 416):
            raise (_MayPass if status in _PASSING else _Failed)(f"{status} {_phrase(status)}")
        resumed = status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if status != 200 and not resumed:  # what we have is not the beginning of this file
            path.write_bytes(b"")
            raise _MayPass("it sent another part of the file than was asked for")
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
        raise _MayPass(f"broke off after {done:,} of {total:,} bytes")


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "(an unknown status)"


def _reason(error: Exception, timeout: tuple[float, float]) -> str:
    """What went wrong, in a few words; the libraries' own messages are several lines of nested names."""
    if isinstance(error, _MayPass):
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
