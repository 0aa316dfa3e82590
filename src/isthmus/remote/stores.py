"""Where addresses lead: objects are looked up, listed, read and written, each failure told in one line.

fsspec speaks to the stores. What is here is what it leaves open: which mistakes are the user's and how they are said,
how often an interrupted connection is tried again, and that an object which changes while it is read is noticed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from isthmus.errors import IsthmusError, MissingExtraError, unknown_name

T = TypeVar("T")

SCHEMES = {  # what each needs beside fsspec: the module; the extra, and packages of no extra, that bring it
    "s3": ("s3fs", "remote"),
    "gs": ("gcsfs", "remote", "gcsfs"),
    "hf": ("huggingface_hub", "hub"),
    "http": ("aiohttp", "remote"),
    "https": ("aiohttp", "remote"),
    "memory": ("fsspec", "remote"),
}
_PAUSES = (0.1, 0.5, 2.0)  # seconds before a failed request is sent again
_VERSION = ("ETag", "etag", "sha256", "md5Hash", "LastModified", "Last-Modified", "blob_id", "updated", "mtime")
_UNSURE = f"{os.getpid()}-{time.time_ns()}"  # stands for the version of an object whose store tells none
_OF_LIBRARIES = ("aiohttp", "aiobotocore", "botocore", "urllib3", "requests", "httpx", "httpcore", "httpx2",
                 "httpcore2", "asyncio", "gcsfs")  # fmt: skip
_REFUSED = ("NoCredentials", "PartialCredentials", "CredentialRetrieval", "TokenRetrieval", "SSOToken", "Unauthorized",
            "GatedRepo", "ProfileNotFound", "Forbidden", "DefaultCredentials")  # fmt: skip
_HINTS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or FSSPEC_S3_ANON=true for a public bucket",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
    "hf": "set HF_TOKEN",
}
_COMMIT = re.compile(r"@[0-9a-f]{40}(/|$)")  # in an address of the hub: what lies there never changes


@dataclass(frozen=True)
class Found:
    """What lies at an address. size : of an object, in bytes. version : changes when the object does; "" of a folder.

    Two objects with one version have the same bytes.
    """

    size: int
    version: str

    @property
    def is_folder(self) -> bool:
        return not self.version


class Store:
    """The objects behind one scheme. Addresses are complete: with scheme, and with whatever secret a query holds."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme

    @property
    def _files(self) -> Any:
        """The file system of fsspec, of which each process has one."""
        check_scheme(self.scheme)
        import fsspec

        options: dict[str, Any] = {}
        if self.scheme == "s3":  # listings that are remembered would hide what has changed since
            options = {"use_listings_cache": False, "config_kwargs": {"retries": {"total_max_attempts": 1}}}
        files = fsspec.filesystem(self.scheme, **options)
        if self.scheme == "s3":
            files.retries = 1  # `patiently` tries again
        return files

    def find(self, address: str) -> Found | None:
        """What lies at an address; None where nothing does."""
        if self.scheme == "hf" and not _COMMIT.search(address):
            self._files.invalidate_cache()  # it remembers listings, which would hide what has changed since
        try:
            return self._found(patiently(address, lambda: self._files.info(address)))
        except FileNotFoundError:
            return None

    def children(self, address: str) -> dict[str, Found]:
        """What lies directly below a folder, by name."""
        return self._listed(address, lambda: self._files.ls(address, detail=True))

    def below(self, address: str) -> dict[str, Found]:
        """All objects below a folder, by their path from there."""
        found = self._listed(address, lambda: self._files.find(address, detail=True).values())
        return {name: object_ for name, object_ in found.items() if not object_.is_folder}

    def read(self, address: str, ranges: Sequence[tuple[int, int]], expected: Found) -> list[bytes]:
        """Some ranges of bytes (start, stop) of an object, all at once, which must still be the one expected."""
        starts, stops = (list(part) for part in zip(*ranges, strict=True))

        def ask() -> list[bytes]:
            parts = self._files.cat_ranges([address] * len(ranges), starts, stops, on_error="raise")
            if any(len(part) != stop - start for part, (start, stop) in zip(parts, ranges, strict=True)):
                raise _Short("fewer bytes came than were asked for")
            return list(parts)

        return self._checked(address, ask, expected)

    def copy(self, address: str, target: Path, expected: Found) -> None:
        """A whole object as a local file; it must still be the one expected."""

        def ask() -> None:
            self._files.get_file(address, str(target))
            if target.stat().st_size != expected.size >= 0:
                raise _Short("fewer bytes came than were asked for")

        self._checked(address, ask, expected)

    def write(self, file: Path, address: str) -> None:
        """A local file as an object, whole or not at all."""
        patiently(address, lambda: self._files.put_file(str(file), address), to="written")

    def remove(self, address: str) -> None:
        """Remove an object."""
        patiently(address, lambda: self._files.rm_file(address), to="removed")

    def _checked(self, address: str, ask: Callable[[], T], expected: Found) -> T:
        """What `ask` reads. The object is looked up afterwards: the same version then means the same one all along."""
        try:
            read = patiently(address, ask)
        except (FileNotFoundError, IsthmusError) as error:
            if isinstance(error, IsthmusError) and self.find(address) == expected:
                raise
            raise _changed(address) from None
        if self.find(address) != expected:
            raise _changed(address)
        return read

    def _listed(self, address: str, ask: Callable[[], Any]) -> dict[str, Found]:
        try:
            entries = patiently(address, ask)
        except FileNotFoundError:
            return {}
        top = self._files._strip_protocol(address).rstrip("/") + "/"
        names = ((self._files._strip_protocol(entry["name"]).rstrip("/"), entry) for entry in entries)
        return {name.removeprefix(top): self._found(entry) for name, entry in names if name.startswith(top)}

    def _found(self, info: dict[str, Any]) -> Found:
        """What fsspec says of an object."""
        size, page = info.get("size"), info.get("mimetype") == "text/html"
        if info["type"] == "directory" or (page and not Path(info["name"].partition("?")[0]).suffix):
            return Found(0, "")
        said = [str(info[key]) for key in _VERSION if info.get(key)][:1]
        if self.scheme == "memory":
            said = [f"{info.get('created')} {self._files.modified(info['name'])} {_UNSURE}"]
        return Found(-1 if size is None else int(size), (said or [_UNSURE])[0])


