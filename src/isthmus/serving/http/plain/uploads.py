"""What a request brings, on disk while it is answered: a raw body or the files of a form, piece by piece."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile

from isthmus.errors import IsthmusError
from isthmus.serving.http.limits import Limits, Refusal
from isthmus.serving.http.plain.formats import MULTIPART, Format, format_of, media_type

T = TypeVar("T")
_MOST_FILES = 256  # of a form
_SAFE = re.compile(r"\w[\w .()+-]{0,99}")


@dataclass(frozen=True)
class Upload:
    """A file of a request. path : where it lies now; only the last part comes from the client, and that is checked."""

    path: Path
    format: Format


class Scratch:
    """A folder for the files of one request, deleted once both the request and its work have ended.

    Work may go on when nobody waits for it any more; it keeps the folder until it ends.

    >>> with Scratch() as folder:
    ...     exists = folder.path.is_dir()
    >>> exists, folder.path.exists()
    (True, False)
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="isthmus-request-"))
        self._inside, self._lock = 0, threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self._inside += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                shutil.rmtree(self.path, ignore_errors=True)

    def run(self, work: Callable[[], T]) -> T:
        """Do something with the files; errors name them as the client does, and never mention the folder."""
        with self:
            try:
                return work()
            except Refusal:
                raise
            except IsthmusError as error:
                raise IsthmusError(str(error).replace(f"{self.path}/", "")) from error

    async def aside(self, work: Callable[[], T]) -> T:
        """`run`, beside the event loop."""
        return await asyncio.to_thread(self.run, work)


async def received(request: Request, scratch: Scratch, limits: Limits, known: tuple[Format, ...]) -> list[Upload]:
    """The body of a request as files in a folder: one, or those of a form.

    known : formats that are read. Raises `Refusal` for others.
    """
    media = media_type(request.headers.get("content-type", ""))
    if media == MULTIPART:
        async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FILES) as form:
            return await scratch.aside(lambda: _files_of(form, scratch.path, known))
    found = _known(format_of(media), known, f"Content-Type {media[:60]!r}")
    return [Upload(await _body(request, scratch.path / f"body{found.suffix}"), found)]


async def _body(request: Request, path: Path) -> Path:
    size = 0
    with path.open("wb") as file:
        async for piece in request.stream():
            size += file.write(piece)
    if not size:
        raise Refusal(400, "the body is empty")
    return path


def _files_of(form: Any, folder: Path, known: tuple[Format, ...]) -> list[Upload]:
    found: list[Upload] = []
    for field, value in form.multi_items():
        if not isinstance(value, UploadFile):
            raise Refusal(400, f"field {field[:60]!r} is no file; options are part of the address, as in ?seed=1")
        name = value.filename or ""
        form_of = _known(format_of(value.content_type or "", name), known, f"file {name[:60]!r}")
        wanted = path = folder / _safe(name, len(found), form_of)
        number = 1
        while path.exists():
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        with path.open("xb") as file:
            shutil.copyfileobj(value.file, file)
        found.append(Upload(path, form_of))
    if not found:
        raise Refusal(400, "the form holds no file")
    return found


def _known(found: Format | None, known: tuple[Format, ...], what: str) -> Format:
    if found not in known or found is None:
        raise Refusal(415, f"{what} is not read; send {', '.join(one.media for one in known)}")
    return found


def _safe(name: str, number: int, found: Format) -> str:
    """What a file of a form is called here: the last part of its name, if that is harmless."""
    last = PurePosixPath(name.replace("\\", "/")).name
    stem, suffix = PurePosixPath(last).stem, PurePosixPath(last).suffix
    if not _SAFE.fullmatch(stem) or suffix.lower() not in found.suffixes or len(last.encode()) > 200:
        return f"file-{number}{found.suffix}"
    return last
