"""Files that are whole or absent: written in a hidden folder beside their place, flushed, then renamed.

What lies elsewhere (`RemotePath`) is made on this machine and then sent, object by object.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.errors import IsthmusError
from isthmus.remote.paths import RemotePath, as_path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    import numpy as np

WORKPLACE = ".isthmus-writing-"  # begins the name of a folder in which something is being written
_LOCK, _REPLACED = "lock", "replaced"  # files in one: what its writer holds, and what must not be lost
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)  # of a file system that has none
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux

_swept: set[tuple[int, Path]] = set()  # process and folder: what died there before this process is gone


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name of the same suffix, whose file becomes `path` when the block ends without an error."""
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    """A temporary name for each path; all of them take their places, in this order, when the block ends well.

    The first one is renamed only when all are on the disk: a full disk replaces none of them. Raises IsthmusError where
    a place is taken by something that is no file.
    """
    targets = [as_path(path) for path in paths]
    for path in targets:
        check_replaceable(path)
    with ExitStack() as stack:
        places = {parent: stack.enter_context(workplace(parent)) for parent in {path.parent for path in targets}}
        temporaries = tuple(places[path.parent] / path.name for path in targets)
        for temporary in temporaries:
            temporary.touch()
        modes = [temporary.stat().st_mode for temporary in temporaries]
        yield temporaries
        for temporary, mode in zip(temporaries, modes, strict=True):
            temporary.chmod(mode)  # some libraries write files for this user alone
            flush(temporary)
        for temporary, path in zip(temporaries, targets, strict=True):
            replace(temporary, path)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A place of the same name in a temporary folder; what is made there becomes `path` when the block ends well.

    What was at `path` before is replaced, and kept where anything fails. Raises IsthmusError where it is no folder.
    """
    path = as_path(path)
    if path.exists() and not path.is_dir():
        raise IsthmusError(f"cannot write {path}: it is a file, and a folder is to be written")
    with workplace(path.parent) as place:
        made = place / path.name
        yield made
        if isinstance(path, RemotePath):
            _send(made, path)
            return
        try:
            made.rename(path)  # succeeds where there is nothing, or an empty folder
        except OSError:
            if not path.is_dir():
                raise
            if not _exchanged(made, path):
                _replaced_in_two_steps(made, path)


@contextmanager
def workplace(folder: Path, name: str = "") -> Iterator[Path]:
    """A hidden folder in `folder` for what is not whole yet; it is removed when the block ends, however it ends.

    Its writer holds a lock that the system releases when the process dies: so what dead writers left is told from what
    is in use, and removed by whoever writes into `folder` next. name : of the only place of its kind, for which others
    wait; for what must not be done by two at once.
    """
    if isinstance(folder, RemotePath):
        folder.check_writable()
        with workplace(Path(tempfile.gettempdir())) as made:
            yield made
        return
    folder.mkdir(parents=True, exist_ok=True)
    if name or (os.getpid(), folder.absolute()) not in _swept:
        _sweep(folder)
    place, lock = _claimed(folder, name)
    try:
        yield place
    finally:
        _release(place, lock)


def is_unfinished(path: Path) -> bool:
    """Whether a path is, or lies in, a folder of something that is being written, or was when its writer died."""
    return any(part.startswith(WORKPLACE) for part in path.parts)


def is_occupied(path: Path) -> bool:
    """Whether there is a file, or a folder with more in it than what a dead writer left."""
    if path.is_dir():
        return not all(inside.name.startswith(WORKPLACE) for inside in path.iterdir())
    return path.exists()


def check_replaceable(path: Path) -> None:
    """Refuse to put a file in the place of a folder, a pipe or a device, or where nothing can be written."""
    if isinstance(path, RemotePath):
        path.check_writable()
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise IsthmusError(f"cannot write {path}: it is {what}; name a file, or move it away")


def replace(made: Path, path: Path) -> None:
    """Put a file of a workplace in its place, at once."""
    path.upload(made) if isinstance(path, RemotePath) else made.replace(path)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; folders where the system can."""
    if isinstance(path, RemotePath):
        return
    if not path.is_dir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        return
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _claimed(folder: Path, name: str) -> tuple[Path, int]:
    """A new workplace, or the one of that name when it is free, and its lock."""
    while True:
        try:
            if name:
                place = folder / f"{WORKPLACE}{name}"
                place.mkdir(mode=0o700, exist_ok=True)
            else:
                place = Path(tempfile.mkdtemp(prefix=WORKPLACE, dir=folder))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error  # users know no workplaces
        try:
            lock = _lock(place, wait=True)
        except FileNotFoundError:
            continue
        _empty(place)
        return place, lock


