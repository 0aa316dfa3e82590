"""Inputs to the members of an archive: every file of every folder, arrays and data sets, under names that come back."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from isthmus.compression.coding.chunks import Member
from isthmus.compression.image_files import NotTakenApart, take_apart
from isthmus.compression.images import open_images
from isthmus.compression.unpacking import lies_inside
from isthmus.data.images import SUFFIXES
from isthmus.errors import IsthmusError
from isthmus.files import is_unfinished
from isthmus.remote.paths import as_path

_LONGEST_NAME = 255  # bytes that file systems allow
_WITH_LABELS = (".npz", ".zarr", ".zip")


class Members:
    """Every sample of folders, files, arrays and data sets, one after the other, with its name and format.

    lossy : whether pixels that come back nearly will do. without : the archive that is written, which may lie in one of
    the folders and does not hold itself.
    notes : after iterating, a line for everything that the archive does not hold, or not under its own name, and for
    image files that are kept as they are.
    """

    def __init__(self, inputs: Sequence[str], *, lossy: bool = False, without: Path | None = None) -> None:
        self._inputs, self._lossy, self._without = list(inputs), lossy, without
        self._start()

    def _start(self) -> None:
        self.notes: list[str] = []
        self._names: set[str] = set()
        self._whole: Counter[str] = Counter()  # why image files are kept as they are
        self._first: dict[str, str] = {}  # and one of each

    def __iter__(self) -> Iterator[Member]:
        self._start()
        for text in self._inputs:
            path = as_path(text)
            if path.is_dir() and path.suffix != ".zarr":
                yield from self._folder(path)
            elif path.is_file() and not _holds_arrays(path):
                member = self._file(path, self._named(path.name, text))
                if member.image is None and path.suffix.lower() not in SUFFIXES:
                    self.notes.append(f"{text} is kept as it is: it is no image that could be coded")
                yield member
            else:
                yield from self._array(text, path)
        if self._whole:
            reasons = ", ".join(f"{count:,} {reason} ({self._first[reason]})" for reason, count in self._whole.items())
            many = "1 image file is" if self._whole.total() == 1 else f"{self._whole.total():,} image files are"
            self.notes.append(f"{many} kept as they are, not as pixels: {reasons}")

    def _folder(self, path: Path) -> Iterator[Member]:
        top = path.resolve()
        prefix = f"{self._named(top.name, str(path))}/" if len(self._inputs) > 1 else ""
        without = None if self._without is None else self._without.parent.resolve() / self._without.name
        found = sorted(p for p in top.rglob("*") if p != without and not is_unfinished(p.relative_to(top)))
        files = [p for p in found if p.is_file()]
        if not files:
            raise IsthmusError(f"folder {path} holds no files")
        names = [file.relative_to(top).as_posix() for file in files]
        self._names |= {prefix + name for name in names if lies_inside(name)}
        for file, name in zip(files, names, strict=True):
            yield self._file(file, prefix + (name if lies_inside(name) else self._named(name, str(file))))
        for other in found:
            if not other.is_file() and (other.is_symlink() or not other.is_dir() or not any(other.iterdir())):
                what = "a link" if other.is_symlink() else "an empty folder" if other.is_dir() else "no file"
                self.notes.append(f"{other} is {what}; left out")

    def _file(self, path: Path, name: str) -> Member:
        """An image file as pixels where it comes back from them; any other as it is."""
        content = path.read_bytes()
        kind = path.suffix.lower().removeprefix(".")
        try:
            taken = take_apart(content, lossy=self._lossy)
        except NotTakenApart as error:
            return self._as_it_is(content, name, kind, str(error))
        if taken is None:
            if path.suffix.lower() in SUFFIXES:
                return self._as_it_is(content, name, kind, "of another format")
            return Member(None, (name, kind), content)
        if taken.frame is None:
            return Member(taken.pixels, (name, "png"), content)
        if suffix := taken.frame.suffix:
            changed = f"{name}{suffix}"
            if changed in self._names or len(os.fsencode(PurePosixPath(changed).name)) > _LONGEST_NAME:
                return self._as_it_is(content, name, kind, "whose name is taken")
            self._names.add(changed)
        return Member(taken.pixels, (name, kind), content, taken.frame.to_json())

    def _as_it_is(self, content: bytes, name: str, kind: str, reason: str) -> Member:
        self._whole[reason] += 1
        self._first.setdefault(reason, name)
        return Member(None, (name, kind), content)

    def _array(self, text: str, path: Path) -> Iterator[Member]:
        """The samples of an array or a data set, and the labels that lie in the same file."""
        images = open_images(text)
        stem = _stem(text, path)
        name = self._named(f"{stem}.npy", text)
        yield from (Member(image, (name, "npy")) for image in images)
        file = path if path.exists() else as_path(text.rpartition(":")[0])
        if images.labels is not None and file.suffix.lower() in _WITH_LABELS and file.exists():
            buffer = io.BytesIO()
            np.save(buffer, _plain(images.labels), allow_pickle=False)
            yield Member(None, (self._named(f"{stem}-labels.npy", text), "npy"), buffer.getvalue())
        if file.suffix.lower() == ".npz" and file.is_file():
            with np.load(file, allow_pickle=False) as arrays:
                others = len(arrays.files) - 1 - (images.labels is not None)
            if others:
                self.notes.append(
                    f"{text}: {others} more of its arrays are not in the archive; name each as in FILE:NAME"
                )

    def _named(self, name: str, of: str) -> str:
        """A name that no other has and that can be restored; where that is another, it is said."""
        safe = name if lies_inside(name) else name.replace("\\", "_").replace(":", "_")
        free, number = safe, 1
        while free in self._names:
            number += 1
            free = str(PurePosixPath(safe).with_stem(f"{PurePosixPath(safe).stem}-{number}"))
        self._names.add(free)
        if free != name:
            self.notes.append(f"{of} is called {free!r} in the archive")
        return free


def _plain(labels: np.ndarray) -> np.ndarray:
    return labels.astype(str) if labels.dtype.kind == "O" else labels


def _stem(text: str, path: Path) -> str:
    """What the .npy file of an input is called, without its suffix."""
    if path.exists():
        return path.stem
    whole, _, member = text.rpartition(":")
    if as_path(whole).exists():
        return f"{as_path(whole).stem}-{member.replace('/', '-')}"
    return as_path(text.replace(":", "-")).name


def _holds_arrays(path: Path) -> bool:
    from isthmus.data.files import is_idx
    from isthmus.data.stacks import is_zarr

    return path.suffix.lower() in (".npy", ".npz") or is_idx(path) or is_zarr(path)
