"""Local copies of what was read from elsewhere: whole objects and blocks of large ones, within a limit of size.

A copy is named by its object's address and version, so that it is never out of date. Processes share the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from isthmus.errors import IsthmusError

_GIGABYTES = 20.0
_IN_USE = 60.0  # seconds for which a copy that was asked for is not removed
_UNCHECKED = 1 << 28  # bytes that are added before the folder is measured again


class Cache:
    """A folder of copies.

    ISTHMUS_CACHE names it, by default ~/.cache/isthmus/remote; ISTHMUS_CACHE_GB is its limit, by default 20. Beyond it
    the copies that were not used for longest are removed.
    """

    def __init__(self) -> None:
        self._added = _UNCHECKED  # the first addition of a process measures
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where copies are kept."""
        given = os.environ.get("ISTHMUS_CACHE")
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(given).expanduser() if given else Path(home) / "isthmus" / "remote"

    @property
    def limit(self) -> int:
        """Bytes that all copies may take."""
        text = os.environ.get("ISTHMUS_CACHE_GB", str(_GIGABYTES))
        try:
            limit = float(text)
        except ValueError:
            limit = -1.0
        if not limit > 0:
            raise IsthmusError(f"ISTHMUS_CACHE_GB (={text!r}) must be a number of gigabytes above 0")
        return int(limit * 1e9)

    def get(self, name: str) -> Path | None:
        """A copy that is here, which then counts as just used; None where there is none."""
        path = self.folder / name[:2] / name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def add(self, name: str, size: int, make: Callable[[Path], None]) -> Path:
        """Make a copy, a file or a folder, under a temporary name; one that another process made meanwhile is kept."""
        if size > self.limit:
            raise IsthmusError(
                f"a copy of {size / 1e9:,.1f} GB is needed here, and the cache {self.folder} may take "
                f"{self.limit / 1e9:,.1f} GB: set ISTHMUS_CACHE_GB to more"
            )
        self._make_room(size)
        path = self.folder / name[:2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=path.parent))
        try:
            made = temporary / "copy"
            make(made)
            if not path.exists():
                made.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return path

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest, where the limit would be passed."""
        with self._lock:
            self._added += size
            if self._added < min(_UNCHECKED, self.limit // 8):
                return
            self._added = 0
            copies = sorted((path for path in self.folder.glob("??/*")), key=_used)
            sizes = [_size(path) for path in copies]
            excess = sum(sizes) + size - self.limit
            for path, bytes_ in zip(copies, sizes, strict=True):
                if excess <= 0 or time.time() - _used(path) < _IN_USE:
                    break
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                excess -= bytes_


CACHE = Cache()


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has removed it
        return 0.0


def _size(path: Path) -> int:
    try:
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0