def _lock(place: Path, *, wait: bool) -> int:
    """The lock of a workplace, as an open file.

    Raises FileNotFoundError where another process has removed it, BlockingIOError where one holds it.
    """
    path = place / _LOCK
    safely = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | safely, 0o600)
    try:
        try:
            _acquire(handle, wait)
        except OSError as error:
            if not wait or error.errno not in _NO_LOCKS:
                raise
        if not os.path.samestat(os.fstat(handle), path.stat()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _acquire(handle: int, wait: bool) -> None:
    """Lock an open file, until it is closed or the process dies."""
    if sys.platform == "win32":
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _release(place: Path, lock: int) -> None:
    """Remove a workplace whose lock we hold; the lock last, as it lets the next one in."""
    _empty(place)
    if sys.platform == "win32":
        os.close(lock)  # an open file cannot be removed there
    with suppress(OSError):
        (place / _LOCK).unlink(missing_ok=True)
        place.rmdir()
    if sys.platform != "win32":
        os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove the workplaces of dead writers; what one of them was about to replace takes its place again."""
    _swept.add((os.getpid(), folder.absolute()))
    with os.scandir(folder) as entries:
        found = [Path(e) for e in entries if e.name.startswith(WORKPLACE) and e.is_dir(follow_symlinks=False)]
    for place in found:
        with suppress(OSError):  # in use, another user's, or gone by now
            lock = _lock(place, wait=False)
            for kept in (place / _REPLACED).glob("*"):
                if not (folder / kept.name).exists():
                    kept.rename(folder / kept.name)
            _release(place, lock)


def _empty(place: Path) -> None:
    """Remove all but the lock."""
    with suppress(OSError):
        for path in place.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two names change places at once, where the system can (Linux); returns whether they did."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def _replaced_in_two_steps(made: Path, path: Path) -> None:
    """`made` in the place of `path`; who is killed in between leaves what `_sweep` puts back."""
    aside = made.parent / _REPLACED / path.name
    aside.parent.mkdir()
    path.rename(aside)
    try:
        made.rename(path)
    except OSError:
        aside.rename(path)
        raise


def printable(name: str | Path) -> str:
    """A file's name as text that every format and terminal takes: a byte that is no UTF-8 becomes ``\\xe9``."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` at once."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write UTF-8 `content` to `path` at once."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def npy_file(path: str | Path, rows: int) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a block (k, ...) to a .npy file of so many rows, which is whole or absent in the end."""
    import numpy as np

    with atomic_path(path) as temporary:
        target: np.ndarray | None = None
        start = 0

        def add(block: np.ndarray) -> None:
            nonlocal target, start
            if target is None:
                shape = (rows, *block.shape[1:])
                target = np.lib.format.open_memmap(temporary, mode="w+", dtype=block.dtype, shape=shape)
                _allocate(temporary)
            target[start : start + len(block)] = block
            start += len(block)

        yield add
        target = None  # flushes it


def to_json_lines(entries: Sequence[Mapping[str, Any]]) -> str:
    """One line of JSON for each entry."""
    return "".join(json.dumps(dict(entry)) + "\n" for entry in entries)


def _send(folder: Path, target: RemotePath) -> None:
    """Put a folder in the place of another: its files in the order in which they were written, then away with the rest.

    What a writer wrote last makes its folder valid.
    """
    old = set(target.rglob("*"))
    files = sorted((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_mtime_ns)
    sent = [target / file.relative_to(folder).as_posix() for file in files]
    for file, path in zip(files, sent, strict=True):
        path.upload(file)
    for path in old.difference(sent):
        path.unlink()


def _allocate(path: Path) -> None:
    """Take the room on the disk that a file's length promises: a full one is an OSError here, and a crash in a map."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
