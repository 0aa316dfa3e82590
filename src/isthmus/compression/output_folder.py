"""The folder that an archive is unpacked to: files below it are written without following links.

Where the system can (Linux, macOS), every folder is opened by the handle of the one above it, with O_NOFOLLOW: nobody
can put a link in its place in between. Elsewhere each is looked at before it is used, which leaves that gap.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from isthmus.errors import IsthmusError
from isthmus.files import atomic_path, workplace
from isthmus.remote.paths import RemotePath

_BY_HANDLE = {os.open, os.mkdir, os.stat, os.unlink, os.rename} <= os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class OutputFolder:
    """Files in a folder, by names with slashes that lie inside it. The folder itself may be a link."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    def identity(self, name: str) -> tuple[int, int] | None:
        """Device and inode of what has that name, a link itself; None where there is nothing."""
        if isinstance(self.path, RemotePath):  # a store of objects has no links, and names alone tell them apart
            return (0, hash(name)) if (self.path / name).exists() else None
        with suppress(FileNotFoundError), self._parent(name, make=False) as (handle, last):
            found = os.stat(last, dir_fd=handle, follow_symlinks=False)
            return found.st_dev, found.st_ino
        return None

    @contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        """A new file that is open for writing and takes its name when the block ends well; a link there is replaced.

        IsthmusError where a folder on the way is a link, and where the name is that of a folder.
        """
        if isinstance(self.path, RemotePath):
            with atomic_path(self.path / name) as made, made.open("w+b") as file:
                yield file
            return
        with self._parent(name, make=True) as (handle, last), workplace(self.path) as place:
            temporary = place / "file"
            with os.fdopen(os.open(temporary, _NEW, 0o666), "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if handle is None:
                temporary.replace(last)
            else:
                os.rename(temporary, last, dst_dir_fd=handle)

    @contextmanager
    def _parent(self, name: str, *, make: bool) -> Iterator[tuple[int | None, str]]:
        """The folder of a file as a handle, and the name in it; without handles None, and the whole path."""
        *folders, last = PurePosixPath(name).parts
        if make:
            self.path.mkdir(parents=True, exist_ok=True)
        if not _BY_HANDLE:
            yield None, str(self._looked_at(folders, make=make) / last)
            return
        handle = os.open(self.path, getattr(os, "O_DIRECTORY", 0))
        try:
            for folder in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=handle)
                handle = self._below(handle, folder, name)
            yield handle, last
        finally:
            os.close(handle)

    def _below(self, handle: int, folder: str, name: str) -> int:
        """The handle of a folder in an open one, which is closed."""
        try:
            below = os.open(folder, _FOLDER, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise self._refused(name, folder) from error
            raise
        os.close(handle)
        return below

    def _looked_at(self, folders: list[str], *, make: bool) -> Path:
        path = self.path
        for folder in folders:
            path = path / folder
            if make:
                path.mkdir(exist_ok=True)
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or bool(getattr(found, "st_reparse_tag", False)):
                raise self._refused("/".join(folders), folder)
        return path

    def _refused(self, name: str, folder: str) -> IsthmusError:
        return IsthmusError(
            f"the archive names a file {name!r}, and {folder!r} in {self.path} is a link or a file: nothing is written "
            f"through it; left out"
        )