class _Short(OSError):
    """A connection that was closed before all bytes had come."""


def check_scheme(scheme: str) -> None:
    """Refuse a scheme that nobody knows, or whose packages are not installed."""
    if scheme not in SCHEMES:
        raise unknown_name("kind of address", f"{scheme}://", [f"{name}://" for name in SCHEMES])
    module, *needed = SCHEMES[scheme]
    if any(importlib.util.find_spec(name) is None for name in ("fsspec", module)):
        raise MissingExtraError(f"{scheme}://", *needed)


def shown(address: str) -> str:
    """An address as it may be printed: without a password, a query or anything else that could be a secret."""
    scheme, _, rest = address.partition("://")
    place, _, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}/{path}".rstrip("/") if rest else address


def fingerprint(address: str, found: Found) -> str:
    """A name for one version of an object, which tells nothing of the address."""
    return hashlib.sha256(f"{address}\n{found.version}\n{found.size}".encode()).hexdigest()[:32]


def _changed(address: str) -> IsthmusError:
    return IsthmusError(f"{shown(address)} changed while it was read; read it again from the start")


def patiently(address: str, ask: Callable[[], T], *, to: str = "read") -> T:
    """Ask, and again after a pause where the connection failed; any failure but FileNotFoundError is one clear line."""
    for pause in (*_PAUSES, None):
        try:
            return ask()
        except IsthmusError:
            raise
        except Exception as caught:  # of half a dozen libraries
            error = _cause(caught)
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError from None
            if pause is None or not _may_pass(error):
                raise _told(address, error, to, _may_pass(error)) from None  # its chain may hold the query
        time.sleep(pause)
    raise AssertionError


def _cause(error: Exception) -> Exception:
    """What a library has met: fsspec says of every failure of a web server that there is no such file."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or not isinstance(cause, Exception):
        return error
    of_the_web = type(cause).__module__.startswith("aiohttp") and getattr(cause, "status", None) not in (404, 410)
    return cause if of_the_web else error


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    status = _status(error)
    if isinstance(status, int) and 400 <= status < 500:
        return status in (408, 425, 429)
    if _is_refusal(error) or "Validation" in type(error).__name__:
        return False
    local = isinstance(error, OSError) and error.errno in (28, 122, 30)  # a disk that is full, or may not be written
    ours = isinstance(error, OSError | TimeoutError | EOFError) and not isinstance(error, IsADirectoryError)
    return not local and (ours or type(error).__module__.partition(".")[0] in _OF_LIBRARIES)


def _status(error: Exception) -> Any:
    """The status of a web server's answer; None where the error has none."""
    answer = getattr(error, "response", None)  # of the hub; botocore has a dictionary there
    return getattr(error, "status", None) or getattr(error, "code", None) or getattr(answer, "status_code", None)


def _is_refusal(error: Exception) -> bool:
    status = _status(error)
    refused = any(word in type(error).__name__ for word in _REFUSED)
    return isinstance(error, PermissionError) or status in (401, 403, "401", "403") or refused


def _told(address: str, error: Exception, to: str, interrupted: bool) -> Exception:
    """An error of a library as one line without secrets."""
    scheme, where = address.partition("://")[0], shown(address)
    reason = _without_secrets(error, address)
    if _is_refusal(error):
        hint = _HINTS.get(scheme, "the address needs other rights")
        return IsthmusError(f"{where} may not be {to} ({reason}): credentials are missing, wrong or too weak; {hint}")
    if interrupted:
        times = len(_PAUSES) + 1
        return IsthmusError(f"{where} cannot be {to}: the connection failed {times} times, at last with: {reason}")
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return error  # of this machine
    return IsthmusError(f"{where} cannot be {to}: {reason}")


def _without_secrets(error: Exception, address: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"://[^/\s@'\"]*@", "://", text.replace(address, shown(address)))
    return re.sub(r"\?[^\s'\")]+", "", text)[:200]
