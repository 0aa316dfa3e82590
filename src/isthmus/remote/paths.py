"""Paths that lead elsewhere, which everything that takes a `Path` can read.

`RemotePath` answers what a path is asked: whether it exists, what lies below it, how large it is. Where a library wants
a file on this machine, `os.fspath` makes a copy in the cache and names that, so that no reader knows the difference.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Generator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Self

from isthmus.errors import IsthmusError
from isthmus.remote.cache import CACHE
from isthmus.remote.stores import Found, Store, check_scheme, fingerprint, shown

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())  # before Python 3.12 only the concrete class can have subclasses
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+-]+):/+(?=[^/])")  # a Path has lost the second slash
_WITH_BUCKETS = ("s3", "gs")
_READ_ONLY = ("http", "https")


def as_path(name: str | os.PathLike[str]) -> Path:
    """A path on this machine, ~ expanded, or elsewhere: s3://, gs://, hf://, http(s)://, memory:// and file://.

    Raises IsthmusError for another scheme, or one whose packages are not installed.

    Examples
    --------
    >>> from isthmus.remote.paths import as_path
    >>> as_path("memory://bucket/table.parquet").suffix
    '.parquet'
    >>> str(as_path("https://someone:secret@example.org/table.csv?key=secret"))
    'https://example.org/table.csv'
    """
    if isinstance(name, RemotePath):
        return name
    text = str(name)
    found = _ADDRESS.match(text)
    if found is None:
        return Path(name).expanduser()
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme == "file":
        return Path("/", rest)
    check_scheme(scheme)
    address = f"{scheme}://{rest}"
    path = RemotePath(shown(address))
    if scheme in _READ_ONLY:
        path.secret = address
    return path


class RemotePath(_Base):
    """A path in a store. `str` gives its address, without secrets; `os.fspath` a copy on this machine.

    secret : the whole address, where it holds a password or a query. seen : what lay there when it was first read;
    what is read later must be the same.
    """

    secret: str | None = None
    seen: Found | None = None

    def __str__(self) -> str:
        text = super().__str__()
        scheme, colon, rest = text.partition(":/")
        return f"{scheme}://{rest}" if colon and "/" not in scheme else text

    def __fspath__(self) -> str:
        return str(self.local())

    @property
    def scheme(self) -> str:
        """As "s3"."""
        return self.parts[0].removesuffix(":")

    @property
    def address(self) -> str:
        """The whole address; not to be printed."""
        return self.secret or str(self)

    @property
    def store(self) -> Store:
        """Where it lies."""
        return Store(self.scheme)

    def found(self) -> Found:
        """What lay here when it was first asked; FileNotFoundError where nothing did."""
        if self.seen is None:
            self.seen = self.store.find(self.address)
        if self.seen is None:
            raise FileNotFoundError(errno.ENOENT, self.absence(), str(self))
        return self.seen

    def local(self) -> Path:
        """A copy on this machine, of an object or of all that lies below a folder."""
        found = self.found()
        if found.is_folder:
            return self._local_folder()
        name = f"{fingerprint(self.address, found)}-{self.name[-100:]}"
        return CACHE.get(name) or CACHE.add(
            name, max(0, found.size), lambda made: self.store.copy(self.address, made, found)
        )

    def _local_folder(self) -> Path:
        files = {path.relative_to(self).as_posix(): path for path in self.rglob("*")}
        versions = "\n".join(f"{name} {path.found().version}" for name, path in sorted(files.items()))
        size = sum(path.found().size for path in files.values())
        name = f"{fingerprint(self.address, Found(size, versions))}-{self.name[-100:]}"

        def make(made: Path) -> None:
            for relative, path in files.items():
                target = made / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                self.store.copy(path.address, target, path.found())

        return CACHE.get(name) or CACHE.add(name, size, make)

    def absence(self) -> str:
        """Why nothing was found, in words."""
        bucket = self.bucket
        if bucket is not None and self.store.find(str(bucket)) is None:
            return f"there is no bucket {bucket.name!r}"
        return f"there is no object or folder {str(self)!r}"

    @property
    def bucket(self) -> RemotePath | None:
        """The bucket, in stores that have such."""
        return type(self)(*self.parts[:2]) if self.scheme in _WITH_BUCKETS and len(self.parts) > 1 else None

    def check_writable(self) -> None:
        """Refuse a place where no object can be written."""
        if self.scheme in _READ_ONLY:
            raise IsthmusError(f"cannot write {self}: {self.scheme}:// is for reading; name a file, or s3://BUCKET/...")
        bucket = self.bucket
        if bucket is not None and self.store.find(str(bucket)) is None:
            raise IsthmusError(f"cannot write {self}: there is no bucket {bucket.name!r}")

    def upload(self, file: Path) -> None:
        """Write a local file here, whole or not at all."""
        self.seen = None
        try:
            self.store.write(file, self.address)
        except FileNotFoundError:
            raise IsthmusError(f"cannot write {self}: {self.absence()}") from None

    def exists(self, **_: Any) -> bool:
        """Whether an object or a folder lies here now."""
        found = self.store.find(self.address)
        self.seen = self.seen or found
        return found is not None

    def _is(self, folder: bool) -> bool:
        try:
            return self.found().is_folder == folder
        except FileNotFoundError:
            return False

    def is_file(self, **_: Any) -> bool:
        """Whether it is an object."""
        return self._is(False)

    def is_dir(self, **_: Any) -> bool:
        """Whether it is a folder: a prefix of names of objects."""
        return self._is(True)

    def is_symlink(self) -> bool:
        """Stores have no links."""
        return False

    def stat(self, **_: Any) -> os.stat_result:
        """The size and whether it is a folder; nothing else is known."""
        found = self.found()
        mode = stat.S_IFDIR | 0o755 if found.is_folder else stat.S_IFREG | 0o644
        number = hash(str(self)) & (2**63 - 1)  # which tells files apart
        return os.stat_result((mode, number, 0, 1, 0, 0, max(0, found.size), 0, 0, 0))

    def iterdir(self) -> Generator[Self, None, None]:
        """What lies directly below."""
        yield from self._all(self.store.children(self.address))

    def rglob(self, pattern: str) -> Generator[Self, None, None]:
        """The objects below whose names match."""
        found = self.store.below(self.address)
        yield from self._all({name: f for name, f in found.items() if PurePosixPath(name).match(pattern)})

    @cached_property
    def files(self) -> list[Self]:
        """The objects below, as they were when they were first listed."""
        return list(self.rglob("*"))

    def glob(self, pattern: str) -> Generator[Self, None, None]:
        """The objects whose paths from here match."""
        depth = pattern.count("/")
        yield from (path for path in self.rglob(pattern) if len(path.parts) - len(self.parts) == depth + 1)

    def _all(self, found: dict[str, Found]) -> Generator[Self, None, None]:
        for name in sorted(found):
            path = self / name
            path.seen = found[name]
            yield path

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:  # type: ignore[override]
        """A copy, to be read."""
        if set(mode) & set("wax+"):
            raise IsthmusError(f"{self} can be written as a whole only")
        return self.local().open(mode, *args, **kwargs)

    def mkdir(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: folders come with the objects in them."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        self.store.remove(self.address)

    def absolute(self) -> Self:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Itself."""
        return self

    def expanduser(self) -> Self:
        """Itself."""
        return self
