"""Samples of an archive as files: images under their names, arrays as .npy files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from isthmus.compression.output_folder import OutputFolder
from isthmus.errors import IsthmusError

if TYPE_CHECKING:
    import numpy as np

    from isthmus.compression.coding.chunk import Chunk

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "tiff": ("TIFF", {}),
    "webp": ("WEBP", {"lossless": True, "exact": True}),
}  # what pixels without a frame are written as -> Pillow's name and options; any other format would lose more

_LONGEST_WEBP = 16_383  # pixels: a longer side has no place in the format


def lies_inside(name: str) -> bool:
    """Whether a name in an archive is that of a file below the folder that it is unpacked to, on every system.

    Names that mean a device on Windows (CON, NUL.txt), or another name there (a dot or a space at the end), do not
    count.

    >>> lies_inside("12:30/a.png"), lies_inside("../a.png"), lies_inside("C:/a.png")
    (True, False, False)
    """
    windows = PureWindowsPath(name)
    outside = windows.root or ".." in windows.parts or "\0" in name or not PurePosixPath(name).parts
    if outside or os.name != "nt":
        return not outside
    odd = any(part.endswith((".", " ")) or PureWindowsPath(part).is_reserved() for part in windows.parts)
    return not odd and ":" not in name


def is_hidden(name: str) -> bool:
    """Whether a file or a folder on the way to it begins with a dot, as what configures programs does.

    >>> is_hidden(".ssh/authorized_keys"), is_hidden("photos/a.png")
    (True, False)
    """
    return any(part.startswith(".") for part in PureWindowsPath(name).parts)


class Unpacker:
    """Writes images under their names and arrays as .npy files, each at once.

    count : samples written. problems : what could not be written, or not under its name, one line each.
    """

    def __init__(self, folder: Path, stem: str, overwrite: bool, hidden: bool = False) -> None:
        """hidden : whether files are written that begin with a dot, or lie in a folder that does."""
        self._folder, self._stem, self._overwrite, self._hidden = OutputFolder(folder), stem, overwrite, hidden
        self._array: _Rows | None = None
        self._refused_array = ""
        self._written: set[tuple[int, int]] = set()  # device and inode: names may differ by case alone
        self.count = 0
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._array is not None:
            self._array.close(keep=kind is None)

    def add(self, chunk: Chunk, within: int, image: np.ndarray) -> None:
        """Write one sample; one that cannot be written is a line in `problems`, whatever is wrong with it."""
        name, kind = chunk.names[within] if within < len(chunk.names) else (f"{self._stem}.npy", "npy")
        frame = chunk.frames[within] if within < len(chunk.frames) else None
        try:
            if kind == "npy" and chunk.method != "file":
                self._add_row(name, image)
            else:
                self._end_array()
                self._write(name, kind, image.tobytes() if chunk.method == "file" else image, frame)
        except (IsthmusError, OSError) as error:
            self.problems.append(str(error))
        except Exception as error:  # a hostile name, shape or frame must not keep the others from being written
            self.problems.append(f"{name!r} cannot be written: {error or type(error).__name__}")

    def _add_row(self, name: str, image: np.ndarray) -> None:
        if self._array is not None and not self._array.takes(name, image):
            self._end_array()
        if self._array is None:
            if name == self._refused_array:  # said for its first row
                return
            try:
                place, _ = self._place(name)
            except IsthmusError:
                self._refused_array = name
                raise
            self._array = _Rows(name, place, self._folder, image)
        self._array.add(image)
        self.count += 1

    def _end_array(self) -> None:
        array, self._array = self._array, None
        if array is not None:
            array.close(keep=True)
            self._note(array.place)

    def _write(self, name: str, kind: str, content: np.ndarray | bytes, frame: Mapping[str, Any] | None) -> None:
        if not isinstance(content, bytes):
            name, content = as_file(name, kind, content, frame)
        place, taken = self._place(name)
        with self._folder.file(place) as file:
            file.write(content)
        self._note(place)
        self.count += 1
        if taken:
            self.problems.append(f"the archive names two files {name!r}; the second is {PurePosixPath(place).name}")

    def _place(self, name: str) -> tuple[str, bool]:
        """Where to write, and whether that is another name since the archive has it twice."""
        folder = self._folder.path
        if not lies_inside(name):
            raise IsthmusError(f"the archive names a file {name!r}, which would lie outside {folder}; left out")
        if is_hidden(name) and not self._hidden:
            raise IsthmusError(f"the archive names a hidden file {name!r}; left out: give --hidden to write it, too")
        place = wanted = PurePosixPath(name)
        number = 1
        while (found := self._folder.identity(str(place))) in self._written:
            number += 1
            place = wanted.with_stem(f"{wanted.stem}-{number}")
        if found is not None and not self._overwrite:
            raise IsthmusError(f"{folder / place} exists; give --overwrite to replace it")
        return str(place), number > 1

    def _note(self, place: str) -> None:
        identity = self._folder.identity(place)
        if identity is not None:
            self._written.add(identity)


def as_file(name: str, kind: str, pixels: np.ndarray, frame: Mapping[str, Any] | None) -> tuple[str, bytes]:
    """The name and the bytes of an image file."""
    from PIL import Image

    from isthmus.compression.image_files import Frame, png_file

    if frame is not None:
        around = Frame.from_json(frame)
        return f"{name}{around.suffix}", around.around(pixels)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    if kind in _FORMATS and not (kind == "webp" and max(image.size) > _LONGEST_WEBP):
        buffer = io.BytesIO()
        form, options = _FORMATS[kind]
        image.save(buffer, form, **options)
        return name, buffer.getvalue()
    return f"{name}.png", png_file(pixels)


class _Rows:
    """A .npy file that grows row by row; it takes its name, `place`, when it is complete."""

    def __init__(self, name: str, place: str, folder: OutputFolder, row: np.ndarray) -> None:
        self._name, self.place, self._shape, self._dtype = name, place, row.shape, row.dtype
        self._open = ExitStack()
        self._file = self._open.enter_context(folder.file(place))
        self._rows = 0
        self._header()

    def takes(self, name: str, row: np.ndarray) -> bool:
        """Whether a row continues this file."""
        return (name, row.shape, row.dtype) == (self._name, self._shape, self._dtype)

    def add(self, row: np.ndarray) -> None:
        """The next row."""
        self._file.write(row.tobytes())
        self._rows += 1

    def close(self, *, keep: bool) -> None:
        """Complete the file, or forget it."""
        if keep:
            with self._open:
                self._header()
        else:
            with suppress(_ForgottenError), self._open:
                raise _ForgottenError

    def _header(self) -> None:
        import numpy as np

        self._file.seek(0)
        # A header is padded for the first axis to grow up to 21 digits, so that it can be written again in place.
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (self._rows, *self._shape)})


class _ForgottenError(Exception):
    """Ends a file that is not to be kept."""
